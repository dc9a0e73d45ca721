import { expect, test } from "bun:test";
import { RecentEntries } from "../../../../src/vault/log/segment/recent-entries.ts";

const mib = 1024 * 1024;
const entryOf = (bytes: number) => ({ header: undefined, content: new Uint8Array(bytes) });

test("entries are kept until newer ones need the room, by their bytes and over all segments", () => {
  const recent = new RecentEntries();
  for (let position = 1; position <= 6; position += 1)
    recent.add(position % 2 === 0 ? "a" : "b", position, entryOf(mib));
  expect(recent.get("b", 1)).toBeUndefined();
  expect(recent.get("a", 2)).toBeUndefined();
  for (const [segment, position] of [
    ["b", 3],
    ["a", 4],
    ["b", 5],
    ["a", 6],
  ] as const)
    expect(recent.get(segment, position)?.content.length).toBe(mib);
  expect(recent.get("a", 3)).toBeUndefined();
});

test("an entry that is larger than the room is not kept, and neither is what was before it", () => {
  const recent = new RecentEntries();
  recent.add("a", 1, entryOf(10));
  recent.add("a", 2, entryOf(64 * mib));
  expect([recent.get("a", 1), recent.get("a", 2)]).toEqual([undefined, undefined]);
  recent.add("a", 3, entryOf(10));
  expect(recent.get("a", 3)).toBeDefined();
});

test("an entry that is found again counts once", () => {
  const recent = new RecentEntries();
  for (let again = 0; again < 10; again += 1) recent.add("a", 1, entryOf(mib));
  recent.add("a", 2, entryOf(mib));
  expect(recent.get("a", 1)).toBeDefined();
});

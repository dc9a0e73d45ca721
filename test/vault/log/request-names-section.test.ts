import { expect, test } from "bun:test";
import { requestNamesOf, requestsSection } from "../../../src/vault/log/request-names-section.ts";

const names = [
  { run: "00112233445566aa", count: 1 },
  { run: "ffffffffffffffff", count: 2 ** 47 },
  { run: "00112233445566aa", count: 7 },
];
const sorted = (of: typeof names): typeof names => of.toSorted((a, b) => a.count - b.count);

test("names come back from the section, whatever stands beside it", () => {
  const other = { kind: "weather", isRequired: false, content: new Uint8Array(3) };
  const back = requestNamesOf([other, requestsSection({ names, isComplete: true })]);
  expect([sorted([...(back?.names ?? [])]), back?.isComplete]).toEqual([sorted(names), true]);
});

test("a flush without names says so, and one whose names were left out too", () => {
  expect(requestNamesOf([requestsSection({ names: [], isComplete: true })])).toEqual({
    names: [],
    isComplete: true,
    isKeyed: false,
  });
  expect(requestNamesOf([requestsSection({ names: [], isComplete: false })])?.isComplete).toBe(false);
});

test("a record without the section has names that are not known, and so has one whose section is cut", () => {
  expect(requestNamesOf([])).toBeUndefined();
  const { content, ...section } = requestsSection({ names, isComplete: true });
  const cuts = Array.from({ length: content.length }, (_, length) => content.subarray(0, length));
  const whole = [1, content.length - 16, content.length];
  for (const cut of cuts) {
    const found = requestNamesOf([{ ...section, content: cut }]);
    expect([cut.length, found === undefined]).toEqual([cut.length, !whole.includes(cut.length)]);
  }
});

test("a section takes 6 bytes for a name and 10 for a gateway: older versions skip it", () => {
  const section = requestsSection({ names, isComplete: true });
  expect([section.content.length, section.isRequired]).toEqual([1 + 3 * 6 + 2 * 10, false]);
});

import { expect, test } from "bun:test";
import { changeExclusions, type Exclusion, readExclusions } from "../../../src/vault/store/exclusions.ts";
import { exclusionKey } from "../../../src/vault/keys.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";

const exclusion = (name: string): Exclusion => ({ name, host: "a", atMs: 1 });
const adding =
  (name: string) =>
  (now: readonly Exclusion[]): readonly Exclusion[] => [...now, exclusion(name)];

test("neither of two acts at once is lost: one finds its number taken and builds on the other's result", async () => {
  const store = new MemoryStore();
  await Promise.all(["x.db", "y.db", "z.db"].map((name) => changeExclusions(store, adding(name))));
  expect((await readExclusions(store)).map(({ name }) => name).sort()).toEqual(["x.db", "y.db", "z.db"]);
});

test("the newest act counts beyond the ninth, and one that changes nothing writes nothing", async () => {
  const store = new MemoryStore();
  for (let i = 1; i <= 12; i++) await changeExclusions(store, () => [exclusion(`${i}.db`)]);
  expect(await readExclusions(store)).toEqual([exclusion("12.db")]);
  expect(await changeExclusions(store, () => undefined)).toEqual([exclusion("12.db")]);
  expect((await store.list("exclusions/")).length).toBe(12);
});

test("a malformed list, or one of a later format, is refused and not read as an empty one", async () => {
  for (const content of [
    "{",
    '{"format":"stead-exclusions","version":2,"databases":[]}',
    '{"format":"stead-exclusions","version":1,"databases":[{"name":"../x","host":"a","atMs":1}]}',
  ]) {
    const store = new MemoryStore();
    await store.putIfAbsent(exclusionKey(1), Buffer.from(content));
    expect(readExclusions(store)).rejects.toThrow("exclusions/0000000000000001");
  }
});

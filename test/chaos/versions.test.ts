/** The judge of histories is judged: it accepts what is linearizable, and finds each kind of breach. */
import { expect, test } from "bun:test";
import { type ChaosOperation, checkVersions } from "../../scripts/chaos-versions.ts";

type Times = readonly [calledAt: number, returnedAt: number];

const base = { key: undefined, write: undefined, revision: undefined } as const;
const write = (text: string, [calledAt, returnedAt]: Times, revision?: number, key?: string): ChaosOperation => ({
  ...base,
  what: `write ${text}`,
  kind: "write",
  key,
  write: text,
  calledAt,
  returnedAt,
  revision,
});
const readAll = ([calledAt, returnedAt]: Times, revision: number): ChaosOperation => ({
  ...base,
  what: "read",
  kind: "read-all",
  calledAt,
  returnedAt,
  revision,
});
const read = (key: string, [calledAt, returnedAt]: Times, revision: number): ChaosOperation => ({
  ...base,
  what: `read ${key}`,
  kind: "read-record",
  key,
  calledAt,
  returnedAt,
  revision,
});

const changes = [
  { revision: 1, write: "a" },
  { revision: 2, write: "b" },
  { revision: 3, write: "c" },
];
const writes = [write("a", [0, 10], 1, "x"), write("b", [20, 30], 2, "y"), write("c", [40, 50], 3, "x")];

test("writes in the order of time, and reads that saw the newest, are linearizable", () => {
  expect(
    checkVersions(
      [...writes, readAll([12, 15], 1), readAll([55, 60], 3), read("x", [35, 38], 1), read("y", [100, 110], 2)],
      changes,
    ),
  ).toEqual([]);
});

test("a read at the same time as a write may see it or not", () => {
  for (const revision of [2, 3]) expect(checkVersions([...writes, readAll([45, 46], revision)], changes)).toEqual([]);
});

test("a write whose fate is not known may happen late, or never", () => {
  const late = write("c", [5, Infinity], undefined, "x");
  expect(
    checkVersions([write("a", [0, 10], 1, "x"), write("b", [20, 30], 2, "y"), late, readAll([35, 36], 2)], changes),
  ).toEqual([]);
  expect(checkVersions([write("a", [0, 10], 1, "x"), write("never", [5, Infinity])], changes)).toEqual([]);
});

test("a stale read of everything is a breach", () => {
  expect(checkVersions([...writes, readAll([55, 60], 2)], changes)).toHaveLength(1);
});

test("a stale read of one record is a breach, whichever client has seen the newer one", () => {
  expect(checkVersions([...writes, read("x", [55, 60], 1)], changes)).toHaveLength(1);
  // Only another client's read shows that the write had happened before.
  const unknown = write("c", [40, Infinity], undefined, "x");
  expect(
    checkVersions(
      [writes[0], writes[1], unknown, readAll([45, 50], 3), read("x", [55, 60], 1)].filter((one) => one !== undefined),
      changes,
    ),
  ).toHaveLength(1);
});

test("a record that was seen and is not there later is a breach", () => {
  expect(checkVersions([...writes, read("y", [55, 60], 0)], changes)).toHaveLength(1);
});

test("a write that became older than one acknowledged before it was sent is a breach", () => {
  const swapped = [write("b", [0, 10], 2, "y"), write("a", [20, 30], 1, "x")];
  expect(checkVersions(swapped, changes)).toHaveLength(1);
});

test("a read that saw a write before it was sent is a breach", () => {
  expect(checkVersions([readAll([0, 5], 1), write("a", [10, 20], 1, "x")], changes)).toHaveLength(1);
});

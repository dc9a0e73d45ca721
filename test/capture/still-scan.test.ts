import { expect, test } from "bun:test";
import type { Scan } from "../../src/capture/still-scan.ts";
import { misses, scanUntilStill } from "../../src/capture/still-scan.ts";

const identity = (inode: number) => ({ device: 1n, inode: BigInt(inode) }) as never;
const scan = (files: Record<string, number>): Scan =>
  new Map(Object.entries(files).map(([name, inode]) => [name, { identity: identity(inode) } as never]));

function discoveryOf(scans: readonly Scan[]) {
  let at = 0;
  return {
    refresh: (): Scan => scans[Math.min(at, scans.length - 1)] ?? new Map(),
    forget: (): void => void at++,
  };
}

test("a file that was renamed between the folders of one scan is found by the next", () => {
  const [neither, moved] = [scan({ "b.db": 2 }), scan({ "b.db": 2, "tenants/c.db": 1 })];
  expect(misses(neither, [{ name: "a.db", files: { identity: identity(1) } }], [])).toBe(true);
  expect(scanUntilStill(discoveryOf([neither, moved]))).toBe(moved);
});

test("another file at the same name is a difference", () => {
  const [before, after] = [scan({ "a.db": 1 }), scan({ "a.db": 3 })];
  expect(misses(after, [], [{ name: "a.db", identity: identity(1) }])).toBe(true);
  expect(misses(before, [], [{ name: "a.db", identity: identity(1) }])).toBe(false);
  expect(scanUntilStill(discoveryOf([before, after]))).toBe(after);
});

test("files that never come to rest are a fault, which holds responses", () => {
  let count = 0;
  const restless = { refresh: () => scan({ [`${count}.db`]: count }), forget: () => void count++ };
  expect(() => scanUntilStill(restless)).toThrow("renamed all the time");
});

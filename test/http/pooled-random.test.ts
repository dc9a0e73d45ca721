import { expect, test } from "bun:test";
import { pooledRandom } from "../../src/http/pooled-random.ts";
import { systemRandom } from "../../src/runtime/random.ts";

test("no byte of a block is handed out twice, whatever is asked for", () => {
  const blocks: Uint8Array[] = [];
  const random = pooledRandom({ ...systemRandom, bytes: (count) => (blocks.push(systemRandom.bytes(count)), blocks.at(-1) ?? new Uint8Array(0)) });
  const given = Array.from({ length: 2_000 }, (_, nth) => Buffer.from(random.bytes((nth % 40) + 1)));
  expect(given.every((bytes, nth) => bytes.length === (nth % 40) + 1)).toBe(true);
  expect(new Set(given.filter((bytes) => bytes.length >= 16).map((bytes) => bytes.toString("hex"))).size).toBe(given.filter((bytes) => bytes.length >= 16).length);
  expect(blocks.length).toBeGreaterThan(3);
  expect(random.bytes(100_000).length).toBe(100_000);
});

import { expect, test } from "bun:test";
import { RandomNames } from "../../src/runtime/random-names.ts";
import { systemRandom } from "../../src/runtime/random.ts";

test("names are the drawn digits, in order: no digit of a block is handed out twice, in any sequence of lengths", () => {
  const blocks: string[] = [];
  const draw = (count: number): Uint8Array => {
    const bytes = systemRandom.bytes(count);
    blocks.push(Buffer.from(bytes).toString("hex"));
    return bytes;
  };
  const names = new RandomNames({ ...systemRandom, bytes: draw });
  const given = Array.from({ length: 2_000 }, (_, nth) => names.hex((nth % 40) + 1));
  expect(given.every((name, nth) => name.length === 2 * ((nth % 40) + 1))).toBe(true);
  expect(blocks.length).toBeGreaterThan(5);
  let [block, at] = [0, 0];
  for (const name of given) {
    if (at + name.length > (blocks[block]?.length ?? 0)) [block, at] = [block + 1, 0];
    expect(blocks[block]?.slice(at, at + name.length)).toBe(name);
    at += name.length;
  }
});

/** Random bytes drawn in blocks: for names of requests, of which there are many and which need a few bytes each. */
import type { Random } from "../runtime/random.ts";

const blockBytes = 8 * 1024;

export function pooledRandom(random: Random): Random {
  let block: Uint8Array = new Uint8Array(0);
  let at = 0;
  return {
    bytes(count) {
      if (count > blockBytes) return random.bytes(count);
      if (at + count > block.length) {
        block = random.bytes(blockBytes);
        at = 0;
      }
      at += count;
      return block.subarray(at - count, at); // never handed out twice
    },
    fraction: () => random.fraction(),
  };
}

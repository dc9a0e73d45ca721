/** Randomness as a port: nonces and jitter come from here, so that a simulation seed determines them. */
import { randomBytes } from "node:crypto";

export interface Random {
  /** Returns `count` unpredictable bytes. */
  bytes(count: number): Uint8Array;
  /** Returns a number in [0, 1). */
  fraction(): number;
}

export const systemRandom: Random = {
  bytes: (count) => new Uint8Array(randomBytes(count)),
  fraction: () => randomBytes(4).readUInt32LE(0) / 0x1_0000_0000,
};

/** Names of requests: unpredictable hexadecimal digits, cut from a larger block, because there are many short names. */
import { Buffer } from "node:buffer";
import type { Random } from "./random.ts";

const blockBytes = 4 * 1024;

export class RandomNames {
  readonly #random: Random;
  #digits = "";
  #at = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Returns two digits for each of `bytes` bytes, at most 4096. No digit is used twice. */
  hex(bytes: number): string {
    if (bytes > blockBytes) throw new RangeError(`a name of ${bytes} bytes; at most ${blockBytes} are accepted`);
    if (this.#at + bytes * 2 > this.#digits.length) {
      this.#digits = Buffer.from(this.#random.bytes(blockBytes)).toString("hex");
      this.#at = 0;
    }
    this.#at += bytes * 2;
    return this.#digits.slice(this.#at - bytes * 2, this.#at);
  }
}

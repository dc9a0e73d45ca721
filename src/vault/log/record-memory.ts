/**
 * Memory that one record after the other is encoded into: fresh memory costs the kernel more than filling it does, and
 * the collector its rounds. Only for a log that uses the bytes of a put no more once it has ended (`Log`).
 */
export class RecordMemory {
  readonly #bytesMax: number;
  #place = Buffer.alloc(0);

  /** `bytesMax`: a larger record gets memory of its own. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** What was taken before is overwritten. */
  take(length: number): Buffer {
    if (length > this.#bytesMax) return Buffer.allocUnsafeSlow(length);
    if (this.#place.length < length)
      this.#place = Buffer.allocUnsafeSlow(Math.min(this.#bytesMax, 2 ** Math.ceil(Math.log2(length))));
    return this.#place.subarray(0, length);
  }
}

/**
 * Detects clients that are too slow, with two limits: how fast a request body arrives, and whether the client reads
 * what waits for it. Only time in which it is the client's turn counts.
 */
import type { HttpLimits } from "../limits.ts";

/** Arrival of a request body, checked once per `bodyRateWindowMs`. */
export class BodyRate {
  readonly #limits: HttpLimits;
  #bytesAtStart = 0;
  #isWatching = false;

  constructor(limits: HttpLimits) {
    this.#limits = limits;
  }

  get isWatching(): boolean {
    return this.#isWatching;
  }

  /** Starts a window. Returns false if there is no limit. */
  start(bodyBytes: number): boolean {
    this.#bytesAtStart = bodyBytes;
    this.#isWatching = this.#limits.bodyBytesPerSecondMin > 0;
    return this.#isWatching;
  }

  pause(): void {
    this.#isWatching = false;
  }

  /** At the end of a window: true if too little arrived. */
  isTooSlow(bodyBytes: number): boolean {
    const { bodyBytesPerSecondMin, bodyRateWindowMs } = this.#limits;
    return bodyBytes - this.#bytesAtStart < (bodyBytesPerSecondMin * bodyRateWindowMs) / 1000;
  }
}

/** Bytes that wait for the client, checked once per `writeStallMs`. Any progress is enough. */
export class WriteStall {
  /** More bytes wait than `writeBufferBytesMax`; stays true until the client has taken all of them. */
  isCongested = false;
  #waitingBytes = 0;

  /** Records a write. Returns true when congestion begins. */
  onWrite(waitingBytes: number, limits: HttpLimits): boolean {
    if (this.isCongested || waitingBytes <= limits.writeBufferBytesMax) return false;
    this.isCongested = true;
    this.#waitingBytes = waitingBytes;
    return true;
  }

  /** At the end of a window: true if the client has taken nothing. */
  isStuck(waitingBytes: number): boolean {
    if (waitingBytes >= this.#waitingBytes) return true;
    this.#waitingBytes = waitingBytes;
    return false;
  }
}

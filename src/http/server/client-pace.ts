/**
 * Is a client too slow? Two questions with two limits: how fast its request body arrives, and whether it takes what
 * waits for it. Only time in which it is the client's turn counts.
 */
import type { HttpLimits } from "../limits.ts";

/** Arrival of a request body, looked at once per `bodyRateWindowMs`. */
export class BodyRate {
  readonly #limits: HttpLimits;
  #bytesAtStart = 0;
  #watching = false;

  constructor(limits: HttpLimits) {
    this.#limits = limits;
  }

  get isWatching(): boolean {
    return this.#watching;
  }

  /** A window begins. False when there is no limit. */
  start(bodyBytes: number): boolean {
    this.#bytesAtStart = bodyBytes;
    this.#watching = this.#limits.bodyBytesPerSecondMin > 0;
    return this.#watching;
  }

  stop(): void {
    this.#watching = false;
  }

  /** At the end of a window: whether less came than must. */
  isTooSlow(bodyBytes: number): boolean {
    const { bodyBytesPerSecondMin, bodyRateWindowMs } = this.#limits;
    return bodyBytes - this.#bytesAtStart < (bodyBytesPerSecondMin * bodyRateWindowMs) / 1000;
  }
}

/** What waits for the client, looked at once per `writeStallMs`. Slow is not stuck: any progress is enough. */
export class WriteStall {
  /** More waits than `writeBufferBytesMax`; until the client has taken all of it. */
  congested = false;
  #waitingBytes = 0;

  /** Something was written. True when congestion begins. */
  onWrite(waitingBytes: number, limits: HttpLimits): boolean {
    if (this.congested || waitingBytes <= limits.writeBufferBytesMax) return false;
    this.congested = true;
    this.#waitingBytes = waitingBytes;
    return true;
  }

  /** At the end of a window: whether the client has taken nothing. */
  isStuck(waitingBytes: number): boolean {
    if (waitingBytes >= this.#waitingBytes) return true;
    this.#waitingBytes = waitingBytes;
    return false;
  }
}

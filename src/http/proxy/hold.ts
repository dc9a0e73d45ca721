/**
 * Holds requests while a service has no primary: bounded in number, bytes and time, first come, first served.
 *
 * An open hold lets every request pass. When it opens with requests waiting, they are released in order of arrival, at
 * most `releaseConcurrency` in flight at a time: a released request calls `done`, and the next one follows. A new
 * primary thus gets a steady queue instead of a thundering herd. Requests that arrive meanwhile queue up behind, so the
 * order is kept.
 */
import type { Histogram } from "../../metrics/metrics.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";

export interface HoldOptions {
  readonly requestsMax: number;
  readonly bytesMax: number;
  readonly waitMsMax: number;
  /** Released requests in flight at a time while others still wait. */
  readonly releaseConcurrency: number;
  readonly clock: Clock;
  /** How long requests waited, in seconds; default: not measured. */
  readonly waits?: HoldWaits | undefined;
}

export type HoldResult = "released" | { readonly refused: "full" | "timeout" | "gone" | "maintenance" };

/** By how the wait ended. */
export type HoldWaits = Readonly<Record<(typeof holdEnds)[number], Histogram>>;
export const holdEnds = ["released", "full", "timeout", "gone", "maintenance"] as const;

interface Waiting {
  readonly bytes: number;
  readonly since: number;
  readonly settle: (result: HoldResult) => void;
}

export class Hold {
  readonly #options: HoldOptions;
  readonly #queue = new Set<Waiting>();
  #bytes = 0;
  #isOpen: boolean;
  #isInMaintenance = false;
  #released = 0;
  #timer: Timer | undefined;

  /** Starts closed: there is no primary until one is announced. */
  constructor(options: HoldOptions, state: "open" | "closed" = "closed") {
    this.#options = options;
    this.#isOpen = state === "open";
  }

  get waiting(): number {
    return this.#queue.size;
  }

  get waitingBytes(): number {
    return this.#bytes;
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  get isInMaintenance(): boolean {
    return this.#isInMaintenance;
  }

  /** True if a request may proceed without waiting: none is queued before it. */
  get isPassable(): boolean {
    return this.#isOpen && !this.#isInMaintenance && this.#queue.size === 0;
  }

  /** Lets requests pass, waiting ones first. */
  open(): void {
    this.#isOpen = true;
    this.#releaseMore();
  }

  /** Makes requests wait from now on. */
  close(): void {
    this.#isOpen = false;
  }

  /** In maintenance every request is refused, waiting ones too. Whether it is open or closed stays, and may change. */
  setMaintenance(isOn: boolean): void {
    this.#isInMaintenance = isOn;
    if (isOn) for (const waiting of this.#queue) this.#settle(waiting, { refused: "maintenance" });
    else this.#releaseMore();
  }

  /**
   * Waits for the hold to open. `bytes` is what the request may occupy meanwhile. After "released" the caller must call
   * `done` once the request has been answered or returns to wait again.
   */
  wait(bytes: number, signal: AbortSignal): Promise<HoldResult> {
    if (signal.aborted) return Promise.resolve({ refused: "gone" });
    if (this.#isInMaintenance) {
      this.#options.waits?.maintenance.observe(0);
      return Promise.resolve({ refused: "maintenance" });
    }
    if (this.isPassable) {
      this.#released++;
      return Promise.resolve("released");
    }
    if (this.#queue.size >= this.#options.requestsMax || this.#bytes + bytes > this.#options.bytesMax) {
      this.#options.waits?.full.observe(0);
      return Promise.resolve({ refused: "full" });
    }
    return new Promise((resolve) => {
      const onAbort = (): void => this.#settle(waiting, { refused: "gone" });
      const waiting: Waiting = {
        bytes,
        since: this.#options.clock.now(),
        settle: (result) => {
          signal.removeEventListener("abort", onAbort);
          resolve(result);
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.#queue.add(waiting);
      this.#bytes += bytes;
      this.#timer ??= this.#options.clock.setTimer(this.#options.waitMsMax, () => this.#expire());
      this.#releaseMore();
    });
  }

  /** Records that a released request is no longer in flight. */
  done(): void {
    if (this.#released === 0) throw new Error("done without a released request");
    this.#released--;
    this.#releaseMore();
  }

  #releaseMore(): void {
    if (!this.#isOpen || this.#isInMaintenance) return;
    for (const waiting of this.#queue) {
      if (this.#released >= this.#options.releaseConcurrency) return;
      this.#released++;
      this.#settle(waiting, "released");
    }
  }

  #settle(waiting: Waiting, result: HoldResult): void {
    if (!this.#queue.delete(waiting)) return;
    this.#bytes -= waiting.bytes;
    const { waits, clock } = this.#options;
    waits?.[result === "released" ? "released" : result.refused].observe((clock.now() - waiting.since) / 1_000);
    waiting.settle(result);
    if (this.#queue.size === 0) {
      this.#timer?.cancel();
      this.#timer = undefined;
    }
  }

  /** Arrival order is expiry order, so one timer for the first suffices. */
  #expire(): void {
    this.#timer = undefined;
    const { clock, waitMsMax } = this.#options;
    const now = clock.now();
    for (const waiting of this.#queue) {
      const left = waiting.since + waitMsMax - now;
      if (left > 0) {
        this.#timer = clock.setTimer(left, () => this.#expire());
        return;
      }
      this.#settle(waiting, { refused: "timeout" });
    }
  }
}

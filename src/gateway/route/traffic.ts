/** Counts a service's requests, their rate, and the gap around a failover as its clients see it. */
import type { RequestEnd } from "../../http/proxy/request-trace.ts";
import type { Clock } from "../../runtime/clock.ts";

export interface TrafficCounts {
  readonly ok: number;
  /** Requests that waited for a primary. */
  readonly held: number;
  /** Requests that were sent more than once. */
  readonly replayed: number;
  readonly unknown: number;
  readonly failed: number;
  /** Requests that were answered with the maintenance page. */
  readonly maintenance: number;
  readonly clientGone: number;
}

/** Whole seconds over which the rate is averaged. */
const rateSeconds = 5;
/** Seconds for which the counts are known as they were. */
const secondsBack = 4;
/** A service without a success for longer than this before an event was idle: there is no meaningful gap. */
const idleMs = 5_000;

/** The longest time without a success; `startedAt`: monotonic time of the success before it. */
export interface Gap {
  readonly startedAt: number;
  readonly ms: number;
}

interface GapWatch {
  longest: Gap;
  done: boolean;
  readonly onGap: (gap: Gap) => void;
}

export class Traffic {
  readonly #clock: Clock;
  readonly #counts = { ok: 0, held: 0, replayed: 0, unknown: 0, failed: 0, maintenance: 0, clientGone: 0 };
  readonly #perSecond = new Map<number, number>();
  readonly #watches = new Map<number, GapWatch>();
  /** The counts at the beginning of the last seconds in which a request ended, oldest first. */
  readonly #earlier: { readonly second: number; readonly counts: TrafficCounts }[] = [];
  #lastOkAt = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get counts(): TrafficCounts {
    return { ...this.#counts };
  }

  /** Returns the counts as they were `ms` ago, to the second; at most a few seconds back. */
  countsBefore(ms: number): TrafficCounts {
    const second = Math.floor((this.#clock.now() - ms) / 1_000);
    return this.#earlier.find((each) => each.second >= second)?.counts ?? this.counts;
  }

  /** Requests per second that were answered, over the last seconds. */
  get ratePerSecond(): number {
    const second = Math.floor(this.#clock.now() / 1000);
    let sum = 0;
    for (const [at, count] of this.#perSecond) if (at < second && at >= second - rateSeconds) sum += count;
    return sum / rateSeconds;
  }

  /** Records `count` requests with the same outcome. */
  ended(end: RequestEnd, held: boolean, replays: number, count = 1): void {
    this.#keepEarlier(Math.floor(this.#clock.now() / 1_000));
    if (held) this.#counts.held += count;
    if (replays > 0) this.#counts.replayed += count;
    if (end === "client-gone") this.#counts.clientGone += count;
    else this.#counts[end] += count;
    if (end !== "ok") return;
    const now = this.#clock.now();
    const second = Math.floor(now / 1000);
    this.#perSecond.set(second, (this.#perSecond.get(second) ?? 0) + count);
    if (this.#perSecond.size > rateSeconds + 2) this.#forgetBefore(second - rateSeconds);
    if (this.#watches.size > 0) this.#measure(now);
    this.#lastOkAt = now;
  }

  /** Begins to measure the longest time without a success; `key` is the failover's. */
  watchGap(key: number, onGap: (gap: Gap) => void): void {
    if (this.#watches.has(key)) return;
    const idle = this.#clock.now() - this.#lastOkAt > idleMs;
    if (!idle) this.#watches.set(key, { longest: { startedAt: this.#lastOkAt, ms: 0 }, done: false, onGap });
  }

  /** The new primary has the traffic: the next success ends the measurement. */
  closeGap(key: number): void {
    const watch = this.#watches.get(key);
    if (watch !== undefined) watch.done = true;
  }

  #measure(now: number): void {
    for (const [key, watch] of this.#watches) {
      const ms = now - this.#lastOkAt;
      if (ms > watch.longest.ms) watch.longest = { startedAt: this.#lastOkAt, ms };
      if (!watch.done) continue;
      this.#watches.delete(key);
      watch.onGap(watch.longest);
    }
  }

  #keepEarlier(second: number): void {
    if (this.#earlier.at(-1)?.second === second) return;
    this.#earlier.push({ second, counts: this.counts });
    while ((this.#earlier[0]?.second ?? second) < second - secondsBack) this.#earlier.shift();
  }

  #forgetBefore(second: number): void {
    for (const at of this.#perSecond.keys()) if (at < second) this.#perSecond.delete(at);
  }
}

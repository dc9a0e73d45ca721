/**
 * Pauses of automation that end by themselves.
 *
 * The end is a time in the service's row, which every gateway has: each ends the pause for itself, so that it ends
 * although the gateway that took the order is dead. Nothing is written at the end. A write would be newer than a pause
 * that an operator orders at another gateway in the same moment, and would undo it.
 *
 * Clocks differ, so gateways end a pause at different moments. Which error does harm? A pause that ends too early costs
 * a failover while an operator works: no write is lost, and it still takes a majority that sees the primary down. One
 * that never ends leaves a lost primary unreplaced. Each gateway therefore takes the earlier of two ends: the time of
 * the row by its own wall clock, and the length of the pause, by its monotonic clock, from when it heard of it. A clock
 * that is behind prolongs a pause by nothing, unless that gateway was started meanwhile; one that is ahead shortens it
 * by as much as it is ahead.
 *
 * Every gateway records the end as an event of the same id: in the shared table it is one event.
 */
import type { PauseTerms } from "../../core/failover/state.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";

/** Longest time between two looks at the wall clock, which can be corrected. */
const lookEveryMs = 1_000;

/** The part of a service's row that says whether it is paused. */
export interface PauseColumns {
  readonly paused: boolean;
  readonly pauseReason: string | null;
  readonly pausedAtMs: number | null;
  /** Null: until it is resumed. */
  readonly pausedUntilMs: number | null;
}
export interface PauseRow extends PauseColumns {
  readonly name: string;
}
export const notPaused: PauseColumns = { paused: false, pauseReason: null, pausedAtMs: null, pausedUntilMs: null };

/** An operator's order. */
export interface PauseOrder {
  readonly reason: string | undefined;
  /** Undefined: until it is resumed. */
  readonly forMs: number | undefined;
}

export interface PausesOptions {
  readonly clock: Clock;
  /** What is in force changed; undefined: automation is on. */
  apply(service: string, terms: PauseTerms | undefined): void;
  /** A pause ended by itself. `id`: the same on all gateways. */
  ended(service: string, terms: PauseTerms, id: string): void;
}

interface TimedPause {
  readonly key: string;
  readonly terms: PauseTerms;
  readonly untilMs: number;
  /** Monotonic. */
  readonly endsAt: number;
}

export class Pauses {
  readonly #options: PausesOptions;
  readonly #timed = new Map<string, TimedPause>();
  /** Pauses that are over, so that the same row does not begin one again. */
  readonly #over = new Map<string, string>();
  #timer: Timer | undefined;

  constructor(options: PausesOptions) {
    this.#options = options;
  }

  /** A service's row was read, written or received. */
  heard(row: PauseRow): void {
    const { name, paused, pausedAtMs, pausedUntilMs } = row;
    const key = `${pausedAtMs ?? 0}.${pausedUntilMs ?? 0}`;
    if (!paused || pausedUntilMs === null) {
      this.#timed.delete(name);
      return this.#options.apply(name, paused ? pauseTerms(row) : undefined);
    }
    const known = this.#timed.get(name);
    if (this.#over.get(name) === key || known?.key === key) return;
    const { clock } = this.#options;
    const leftMs = Math.min(pausedUntilMs - clock.wallTime(), pausedUntilMs - (pausedAtMs ?? -Infinity));
    const terms = pauseTerms(row);
    if (leftMs <= 0) {
      this.#timed.delete(name);
      this.#over.set(name, key);
      return this.#options.apply(name, undefined);
    }
    this.#timed.set(name, { key, terms, untilMs: pausedUntilMs, endsAt: clock.now() + leftMs });
    this.#options.apply(name, terms);
    this.#schedule();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timed.clear();
  }

  #look(): void {
    const { clock, apply, ended } = this.#options;
    for (const [service, { key, terms, untilMs, endsAt }] of this.#timed) {
      if (clock.now() < endsAt && clock.wallTime() < untilMs) continue;
      this.#timed.delete(service);
      this.#over.set(service, key);
      apply(service, undefined);
      ended(service, terms, `pause-end.${service}.${key}`);
    }
    this.#schedule();
  }

  #schedule(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const next = Math.min(...[...this.#timed.values()].map(({ endsAt }) => endsAt));
    if (!Number.isFinite(next)) return;
    const { clock } = this.#options;
    this.#timer = clock.setTimer(Math.min(lookEveryMs, Math.max(0, next - clock.now())), () => this.#look());
  }
}

/** Returns the terms with their words: the time of the end, and the reason. */
export function pauseTerms({ pauseReason, pausedUntilMs }: PauseColumns): PauseTerms {
  const reason = pauseReason ?? undefined;
  const untilMs = pausedUntilMs ?? undefined;
  const until = untilMs === undefined ? [] : [`until ${new Date(untilMs).toISOString()}`];
  return { reason, untilMs, words: [...until, ...(reason === undefined ? [] : [reason])].join("; ") };
}

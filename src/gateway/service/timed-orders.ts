/**
 * Orders about a service that end by themselves: pauses of automation, and maintenance.
 *
 * The end is a time in the order's row, which every gateway has: each ends the order for itself, so that it ends
 * although the gateway that took it is dead. Nothing is written at the end. A write would be newer than an order that
 * an operator gives at another gateway in the same moment, and would undo it.
 *
 * Clocks differ, so gateways end an order at different moments. Which error does harm? A pause that ends early costs
 * a failover while an operator works: no write is lost, and it still takes a majority that sees the primary down. One
 * that never ends leaves a lost primary unreplaced, and clients wait for the end of maintenance. Each gateway therefore
 * takes the earlier of two ends: the time of the row by its own wall clock, and the length of the order, by its
 * monotonic clock, from when it heard of it. A clock that is behind prolongs nothing, unless that gateway was started
 * meanwhile; one that is ahead shortens it by as much as it is ahead.
 *
 * Every gateway records the end as an event of the same id: in the shared table it is one event.
 */
import type { OrderTerms } from "../../core/failover/state.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";

/** Longest time between two looks at the wall clock, which can be corrected. */
const lookEveryMs = 1_000;

/** The columns of an order in a row. */
export interface OrderColumns {
  readonly isOn: boolean;
  readonly reason: string | null;
  readonly atMs: number | null;
  /** Null: until it is taken back. */
  readonly untilMs: number | null;
}
export const noOrder: OrderColumns = { isOn: false, reason: null, atMs: null, untilMs: null };

/** What an operator says. */
export interface TimedOrder {
  readonly reason: string | undefined;
  /** Undefined: until it is taken back. */
  readonly forMs: number | undefined;
}

/** Returns the columns of an order that is given now; undefined: one that is taken back. */
export function columnsOf(order: TimedOrder | undefined, wallTimeMs: number): OrderColumns {
  if (order === undefined) return noOrder;
  const atMs = Math.floor(wallTimeMs);
  const untilMs = order.forMs === undefined ? null : atMs + order.forMs;
  return { isOn: true, reason: order.reason ?? null, atMs, untilMs };
}

export interface TimedOrdersOptions {
  readonly clock: Clock;
  /** Before the ids of the ends. */
  readonly prefix: string;
  /** What is in force changed; undefined: no order. */
  apply(service: string, terms: OrderTerms | undefined): void;
  /** An order ended by itself. `id`: the same on all gateways. */
  ended(service: string, terms: OrderTerms, id: string): void;
}

interface Running {
  readonly key: string;
  readonly terms: OrderTerms;
  readonly untilMs: number;
  /** Monotonic. */
  readonly endsAt: number;
}

export class TimedOrders {
  readonly #options: TimedOrdersOptions;
  readonly #timed = new Map<string, Running>();
  /** Orders that are over, so that the same row does not begin one again. */
  readonly #over = new Map<string, string>();
  #timer: Timer | undefined;

  constructor(options: TimedOrdersOptions) {
    this.#options = options;
  }

  /** The row about a service was read, written or received. */
  heard(service: string, columns: OrderColumns): void {
    const { isOn, atMs, untilMs } = columns;
    const { clock, apply } = this.#options;
    if (!isOn || untilMs === null) {
      this.#timed.delete(service);
      return apply(service, isOn ? orderTerms(columns) : undefined);
    }
    const key = `${atMs ?? 0}.${untilMs}`;
    if (this.#over.get(service) === key || this.#timed.get(service)?.key === key) return;
    const leftMs = Math.min(untilMs - clock.wallTime(), untilMs - (atMs ?? -Infinity));
    if (leftMs <= 0) {
      this.#timed.delete(service);
      this.#over.set(service, key);
      return apply(service, undefined);
    }
    const terms = orderTerms(columns);
    this.#timed.set(service, { key, terms, untilMs, endsAt: clock.now() + leftMs });
    apply(service, terms);
    this.#schedule();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timed.clear();
  }

  #look(): void {
    const { clock, prefix, apply, ended } = this.#options;
    for (const [service, { key, terms, untilMs, endsAt }] of this.#timed) {
      if (clock.now() < endsAt && clock.wallTime() < untilMs) continue;
      this.#timed.delete(service);
      this.#over.set(service, key);
      apply(service, undefined);
      ended(service, terms, `${prefix}.${service}.${key}`);
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
export function orderTerms({ reason, untilMs }: OrderColumns): OrderTerms {
  const until = untilMs === null ? [] : [`until ${new Date(untilMs).toISOString()}`];
  return {
    reason: reason ?? undefined,
    untilMs: untilMs ?? undefined,
    words: [...until, ...(reason === null ? [] : [reason])].join("; "),
  };
}

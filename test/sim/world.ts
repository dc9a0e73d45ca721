/**
 * The world: virtual time and a queue of events. Nothing in it waits for the real clock.
 *
 * Events run one at a time, ordered by time and then by the order in which they were asked for. After each one all
 * microtasks are drained, so between two events no process has code in progress: it can be frozen or killed there, and
 * no promise of it continues afterwards. Microtasks run in the order that the language fixes, so the
 * whole history depends on the seed alone, on every runtime.
 */
import { Coverage } from "./coverage.ts";
import { Trace } from "./trace.ts";

export interface Scheduled {
  cancel(): void;
}

class Event implements Scheduled {
  readonly atMs: number;
  readonly order: number;
  readonly label: string;
  run: (() => void) | undefined;

  constructor(atMs: number, order: number, label: string, run: () => void) {
    this.atMs = atMs;
    this.order = order;
    this.label = label;
    this.run = run;
  }

  cancel(): void {
    this.run = undefined;
  }
}

/**
 * Times are multiples of 2^-10 ms, never early. Engines differ in the last bit of logarithms and powers, which delays
 * are drawn with; off the grid such a bit could decide which of two things comes first.
 */
const onGrid = (ms: number): number => Math.ceil(ms * 1_024) / 1_024;

/** A history that does not end is a defect of the simulation, or a busy loop of the product. */
const eventsMax = 20_000_000;

export class World {
  readonly trace: Trace;
  readonly coverage = new Coverage();
  #now = 0;
  #order = 0;
  readonly #heap: Event[] = [];

  constructor(options: { readonly keepTrace: boolean }) {
    this.trace = new Trace(options.keepTrace);
  }

  /** Milliseconds since the world began. */
  get now(): number {
    return this.#now;
  }

  after(delayMs: number, label: string, run: () => void): Scheduled {
    const event = new Event(delayMs > 0 ? onGrid(this.#now + delayMs) : this.#now, this.#order++, label, run);
    this.#push(event);
    return event;
  }

  say(who: string, what: string): void {
    this.trace.say(this.#now, who, what);
    this.coverage.heard(who, what);
  }

  /**
   * Runs until the condition holds (looked at after every event), or the time has come; true when the condition held.
   */
  async runUntil(atMs: number, condition: () => boolean = () => false): Promise<boolean> {
    await settled();
    if (condition()) return true;
    const drain = await drainer();
    for (;;) {
      const outcome =
        drain === undefined ? await this.#turn(atMs, condition) : await this.#burst(atMs, condition, drain);
      if (outcome !== undefined) return outcome;
    }
  }

  /** Many events in one go, where the runtime can drain its microtasks on demand. */
  #burst(atMs: number, condition: () => boolean, drain: () => void): Promise<boolean | undefined> {
    return new Promise((resolve, reject) => {
      setImmediate(() => {
        try {
          for (let i = 0; i < 5000; i++) {
            if (!this.#step(atMs)) return resolve(false);
            drain();
            if (condition()) return resolve(true);
          }
          resolve(undefined);
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  async #turn(atMs: number, condition: () => boolean): Promise<boolean | undefined> {
    if (!this.#step(atMs)) return false;
    await settled();
    return condition() ? true : undefined;
  }

  /** One event; false when there is none until then. */
  #step(atMs: number): boolean {
    for (;;) {
      const next = this.#heap[0];
      if (next === undefined || next.atMs > atMs) {
        this.#now = Math.max(this.#now, atMs);
        return false;
      }
      this.#pop();
      const run = next.run;
      if (run === undefined) continue;
      this.#now = next.atMs;
      next.run = undefined;
      this.trace.event(this.#now, next.label);
      if (this.trace.events > eventsMax) throw new Error(`more than ${eventsMax} events: something spins`);
      run();
      return true;
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as Event;
      if (!isBefore(event, above)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      const right = child + 1;
      if (right < heap.length && isBefore(heap[right] as Event, heap[child] as Event)) child = right;
      if (!isBefore(heap[child] as Event, last)) break;
      heap[at] = heap[child] as Event;
      at = child;
    }
    heap[at] = last;
  }
}

const isBefore = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

const settled = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Bun can drain its microtasks from outside a microtask; elsewhere each event costs a turn of the event loop. */
async function drainer(): Promise<(() => void) | undefined> {
  if (!("Bun" in globalThis) || process.env["SIM_PORTABLE"] === "1") return undefined;
  const { drainMicrotasks } = await import("bun:jsc");
  return drainMicrotasks;
}

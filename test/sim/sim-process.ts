/**
 * A process that can be killed and frozen.
 *
 * Everything that enters its code comes through `enter`: timers, answers of ports, messages. A dead process is never
 * entered again, so what it awaited never comes; a frozen one is entered when it thaws, in the order in which things
 * arrived. Its clock runs at its own rate, and runs on while it is frozen.
 */
import { type Clock, sleepOn, type Timer } from "../../src/runtime/clock.ts";
import type { Scheduled, World } from "./world.ts";

export interface ClockKind {
  /** Own milliseconds per true millisecond. */
  readonly rate: number;
  /** Wall clock at the beginning of the world. */
  readonly wallStartMs: number;
}

/** Cancelled, it is not called even when it has gone off already and its process was frozen. */
class ProcessTimer implements Timer {
  readonly #scheduled: Scheduled;
  #callback: (() => void) | undefined;

  constructor(process: SimProcess, afterMs: number, callback: () => void) {
    this.#callback = callback;
    const fire = (): void => this.#callback?.();
    this.#scheduled = process.world.after(afterMs, "timer", () => process.enter(fire));
  }

  cancel(): void {
    this.#callback = undefined;
    this.#scheduled.cancel();
  }
}

export class SimProcess {
  readonly name: string;
  readonly world: World;
  readonly clock: Clock;
  #state: "running" | "frozen" | "dead" = "running";
  #backlog: (() => void)[] = [];
  readonly #whenDead: ((how: "crash" | "power") => void)[] = [];

  constructor(world: World, name: string, clock: ClockKind) {
    this.world = world;
    this.name = name;
    this.clock = this.#makeClock(clock);
  }

  get state(): "running" | "frozen" | "dead" {
    return this.#state;
  }

  get isDead(): boolean {
    return this.#state === "dead";
  }

  /** Runs code of this process now, at thaw, or never. */
  enter(run: () => void): void {
    if (this.#state === "dead") return;
    if (this.#state === "frozen") this.#backlog.push(run);
    else run();
  }

  /** An answer of a port: resolves after `delayMs` of true time, unless the process is dead by then. */
  answer<T>(delayMs: number, label: string, make: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.world.after(delayMs, label, () => {
        this.enter(() => {
          try {
            resolve(make());
          } catch (error) {
            reject(error);
          }
        });
      });
    });
  }

  freeze(): void {
    if (this.#state === "running") this.#state = "frozen";
  }

  thaw(): void {
    if (this.#state !== "frozen") return;
    this.#state = "running";
    for (const run of this.#backlog.splice(0)) this.world.after(0, "thawed", () => this.enter(run));
  }

  kill(how: "crash" | "power"): void {
    if (this.#state === "dead") return;
    this.#state = "dead";
    this.#backlog = [];
    for (const tell of this.#whenDead.splice(0)) tell(how);
  }

  /** What the kernel does when the process is gone: closes connections. Runs at once. */
  whenDead(tell: (how: "crash" | "power") => void): () => void {
    this.#whenDead.push(tell);
    return () => {
      const at = this.#whenDead.indexOf(tell);
      if (at >= 0) this.#whenDead.splice(at, 1);
    };
  }

  #makeClock({ rate, wallStartMs }: ClockKind): Clock {
    const setTimer: Clock["setTimer"] = (delayMs, callback) =>
      new ProcessTimer(this, Math.max(0, delayMs) / rate, callback);
    return {
      now: () => 1_000 + this.world.now * rate,
      wallTime: () => wallStartMs + this.world.now,
      setTimer,
      sleep: (delayMs, signal) => sleepOn({ setTimer }, delayMs, signal),
    };
  }
}

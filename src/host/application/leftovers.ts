/**
 * Leftovers: no process of an application survives its term.
 *
 * A signal to the process group misses processes that have left it: a daemon, a child with its own session, the
 * application itself if it was started through `setsid`. Such a process keeps the old database files open, continues
 * its background jobs, and has its port. Its commits after the term are lost, because they are not captured. Therefore,
 * after every stop, kill and crash, and before a host restores files or may become primary:
 *
 * - processes started by an application of this host are killed, and waited for (`Processes.ours`);
 * - other processes that have a database open for writing are named, and this host waits until they are gone. They are
 *   never killed: one may be an operator's shell. A reader (a backup) does no harm.
 *
 * The search cannot miss one that forks meanwhile: it is repeated until a look finds none, and a killed process forks
 * no more. A process in the middle of an exec has no environment for a moment: such a look is not certain, and another
 * follows.
 *
 * How one would try to break it: an application that clears its environment, starts a session and forks twice, on a
 * machine where the host may not make a cgroup, and that has neither a database nor the port open; or one whose
 * processes are started by another program (a container engine, a service manager), for which there is
 * `host.application.stop.command`.
 */
import type { Rules } from "../../core/rules.ts";
import type { Clock } from "../../runtime/clock.ts";
import { OperatorError } from "../../runtime/operator-error.ts";

/** A process, distinguished from a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly born: string;
  /** Process group, to recognise processes that have left the application's. */
  readonly group: number;
}

/**
 * How thoroughly to look. `near`: where processes that have just ended can be; `everywhere`: also for leftovers of an
 * earlier run of the host.
 */
export type Reach = "near" | "everywhere";

export interface Sighting {
  readonly found: readonly ProcessIdentity[];
  /** False: a process could not be distinguished from ours just now. Another look in a moment is worthwhile. */
  readonly isCertain: boolean;
}

/** The machine's processes, as far as they concern an application; the simulation has its own. */
export interface Processes {
  /** Returns living processes that an application of this host started, whatever their present parent. */
  ours(reach: Reach): Sighting;
  /** Kills at once; does nothing for a process that is gone. */
  kill(found: readonly ProcessIdentity[]): void;
  signal(process: ProcessIdentity, signal: NodeJS.Signals): void;
  /** `4711 (python3 app.py)`. */
  describe(pid: number): string;
  /**
   * Returns other processes that have a file of the data folder open for writing, as sentences. Looks at every process.
   */
  writers(): Promise<readonly string[]>;
  /**
   * Returns other processes that hold a lock on one of these databases, as sentences. Cheap; sees processes of all
   * users.
   */
  lockers(databases: Iterable<string>): readonly string[];
  /** Nothing is left: frees what was kept to find them. */
  tidy(): void;
}

export interface LeftoversOptions {
  readonly processes: Processes;
  readonly clock: Clock;
  readonly rules: Rules;
  readonly onWarning: (text: string) => void;
}

/** A process of the application is still alive, or another process has its files. */
export class LeftoverError extends OperatorError {
  constructor(found: string, advice: string) {
    super("application", { found, advice });
  }
}

/** A killed process is gone within this time, unless it waits for a disk. */
const endMsMax = 5_000;
const lookMs = { first: 1, most: 20 } as const;
/** Largest number of processes named. */
const namedMax = 5;

/** The checks before a host restores or becomes primary. */
export type LeftoversPort = Pick<Leftovers, "ensureNone" | "obstacle">;

export class Leftovers {
  readonly #options: LeftoversOptions;

  constructor(options: LeftoversOptions) {
    this.#options = options;
  }

  /**
   * Kills living processes that an application of this host started, and resolves when they are gone. `group`: the
   * process group that has just been ended; processes outside it have escaped, and are named. Throws `LeftoverError` if
   * one does not end.
   */
  async clear(reach: Reach, group?: number): Promise<void> {
    const { processes, clock, rules, onWarning } = this.#options;
    if (!rules.has("no-leftovers")) return;
    const startedAt = clock.now();
    const named = new Set<number>();
    for (let pauseMs: number = lookMs.first; ; pauseMs = Math.min(pauseMs * 2, lookMs.most)) {
      const { found, isCertain } = processes.ours(reach);
      if (found.length === 0 && isCertain) break;
      const escaped = found.filter((one) => one.group !== group && !named.has(one.pid));
      if (escaped.length > 0)
        onWarning(`the application left processes behind; they are killed: ${this.#describe(escaped)}`);
      for (const { pid } of escaped) named.add(pid);
      if (found.length > 0) processes.kill(found);
      if (clock.now() - startedAt > endMsMax) {
        throw new LeftoverError(
          `of the application there are still, ${endMsMax} ms after they were killed: ${this.#describe(found)}`,
          "a process that waits for a disk ends when the wait does",
        );
      }
      await clock.sleep(pauseMs);
    }
    processes.tidy();
  }

  /**
   * Clears leftovers of an earlier run of this host too. Throws `LeftoverError` if another process writes to the
   * databases.
   */
  async ensureNone(): Promise<true> {
    await this.clear("everywhere");
    const writers = await this.#options.processes.writers();
    if (writers.length > 0) throw new LeftoverError(shorten(writers), endAdvice);
    return true;
  }

  /** Returns why this host may not become primary now; undefined: it may. */
  obstacle(databases: Iterable<string>): string | undefined {
    const lockers = this.#options.processes.lockers(databases);
    return lockers.length === 0 ? undefined : `${shorten(lockers)} (${endAdvice})`;
  }

  /** Sends the stop signal to processes that a signal to the group does not reach. */
  signalEscaped(signal: NodeJS.Signals, group: number): void {
    const { processes } = this.#options;
    for (const process of processes.ours("near").found) if (process.group !== group) processes.signal(process, signal);
  }

  #describe(found: readonly ProcessIdentity[]): string {
    return shorten(found.map(({ pid }) => this.#options.processes.describe(pid)));
  }
}

const endAdvice =
  "end it: its writes would be lost; an application in a container needs `stop.command` in [host.application]";

const shorten = (words: readonly string[]): string =>
  words.slice(0, namedMax).join(", ") + (words.length > namedMax ? ` and ${words.length - namedMax} more` : "");

/**
 * Leftovers: nothing of an application survives its term.
 *
 * A signal to the process group misses what has left the group: a daemon, a child with a session of its own, the
 * application itself when it was started through `setsid`. Such a process keeps the old database files open, goes on
 * with its background jobs, and has its port. What it commits after the term is lost, because nobody captures it. So
 * after every stop, kill and crash, and before a host restores files or may become primary:
 *
 * - what an application of this host started is killed, and waited for (`Processes.ours`);
 * - what somebody else started and has a database open for writing is named, and this host does not go on until it is
 *   gone. It is never killed: it may be a person's shell. A reader (a backup) harms nobody.
 *
 * Finding them cannot lose one that forks meanwhile: it is looked again until a look finds none, and a killed process
 * forks no more. One that is just being replaced by another program (exec) has no environment for a moment: such a look
 * is not certain, and another follows.
 *
 * How one would try to break it: an application that clears its environment, starts a session and forks twice, on a
 * machine where the host may not make a cgroup, and that has neither a database nor the port open. Or one that has its
 * processes started by another (a container engine, a service manager): `host.application.stop.command` is for these.
 */
import type { Rules } from "../../core/rules.ts";
import type { Clock } from "../../runtime/clock.ts";
import { OperatorError } from "../../runtime/operator-error.ts";

/** A process, told from a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  readonly born: string;
  /** Process group, to tell what has left the application's. */
  readonly group: number;
}

/**
 * How thoroughly to look. `near`: where what has just ended can be; `everywhere`: also for what an earlier run of the
 * host left.
 */
export type Reach = "near" | "everywhere";

export interface Sighting {
  readonly found: readonly ProcessIdentity[];
  /** False: there was a process that could not be told from ours just now. It is worth another look in a moment. */
  readonly isCertain: boolean;
}

/** The machine's processes as far as an application is concerned; the simulation brings its own. */
export interface Processes {
  /** Living processes that an application of this host started, whoever their parent is now. */
  ours(reach: Reach): Sighting;
  /** Kills at once; nothing happens to a process that is gone. */
  kill(found: readonly ProcessIdentity[]): void;
  signal(process: ProcessIdentity, signal: NodeJS.Signals): void;
  /** `4711 (python3 app.py)`. */
  describe(pid: number): string;
  /** Others that have a file of the data folder open for writing, as sentences. Looks at every process. */
  writers(): Promise<readonly string[]>;
  /** Others that hold a lock on one of these databases, as sentences. Cheap; sees processes of all users. */
  lockers(databases: Iterable<string>): readonly string[];
  /** Nothing is left: what was kept to find them can go. */
  tidy(): void;
}

export interface LeftoversOptions {
  readonly processes: Processes;
  readonly clock: Clock;
  readonly rules: Rules;
  readonly onWarning: (text: string) => void;
}

/** Something of the application lives on, or somebody else has its files. */
export class LeftoverError extends OperatorError {
  constructor(found: string, advice: string) {
    super("application", { found, advice });
  }
}

/** A killed process is gone within this, unless it waits for a disk. */
const endMsMax = 5_000;
const lookMs = { first: 1, most: 20 } as const;
/** So many are named. */
const namedMax = 5;

/** What a host asks before it restores or becomes primary. */
export type LeftoversPort = Pick<Leftovers, "ensureNone" | "obstacle">;

export class Leftovers {
  readonly #options: LeftoversOptions;

  constructor(options: LeftoversOptions) {
    this.#options = options;
  }

  /**
   * Kills what an application of this host started and that still lives, and resolves when it is gone. `group`: the
   * process group that has just been ended; what lives outside of it has escaped, and is named. Throws `LeftoverError`
   * when something does not end.
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

  /** Also what an earlier run of this host left. Throws `LeftoverError` when somebody else writes to the databases. */
  async ensureNone(): Promise<true> {
    await this.clear("everywhere");
    const writers = await this.#options.processes.writers();
    if (writers.length > 0) throw new LeftoverError(shorten(writers), endAdvice);
    return true;
  }

  /** Why this host may not become primary now; undefined: it may. */
  obstacle(databases: Iterable<string>): string | undefined {
    const lockers = this.#options.processes.lockers(databases);
    return lockers.length === 0 ? undefined : `${shorten(lockers)} (${endAdvice})`;
  }

  /** The stop signal, for what a signal to the group does not reach. */
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

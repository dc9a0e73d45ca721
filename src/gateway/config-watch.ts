/**
 * Rereads the configuration file when it changes, or at once on request (SIGHUP), and passes it to the gateway.
 *
 * The file is checked every `pollMs` by time, size and inode (watching is unreliable on network file systems and where
 * editors replace files), and read once it has looked the same twice, so that a half-written file is not taken for an
 * invalid one. A file that is invalid in any part is refused as a whole; this is reported until a valid one arrives.
 */
import { stat } from "node:fs/promises";
import { formatProblems } from "../config/problems.ts";
import type { ConfigResult } from "../config/types.ts";
import type { Clock, Timer } from "../runtime/clock.ts";
import type { Logger } from "../runtime/log.ts";
import { BackgroundTasks } from "../runtime/background-tasks.ts";
import type { Gateway } from "./gateway.ts";

export const configPollMs = 1_000;

export interface ConfigWatchOptions {
  /** Absolute. */
  readonly file: string;
  readonly load: () => ConfigResult;
  readonly gateway: Pick<Gateway, "reload" | "refuseReload">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly pollMs?: number;
}

export class ConfigWatch {
  readonly #options: ConfigWatchOptions;
  readonly #background = new BackgroundTasks();
  #timer: Timer | undefined;
  /** State of the file at the last read, and at the last check. */
  #read = "";
  #seen = "";
  #isStopped = false;

  /** The present file counts as read. */
  static async start(options: ConfigWatchOptions): Promise<ConfigWatch> {
    const watch = new ConfigWatch(options);
    watch.#read = watch.#seen = await lookOf(options.file);
    watch.#schedule();
    return watch;
  }

  private constructor(options: ConfigWatchOptions) {
    this.#options = options;
  }

  /** Reloads whether or not the file has changed. */
  reloadNow(): void {
    this.#background.own(this.#lookAndReload(true));
  }

  async close(): Promise<void> {
    this.#isStopped = true;
    this.#timer?.cancel();
    await this.#background.settled();
  }

  #schedule(): void {
    if (this.#isStopped) return;
    this.#timer = this.#options.clock.setTimer(this.#options.pollMs ?? configPollMs, () => {
      this.#background.own(this.#lookAndReload(false).finally(() => this.#schedule()));
    });
  }

  async #lookAndReload(atOnce: boolean): Promise<void> {
    const look = await lookOf(this.#options.file);
    const isStable = look === this.#seen;
    this.#seen = look;
    if (this.#isStopped || (!atOnce && (look === this.#read || !isStable))) return;
    this.#read = look;
    this.#reload();
  }

  #reload(): void {
    const { load, gateway, log, file } = this.#options;
    const result = load();
    const refuse = (why: string): void => {
      gateway.refuseReload(why);
      log.error(`configuration refused, the previous one stays in force: ${why}`);
    };
    if (result.kind === "invalid") return refuse(formatProblems(result.problems));
    if (result.config.gateway === undefined) return refuse(`${file} no longer has [gateway]`);
    const outcome = gateway.reload(result.config.gateway);
    if (outcome.kind === "refused") log.error(`configuration refused, the previous one stays in force: ${outcome.why}`);
    else log.info(`configuration reloaded: ${file}`);
  }
}

async function lookOf(file: string): Promise<string> {
  try {
    const { mtimeMs, size, ino } = await stat(file);
    return `${mtimeMs} ${size} ${ino}`;
  } catch (error) {
    return `unreadable: ${(error as NodeJS.ErrnoException).code ?? "?"}`;
  }
}

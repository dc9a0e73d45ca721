/**
 * Which errors of a captured database are transient, so that they hold responses (`host.uncaptured`) and end nothing
 * before the patience is over: a fault is confined to one database.
 *
 * Holding is safe because a retry loses nothing: a collection reads and proves before it accepts, so one that could not
 * read has changed nothing, and what was captured before is in the journal. No flush leaves meanwhile, not even of
 * other databases: all of them at one instant, or nothing (consistent-cut.ts).
 *
 * - The file system or SQLite could not read, open or list something (EIO, ENOENT in quick creation and deletion,
 *   EMFILE, a damaged page): the same call may succeed in a moment. If it does not, the term ends, and the next primary
 *   starts from what was captured.
 * - A second name (hard link), as backup programs make briefly. Commits under that name would go into another log. A
 *   log beside that name ends the capture at once. When the name is gone, before a response leaves, the processes that
 *   have the database open are determined, and every page of the file is compared with the captured state
 *   (file-watch.ts).
 *
 * All others end the term at once, because acknowledged data is at stake: captured frames are overwritten, the file has
 * other content than was captured, or commits went into a log or a file that is not read. This disk then no longer
 * continues what clients were told. Taking it as a new base would make the journal forget acknowledged writes; the
 * captured state has them all, and the next primary serves it. Waiting could not bring them back into the file, and
 * releasing could acknowledge data that is in no file.
 */
import { CaptureError } from "./capture-error.ts";
import { cannotRead } from "./refusals.ts";
import type { Uncaptured } from "./uncaptured.ts";

/** SQLite's result codes (rescode.html): NOMEM, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB. */
const passing = [7, 8, 10, 11, 13, 14, 26];

/** Returns the fault that holds responses; undefined: the error ends the capture. */
export function faultOf(error: unknown): CaptureError | undefined {
  if (error instanceof CaptureError) return error.kind === "unreadable" || error.kind === "linked" ? error : undefined;
  return isOfTheSystem(error) ? cannotRead(".", error) : undefined;
}

/** Runs work on one database, and names the database in read errors. */
export function naming<T>(name: string, work: () => T): T {
  const named = (error: unknown): never => {
    throw isOfTheSystem(error) ? cannotRead(name, error) : error;
  };
  try {
    const result = work();
    return result instanceof Promise ? (result.catch(named) as T) : result;
  } catch (error) {
    return named(error);
  }
}

export interface FaultOptions {
  readonly mode: "hold" | "stop" | undefined;
  readonly patienceMs: number;
}

/** The faults of captured databases that now hold responses. */
export class Faults {
  readonly #uncaptured: Uncaptured;
  readonly #options: FaultOptions;
  readonly #noted = new Map<string, CaptureError>();

  constructor(uncaptured: Uncaptured, options: FaultOptions) {
    this.#uncaptured = uncaptured;
    this.#options = options;
  }

  /**
   * Returns undefined if a fault is noted, and responses are held. Throws permanent errors, and faults that outlast the
   * patience.
   */
  async hold<T>(work: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      const fault = faultOf(error);
      if (fault === undefined || this.#options.mode === "stop") throw fault ?? error;
      this.#noted.set(fault.database, fault);
      this.#uncaptured.note(fault.database, fault);
      this.#uncaptured.assertPatience(this.#options.patienceMs);
      return undefined;
    }
  }

  /** A whole collection succeeded. */
  clear(): void {
    for (const [name, fault] of this.#noted) this.#uncaptured.withdraw(name, fault);
    this.#noted.clear();
  }
}

function isOfTheSystem(error: unknown): error is Error {
  if (!(error instanceof Error) || error instanceof CaptureError) return false;
  const { errno, errcode } = error as { readonly errno?: unknown; readonly errcode?: unknown };
  return typeof errno === "number" || (typeof errcode === "number" && passing.includes(errcode & 0xff));
}

/** True if `look` says so, or meets a fault: the next collection meets it as well, unless it has passed by then. */
export function seesOrFails(look: () => boolean): boolean {
  try {
    return look();
  } catch (error) {
    if (faultOf(error) !== undefined) return true;
    throw error;
  }
}

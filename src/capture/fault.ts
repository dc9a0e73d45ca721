/**
 * Which errors of a captured database may pass, so that they hold answers (`host.uncaptured`) and end nothing before
 * the patience is over: one database is one fault.
 *
 * They may be held because nothing is lost by trying again: a collection reads and proves before it accepts, so one
 * that could not read has changed nothing, and what was captured before is in the journal. No flush leaves meanwhile,
 * of the other databases neither: all of them at one instant, or nothing (consistent-cut.ts).
 *
 * - The file system or SQLite could not read, open or list something (EIO, ENOENT in quick creation and deletion,
 *   EMFILE, a damaged page): the same call may work in a moment. When it does not, the term ends, and the next primary
 *   begins with what was captured.
 * - A second name (hard link), as backup programs make them for a moment. Commits by that name would go into another
 *   log. A log beside that name ends the capture at once; and when the name is gone, before an answer leaves, it is
 *   asked who has the database open, and every page of the file is compared with what was captured (file-watch.ts).
 *
 * All others end the term at once, because acknowledged data is at stake: frames that were captured are overwritten,
 * the file has other content than was captured, commits went into a log or a file that nobody reads. What is on this
 * disk is then not a continuation of what clients were told. To take it as a new base would make the journal forget
 * acknowledged writes; the captured state has them all, and it is what the next primary serves. Waiting could not bring
 * them back into the file, and releasing could acknowledge what is in no file.
 */
import { CaptureError } from "./capture-error.ts";
import { cannotRead } from "./refusals.ts";
import type { Uncaptured } from "./uncaptured.ts";

/** SQLite's result codes (rescode.html): NOMEM, READONLY, IOERR, CORRUPT, FULL, CANTOPEN, NOTADB. */
const passing = [7, 8, 10, 11, 13, 14, 26];

/** The fault that holds answers; undefined: the error ends the capture. */
export function faultOf(error: unknown): CaptureError | undefined {
  if (error instanceof CaptureError) return error.kind === "unreadable" || error.kind === "linked" ? error : undefined;
  return isOfTheSystem(error) ? cannotRead(".", error) : undefined;
}

/** Does work on one database, and names it where it cannot be read. */
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

/** The faults of captured databases that hold answers now. */
export class Faults {
  readonly #uncaptured: Uncaptured;
  readonly #options: FaultOptions;
  readonly #names = new Set<string>();

  constructor(uncaptured: Uncaptured, options: FaultOptions) {
    this.#uncaptured = uncaptured;
    this.#options = options;
  }

  /**
   * Undefined: a fault is noted, and answers wait. Throws what may not pass, and what lasts for longer than the
   * patience.
   */
  async hold<T>(work: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      const fault = faultOf(error);
      if (fault === undefined || this.#options.mode === "stop") throw fault ?? error;
      this.#names.add(fault.database);
      this.#uncaptured.note(fault.database, fault);
      this.#uncaptured.assertPatience(this.#options.patienceMs);
      return undefined;
    }
  }

  /** A whole collection went well. */
  clear(): void {
    for (const name of this.#names) this.#uncaptured.clear(name);
    this.#names.clear();
  }
}

function isOfTheSystem(error: unknown): error is Error {
  if (!(error instanceof Error) || error instanceof CaptureError) return false;
  const { errno, errcode } = error as { readonly errno?: unknown; readonly errcode?: unknown };
  return typeof errno === "number" || (typeof errcode === "number" && passing.includes(errcode & 0xff));
}

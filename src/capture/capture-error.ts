import { OperatorError } from "../runtime/operator-error.ts";

/**
 * Why capture refuses to continue. Each kind would make the journal wrong if it were overlooked, so the host stops
 * acknowledging.
 *
 * - `not-wal`: the database is not in WAL mode and cannot be switched, or uses a WAL format that SQLite does not
 *   document.
 * - `exclusive`: a process holds the database exclusively (`locking_mode=EXCLUSIVE`), so its WAL index is not shared.
 * - `network-file-system`: the data folder is where POSIX locks and shared memory cannot be trusted.
 * - `replaced`: the path leads to a file other than the captured one.
 * - `page-size`: the page size changed under a captured database.
 * - `not-a-database`: the file's header is not SQLite's (encrypted, or another kind of file).
 * - `continuity`: committed frames cannot be read any more, or do not continue the captured state.
 * - `locked`: the database stayed locked or its WAL index torn for longer than the limit.
 * - `name`: a database name or pattern that is absolute, leaves the data folder, or cannot be a database.
 * - `limit`: more databases than the limit.
 * - `uncoordinated`: a process commits without the WAL index and its locks, so that others do not see it.
 * - `damaged`: SQLite cannot open the file.
 * - `unreadable`: a captured database, or its folder, cannot be read now.
 * - `linked`: the file has a second name (hard link), under which SQLite would keep another log.
 */
export type CaptureErrorKind =
  | "not-wal"
  | "exclusive"
  | "network-file-system"
  | "replaced"
  | "page-size"
  | "not-a-database"
  | "continuity"
  | "locked"
  | "name"
  | "limit"
  | "uncoordinated"
  | "damaged"
  | "unreadable"
  | "linked";

export interface CaptureProblem {
  readonly kind: CaptureErrorKind;
  /** Path relative to the data folder, or the folder itself. */
  readonly database: string;
  readonly found: string;
  readonly accepted: string;
  /** What an operator can do, in one sentence. */
  readonly advice: string;
}

export class CaptureError extends OperatorError {
  readonly kind: CaptureErrorKind;
  readonly database: string;
  constructor({ kind, database, found, ...rest }: CaptureProblem, options?: ErrorOptions) {
    super("application", { found: `${database === "." ? "the data folder" : database}: ${found}`, ...rest }, options);
    this.kind = kind;
    this.database = database;
  }
}

/** Committed frames cannot be read any more: nothing after this may be acknowledged; a new base is needed. */
export function lostContinuity(database: string, found: string, accepted: string): CaptureError {
  return new CaptureError({
    kind: "continuity",
    database,
    found,
    accepted,
    advice:
      "Stop the application, make sure that nothing else checkpoints, copies or deletes its files, and restart this host.",
  });
}

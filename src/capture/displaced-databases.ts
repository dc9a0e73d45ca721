/**
 * Captured databases that were renamed or replaced while a process has them open: another file, or none, is at their
 * name, and commits continue into a log that was left behind. Responses are held until the file is closed or back.
 *
 * Until then nothing of their log is captured. The journal's content under the old name may be all that it has of the
 * file, whose new name is not captured yet; and a process that opens the other file uses the log beside the old name as
 * that file's log. (Example: a.db, a link to x, is captured; x is renamed to d.db, and a new x is created by the name
 * a.db. What is committed there would replace acknowledged content in the journal while d.db still waits.)
 *
 * Commits since then are in no file of the service, unless the file has another matching name, under which it is
 * captured with its log, and no other file was at the old name: the log could be that file's. Such commits end the
 * capture when the file is closed or comes back; the journal has what was acknowledged.
 */
import { CaptureError } from "./capture-error.ts";
import { Deletion } from "./deletion.ts";
import type { FoundFile } from "./discovery.ts";
import { type FileIdentity, sameFile } from "./file-identity.ts";
import { processesWithOpen } from "./open-files.ts";
import { moved, replaced, writtenAfterDeletion, writtenAfterRename } from "./refusals.ts";
import { EventLoopBudget } from "../runtime/event-loop-budget.ts";
import type { TrackedDatabase } from "./tracked-database.ts";
import type { Uncaptured } from "./uncaptured.ts";

interface Displaced {
  /** The file that is at the name now. */
  identity: FileIdentity | undefined;
  /** Some other file was at the name since. */
  hasHadOther: boolean;
  readonly since: Deletion;
}

export class DisplacedDatabases {
  readonly #uncaptured: Uncaptured;
  readonly #displaced = new Map<string, Displaced>();

  constructor(uncaptured: Uncaptured) {
    this.#uncaptured = uncaptured;
  }

  get size(): number {
    return this.#displaced.size;
  }

  has(name: string): boolean {
    return this.#displaced.has(name);
  }

  /** The file that was last found at the database's name. */
  identityAt({ name, files }: TrackedDatabase): FileIdentity | undefined {
    const displaced = this.#displaced.get(name);
    return displaced === undefined ? files.identity : displaced.identity;
  }

  /**
   * The database is not at its name. Returns true if no process has it open, so that it is a deletion or a rename;
   * notes otherwise that it is left out. Throws `CaptureError` if something was committed to it since it was displaced,
   * and is in no file that is captured.
   */
  async isGone(database: TrackedDatabase, found: ReadonlyMap<string, FoundFile>): Promise<boolean> {
    const { name, files } = database;
    const file = found.get(name);
    const displaced = this.#displaced.get(name) ?? { hasHadOther: false, since: new Deletion(database) };
    const now = {
      ...displaced,
      identity: file?.identity,
      hasHadOther: displaced.hasHadOther || file !== undefined,
    };
    if (!files.hasName) {
      // While it is held a process may continue: commits there are lost, captured or not.
      if (now.since.wasWrittenSince()) throw writtenAfterDeletion(name, files.users());
      if (file === undefined) return true;
    }
    // Both are checked: a lock is the rule, but an open file that was not read yet has none. Unknown counts as open.
    const isClosed = files.users()?.length === 0 && processesWithOpen(files.identity).length === 0;
    if (isClosed) {
      const isElsewhere = [...found.values()].some(({ identity }) => sameFile(identity, files.identity));
      if (files.hasName) await assertWhole(database, now, isElsewhere);
      return true;
    }
    this.#displaced.set(name, now);
    this.#uncaptured.note(name, file === undefined ? moved(name) : replaced(name));
    return false;
  }

  /** The database is at its name. Throws `CaptureError` if another file may have used its log meanwhile. */
  async noteInPlace(database: TrackedDatabase): Promise<void> {
    const displaced = this.#displaced.get(database.name);
    if (displaced === undefined) return;
    await assertWhole(database, displaced, true);
    this.forget(database.name);
  }

  /** It is not captured any more, or in its place. */
  forget(name: string): void {
    this.#displaced.delete(name);
    this.#uncaptured.clear(name);
  }
}

/**
 * Throws `CaptureError` if commits since it was displaced are in no file that is captured, or in a log that may be
 * another file's, or if a process without the index wrote. If all frames are in some file and this one is as captured,
 * they were the other file's, and are there.
 */
async function assertWhole(
  database: TrackedDatabase,
  { hasHadOther, since }: Displaced,
  isCaptured: boolean,
): Promise<void> {
  const budget = new EventLoopBudget();
  if (!database.isAhead() && database.isSuspicious()) await database.watch.examine(database, budget);
  if (!since.wasWrittenSince() || (isCaptured && !hasHadOther)) return;
  const index = database.look();
  if (hasHadOther && index?.nBackfill === index?.mxFrame && (await isAsCaptured(database, budget))) return;
  throw writtenAfterRename(database.name);
}

const isAsCaptured = (database: TrackedDatabase, budget: EventLoopBudget): Promise<boolean> =>
  database.proveFile(budget).catch((error: unknown) => {
    if (error instanceof CaptureError) return false;
    throw error;
  });

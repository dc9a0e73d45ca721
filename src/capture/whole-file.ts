/**
 * Whether a new file is a complete database, or is still being created by other means than SQLite: `cp`, a download, a
 * restore from an archive. SQLite's own writers are kept apart by its locks; a copier has none, and a file taken in the
 * middle would be a permanently wrong base.
 *
 * - A process has SQLite's locks on it: these protect it, and so do the locks that attaching takes.
 * - A process has a rollback journal of it open, without locks: it is in the middle of a transaction.
 * - Otherwise it is complete if it is as long as its header says, no process has it open for writing only, and it has
 *   not changed for a moment; for longer if a process has it open at all (a connection in rollback mode between two
 *   transactions, or a copier that reads back what it writes).
 *
 * Between this look and the first reading of its pages the file is opened, and other databases are waited for. It is
 * therefore checked again right before (`isWhole`), and readBase reads between two looks at the stamp: a file that
 * moved in between is not a database yet.
 *
 * A writer that pauses for longer counts as finished. Its next write then changes the file without a log, which is
 * detected before a response leaves (file-watch.ts), and the capture ends: a loss of time, not of data.
 */
import { type BigIntStats, closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { type FilePath, withSuffix } from "./data-path.ts";
import { type FileIdentity, identityAt, sameFile } from "./file-identity.ts";
import { FileLocks } from "./file-locks.ts";
import { openFilesOf, processesWithOpen } from "./open-files.ts";
import { usersOfOtherLog } from "./other-log.ts";

const quietMs = 60;
const quietWhileOpenMs = 250;
/** Pause between two looks at a file that changed while it was being attached: each reads the list of locks. */
const lookAgainMs = 20;
/** O_RDONLY, O_WRONLY, and the mask for these and O_RDWR. */
const readOnly = 0;
const writeOnly = 1;
const accessModes = 3;

export type Making =
  | { readonly kind: "whole" }
  /** These processes have it open with the log beside its former name. */
  | { readonly kind: "renamed"; readonly pids: readonly number[] }
  /** It is shorter than its header says. */
  | { readonly kind: "short"; readonly found: string }
  | { readonly kind: "changing"; readonly found: string };

interface Seen {
  readonly stamp: string;
  readonly sinceMs: number;
}

export class WholeFile {
  readonly #path: FilePath;
  #seen: Seen | undefined;
  /** Stamp of the file when it was found complete, without SQLite's locks. */
  #wholeStamp: string | undefined;
  #lookAgainAtMs = 0;

  constructor(path: FilePath) {
    this.#path = path;
  }

  /**
   * `fd`: this process's descriptor of the file; another one would drop its locks. `nowMs` is monotonic, `wallMs` since
   * 1970.
   */
  look(nowMs: number, wallMs: number, fd?: number): Making {
    this.#wholeStamp = undefined;
    const stats = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    if (stats === undefined) return { kind: "changing", found: "a file that vanished" };
    if ((FileLocks.now()?.databaseLockers(stats.ino).length ?? 0) > 0) return { kind: "whole" };
    if (isInTransaction(this.#path))
      return { kind: "changing", found: "a transaction of a process that takes none of SQLite's locks" };
    const short = shortOf(this.#path, Number(stats.size), fd);
    if (short !== undefined) return { kind: "short", found: short };
    const stamp = stampOf(stats);
    const ageMs = wallMs - Number(stats.ctimeNs / 1_000_000n);
    const seen =
      this.#seen?.stamp === stamp
        ? this.#seen
        : { stamp, sinceMs: nowMs - Math.max(0, Math.min(ageMs, quietWhileOpenMs)) };
    this.#seen = seen;
    const stillMs = nowMs - seen.sinceMs;
    if (stillMs < quietMs) return { kind: "changing", found: "a file that was just written without SQLite's locks" };
    const writers = writersOf(this.#path);
    if (writers.some(({ mode }) => mode === writeOnly))
      return { kind: "changing", found: "a file that a process has open for writing, without SQLite's locks" };
    if (writers.length > 0 && stillMs < quietWhileOpenMs)
      return {
        kind: "changing",
        found: "a file that a process has open and has just written without SQLite's locks",
      };
    const renamers = usersOfOtherLog(this.#path, [...new Set(writers.map(({ pid }) => pid))]);
    if (renamers.length > 0) return { kind: "renamed", pids: renamers };
    this.#wholeStamp = stamp;
    return { kind: "whole" };
  }

  /** False if it was written to since it was found complete, or replaced; true while SQLite's locks protect it. */
  readonly isUnchanged = (): boolean => {
    if (this.#wholeStamp === undefined) return true;
    const stats = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    return stats !== undefined && stampOf(stats) === this.#wholeStamp;
  };

  /** This process has just changed it under SQLite's locks (another journal mode): that is no sign of a copier. */
  acceptChange(changed: BigIntStats): void {
    if (this.#wholeStamp === undefined || this.#seen === undefined) return;
    this.#wholeStamp = stampOf(changed);
    this.#seen = { ...this.#seen, stamp: this.#wholeStamp };
  }

  /**
   * True if it is still, or again, complete: checked right before it is read as a base. Sync; a microsecond while it
   * has not changed.
   */
  isWhole(fd: number, nowMs: number, wallMs: number): boolean {
    if (this.#wholeStamp !== undefined && this.#wholeStamp === stampOf(fstatSync(fd, { bigint: true }))) return true;
    if (nowMs < this.#lookAgainAtMs) return false;
    this.#lookAgainAtMs = nowMs + lookAgainMs;
    return this.look(nowMs, wallMs, fd).kind === "whole";
  }
}

/** Before the application starts, only this host or an operator can have created it: its length is checked. */
export function lookAtStart(path: FilePath): Making {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  const short = shortOf(path, size);
  return short === undefined ? { kind: "whole" } : { kind: "short", found: short };
}

const stampOf = ({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string => `${ino} ${size} ${mtimeNs} ${ctimeNs}`;

/**
 * Returns what is missing, by the header's own page count if that is valid (fileformat.html, section 1.3.7); a log may
 * hold the rest.
 */
function shortOf(path: FilePath, size: number, openFd?: number): string | undefined {
  const bytes = Buffer.alloc(100);
  const fd = openFd ?? openSync(path, "r");
  try {
    if (readSync(fd, bytes, 0, 100, 0) < 100) return `${size} bytes`;
  } finally {
    if (openFd === undefined) closeSync(fd);
  }
  const pageSize = bytes.readUInt16BE(16) === 1 ? 65_536 : bytes.readUInt16BE(16);
  const pages = bytes.readUInt32BE(28);
  if (bytes.readUInt32BE(24) !== bytes.readUInt32BE(92) || size >= pages * pageSize) return undefined;
  const logBytes = ["-wal", "-journal"].reduce(
    (sum, suffix) => sum + (statSync(withSuffix(path, suffix), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );
  return logBytes > 0 ? undefined : `${size} of ${pages * pageSize} bytes`;
}

/**
 * True if a process has a rollback journal open that SQLite would take for that of a killed one, as there is no lock: a
 * connection of this host would undo what is being written. One that was left behind is undone rightly.
 */
function isInTransaction(path: FilePath): boolean {
  const journal = withSuffix(path, "-journal");
  const identity = identityAt(journal);
  return identity !== undefined && isHot(journal) && processesWithOpen(identity).length > 0;
}

/** As SQLite decides it (pager.c, hasHotJournal): the header of a finished one is zeroed. */
function isHot(journal: FilePath): boolean {
  const first = Buffer.alloc(1);
  try {
    const fd = openSync(journal, "r");
    try {
      return readSync(fd, first, 0, 1, 0) === 1 && first[0] !== 0;
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false; // Finished just now.
    throw error;
  }
}

interface Writer {
  readonly pid: number;
  readonly mode: number;
}

/** Returns which other processes have the file open for writing, and how, as far as visible. */
function writersOf(path: FilePath): Writer[] {
  const identity = identityAt(path);
  if (identity === undefined) return [];
  return processesWithOpen(identity).flatMap((pid) =>
    openFilesOf(pid)
      .map(({ entry }) => ({ pid, mode: modeOf(pid, entry, identity) }))
      .filter(({ mode }) => mode !== readOnly),
  );
}

function modeOf(pid: number, entry: string, file: FileIdentity): number {
  try {
    const found = identityAt(entry);
    if (found === undefined || !sameFile(found, file)) return readOnly;
    const info = readFileSync(`/proc/${pid}/fdinfo/${entry.slice(entry.lastIndexOf("/") + 1)}`, "latin1");
    return Number.parseInt(/^flags:\s*([0-7]+)/m.exec(info)?.[1] ?? "0", 8) & accessModes;
  } catch {
    return readOnly; // Closed meanwhile.
  }
}

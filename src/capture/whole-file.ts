/**
 * Whether a file that appeared is a whole database yet, or one that somebody is still making by other means than
 * SQLite: `cp`, a download, a restore from an archive. SQLite's own writers are kept apart by its locks; a copier has
 * none, and a file that is taken in the middle is a wrong base for ever.
 *
 * - A process has SQLite's locks on it: SQLite looks after it, and so do the locks that attaching takes.
 * - Otherwise it is whole when it is as long as its header says, nobody has it open for writing only, and it has not
 *   changed for a moment; for longer when somebody has it open at all (a connection in rollback mode between two
 *   transactions, or a copier that reads back what it writes).
 *
 * Between this look and the first reading of its pages the file is opened, and other databases are waited for. So it is
 * asked again right before (`isWhole`), and readBase reads between two looks at the stamp: a file that moved in between
 * is not a database yet.
 *
 * A writer that pauses for longer is taken for finished. Its next write then changes the file without a log, which is
 * seen before an answer leaves (file-watch.ts), and the capture ends: a loss of time, not of data.
 */
import { type BigIntStats, closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from "node:fs";
import { type FilePath, withSuffix } from "./data-path.ts";
import { identityAt } from "./file-identity.ts";
import { FileLocks } from "./file-locks.ts";
import { openFilesOf, processesWithOpen } from "./open-files.ts";

const quietMs = 60;
const quietWhileOpenMs = 250;
/** Between two looks at one that changed while it was being attached: each reads the list of locks. */
const lookAgainMs = 20;
const writeOnly = 1;

export type Making =
  | { readonly kind: "whole" }
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
  /** Of the file when it was found whole, without SQLite's locks. */
  #wholeStamp: string | undefined;
  #lookAgainAtMs = 0;

  constructor(path: FilePath) {
    this.#path = path;
  }

  /**
   * `fd`: where this process has the file open; another descriptor would drop its locks. `nowMs` is monotonic, `wallMs`
   * since 1970.
   */
  look(nowMs: number, wallMs: number, fd?: number): Making {
    this.#wholeStamp = undefined;
    const stats = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    if (stats === undefined) return { kind: "changing", found: "a file that vanished" };
    if ((FileLocks.now()?.databaseLockers(stats.ino).length ?? 0) > 0) return { kind: "whole" };
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
    const writers = modesOf(this.#path);
    if (writers.includes(writeOnly))
      return { kind: "changing", found: "a file that a process has open for writing, without SQLite's locks" };
    if (writers.length > 0 && stillMs < quietWhileOpenMs)
      return {
        kind: "changing",
        found: "a file that a process has open and has just written without SQLite's locks",
      };
    this.#wholeStamp = stamp;
    return { kind: "whole" };
  }

  /** This process has just changed it under SQLite's locks (another journal mode): that is no sign of a copier. */
  acceptChange(changed: BigIntStats): void {
    if (this.#wholeStamp === undefined || this.#seen === undefined) return;
    this.#wholeStamp = stampOf(changed);
    this.#seen = { ...this.#seen, stamp: this.#wholeStamp };
  }

  /**
   * It is whole still, or again: asked right before it is read as a base. Sync; a microsecond while it has not changed.
   */
  isWhole(fd: number, nowMs: number, wallMs: number): boolean {
    if (this.#wholeStamp !== undefined && this.#wholeStamp === stampOf(fstatSync(fd, { bigint: true }))) return true;
    if (nowMs < this.#lookAgainAtMs) return false;
    this.#lookAgainAtMs = nowMs + lookAgainMs;
    return this.look(nowMs, wallMs, fd).kind === "whole";
  }
}

/** Before the application starts, nobody but this host or an operator has made it: its length is looked at. */
export function lookAtStart(path: FilePath): Making {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  const short = shortOf(path, size);
  return short === undefined ? { kind: "whole" } : { kind: "short", found: short };
}

const stampOf = ({ ino, size, mtimeNs, ctimeNs }: BigIntStats): string => `${ino} ${size} ${mtimeNs} ${ctimeNs}`;

/**
 * What is missing, by the header's own page count where it is valid (fileformat.html, section 1.3.7); a log may hold
 * the rest.
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
 * How other processes have the file open, of those that can be seen: O_WRONLY is 1, O_RDWR is 2; readers are left out.
 */
function modesOf(path: FilePath): number[] {
  const identity = identityAt(path);
  if (identity === undefined) return [];
  const modes: number[] = [];
  for (const pid of processesWithOpen(identity)) {
    for (const { entry } of openFilesOf(pid)) {
      const mode = modeOf(pid, entry, identity);
      if (mode > 0) modes.push(mode);
    }
  }
  return modes;
}

function modeOf(pid: number, entry: string, file: { readonly inode: bigint; readonly device: bigint }): number {
  try {
    const found = identityAt(entry);
    if (found?.inode !== file.inode || found.device !== file.device) return 0;
    const info = readFileSync(`/proc/${pid}/fdinfo/${entry.slice(entry.lastIndexOf("/") + 1)}`, "latin1");
    return Number.parseInt(/^flags:\s*([0-7]+)/m.exec(info)?.[1] ?? "0", 8) & 3;
  } catch {
    return 0; // Closed meanwhile.
  }
}

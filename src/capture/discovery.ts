/**
 * Which files of the data folder are databases of the service, and noticing that this has changed.
 *
 * Names are paths relative to the data folder; `*` and `?` match within one segment. Creating, deleting and renaming a file
 * changes the change time (ctime) of its directory, and renaming the directory itself does too, so `refresh()` needs one
 * `fstat` per directory that the patterns lead through (half a microsecond). Unlike the modification time it cannot be set
 * back. Time stamps are coarse (up to a timer tick; whole seconds on some file systems): when a directory was changed shortly
 * before it was scanned, another change may hide behind the same stamp, so it is scanned again until its stamp has settled.
 * A file without committed content is not a database yet, and growing does not touch its directory: those are looked at
 * each time.
 *
 * The data folder itself stays the same one. Were it moved away, or another mounted over it, its databases would seem to be
 * deleted, and the journal would delete them everywhere.
 */
import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { databasePatternAccepted, databaseSegments, isCompanion, segmentExpression } from "../core/database-pattern.ts";
import { CaptureError } from "./capture-error.ts";
import { type FileIdentity, identityAt, identityOf, identityOfFd, sameFile } from "./file-identity.ts";
import { notADatabase } from "./refusals.ts";

/** Changes within this of the scan may share its time stamp, milliseconds. */
const stampSettlesMs = 100;
/** The same where time stamps are whole seconds (ext4 with small inodes) or even ones (FAT). */
const coarseStampSettlesMs = 2_100;
const magic = Buffer.from("SQLite format 3\0", "latin1");

export interface FoundFile {
  readonly path: string;
  readonly identity: FileIdentity;
  readonly size: number;
}

interface WatchedFolder {
  readonly fd: number;
  /** ctime, milliseconds since 1970. */
  readonly changedMs: number;
  readonly settled: boolean;
}

export class Discovery {
  readonly #root: string;
  readonly #patterns: readonly (readonly string[])[];
  readonly #wallTime: () => number;
  readonly #isOpen: (identity: FileIdentity) => boolean;
  #folders: WatchedFolder[] | undefined;
  #found: ReadonlyMap<string, FoundFile> = new Map();
  /** Files that exist but have no committed content so far, by name. */
  #waiting = new Map<string, string>();
  /** The data folder, as the first scan found it. */
  #rootIdentity: FileIdentity | undefined;

  /** `isOpen`: this process has connections to that file, so it must not be opened here (POSIX locks). */
  constructor(root: string, names: readonly string[], wallTime: () => number, isOpen: (identity: FileIdentity) => boolean) {
    this.#root = root;
    this.#patterns = names.map(parsePattern);
    this.#wallTime = wallTime;
    this.#isOpen = isOpen;
  }

  /** Names of the files below `root` that match, whatever they contain, without `-wal` and the like. */
  static namesIn(root: string, names: readonly string[]): string[] {
    const found = new Map<string, FoundFile>();
    const discovery = new Discovery(root, names, () => 0, () => true);
    try {
      for (const pattern of discovery.#patterns) discovery.#walk("", pattern, discovery.#folders ??= [], new Set(), found);
      return [...found.keys()].sort();
    } finally {
      discovery.close();
    }
  }

  /** All databases that match now, sorted by name, without files that have no committed content. Cheap when nothing changed. */
  refresh(): ReadonlyMap<string, FoundFile> {
    if (this.#changed()) this.#found = this.#scan();
    return this.#found;
  }

  /** The next `refresh` scans: something changed that no folder tells. */
  forget(): void {
    this.close();
  }

  /** Throws `CaptureError` when the data folder is not the one of the first scan. */
  assertRootInPlace(): void {
    if (this.#rootIdentity === undefined) return;
    const found = identityAt(this.#root);
    if (found === undefined || !sameFile(found, this.#rootIdentity)) throw rootMoved(this.#root);
  }

  /** True when a scan could find something else than the last one did. */
  #changed(): boolean {
    if (this.#folders === undefined) return true;
    for (const folder of this.#folders) {
      if (!folder.settled || fstatSync(folder.fd).ctimeMs !== folder.changedMs) return true;
    }
    for (const [name, path] of this.#waiting) {
      const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
      if (stats === undefined || !this.#isWaiting(name, path, identityOf(stats), Number(stats.size))) return true;
    }
    return false;
  }

  #scan(): ReadonlyMap<string, FoundFile> {
    this.assertRootInPlace();
    const opened: WatchedFolder[] = [];
    const found = new Map<string, FoundFile>();
    const seen = new Set<string>();
    try {
      for (const pattern of this.#patterns) this.#walk("", pattern, opened, seen, found);
    } finally {
      this.close();
      this.#folders = opened;
    }
    this.#waiting = new Map();
    for (const [name, file] of found) {
      if (!this.#isWaiting(name, file.path, file.identity, file.size)) continue;
      found.delete(name);
      this.#waiting.set(name, file.path);
    }
    return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #isWaiting(name: string, path: string, identity: FileIdentity, size: number): boolean {
    if (size === 0) return true;
    return !this.#isOpen(identity) && inspectHeader(name, path) === "not-yet";
  }

  close(): void {
    for (const folder of this.#folders ?? []) closeSync(folder.fd);
    this.#folders = undefined;
  }

  #walk(folder: string, pattern: readonly string[], opened: WatchedFolder[], seen: Set<string>, found: Map<string, FoundFile>): void {
    const [segment, ...rest] = pattern;
    if (segment === undefined) return;
    // The stamp is taken before the look, so that a change during the look shows afterwards.
    if (!this.#watch(folder, opened, seen)) return;
    for (const entry of this.#matches(folder, segment)) {
      const name = folder === "" ? entry : `${folder}/${entry}`;
      const path = join(this.#root, name);
      const stats = statSync(path, { bigint: true, throwIfNoEntry: false });
      if (stats === undefined) continue;
      if (rest.length > 0) {
        if (stats.isDirectory()) this.#walk(name, rest, opened, seen, found);
      } else if (stats.isFile() && !isCompanion(entry)) {
        found.set(name, { path, identity: identityOf(stats), size: Number(stats.size) });
      }
    }
  }

  #matches(folder: string, segment: string): string[] {
    if (!/[*?]/.test(segment)) return [segment];
    const expression = segmentExpression(segment);
    return readdirSync(join(this.#root, folder)).filter((entry) => expression.test(entry));
  }

  #watch(folder: string, opened: WatchedFolder[], seen: Set<string>): boolean {
    if (seen.has(folder)) return true;
    let fd: number;
    try {
      fd = openSync(join(this.#root, folder), "r");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw error;
    }
    seen.add(folder);
    const stats = fstatSync(fd);
    if (folder === "") this.#rootIdentity ??= identityOfFd(fd);
    const changedMs = stats.ctimeMs;
    const settlesMs = changedMs % 1000 === 0 ? coarseStampSettlesMs : stampSettlesMs;
    opened.push({ fd, changedMs, settled: Math.abs(this.#wallTime() - changedMs) > settlesMs });
    return true;
  }
}

/** What the first bytes say. Only for files that no connection of this process has open. */
export function inspectHeader(name: string, path: string): "database" | "not-yet" {
  const bytes = Buffer.alloc(100);
  const fd = openSync(path, "r");
  try {
    readSync(fd, bytes, 0, 100, 0);
  } finally {
    closeSync(fd);
  }
  if (bytes.subarray(0, 16).equals(magic)) return "database";
  // A first transaction in rollback mode may have written later pages before page 1.
  if (bytes.every((byte) => byte === 0)) return "not-yet";
  throw notADatabase(name, `a header that starts with ${bytes.subarray(0, 16).toString("hex")}`);
}

function rootMoved(root: string): CaptureError {
  return new CaptureError({
    kind: "replaced",
    database: ".",
    found: `another folder at ${root} than at the start, or none`,
    accepted: "one data folder for as long as the application runs",
    advice: "Move or mount it only while stead does not run the application; then start this host again.",
  });
}

function parsePattern(name: string): readonly string[] {
  const segments = databaseSegments(name);
  if (segments !== undefined) return segments;
  throw new CaptureError({
    kind: "name",
    database: name === "" ? "(empty name)" : name,
    found: "a name that is not inside the data folder or not a database",
    accepted: databasePatternAccepted,
    advice: "Correct `host.databases`.",
  });
}

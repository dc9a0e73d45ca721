/**
 * Finds the databases of the service among the files of the data folder, and notices changes.
 *
 * Names are paths relative to the data folder; `*` and `?` match within one segment, `**` any folders. Creating,
 * deleting and renaming a file changes the change time (ctime) of its directory, and renaming the directory itself does
 * too, so `refresh()` needs one `fstat` per directory that the patterns lead through (half a microsecond). Unlike the
 * modification time it cannot be set back. Time stamps are coarse (up to a timer tick; whole seconds on some file
 * systems): if a directory changed shortly before its scan, another change may hide behind the same stamp, so it is
 * rescanned until its stamp has settled. A file without committed content is not a database yet, and growing does not
 * touch its directory; a dangling link can become valid without touching it either: both are checked each time.
 *
 * SQLite follows symbolic links and keeps the log beside the real file, so the real path is captured (name-choice.ts),
 * under the name that the application uses. A file named like a companion (`trip-journal`) is a database if its content
 * is one and there is no file that it could belong to.
 *
 * The data folder itself must stay the same. If it were moved away, or another mounted over it, its databases would
 * seem deleted, and the journal would delete them everywhere.
 */
import { type BigIntStats, closeSync, fstatSync, lstatSync, openSync, readdirSync, realpathSync } from "node:fs";
import { nameOfBytes } from "../core/database-name.ts";
import {
  anyFolders,
  databasePatternAccepted,
  databaseSegments,
  folderLockName,
  nameMatcher,
  ownerOf,
  segmentExpression,
} from "../core/database-pattern.ts";
import { CaptureError } from "./capture-error.ts";
import { type FilePath, folderOf, pathOf, textOf } from "./data-path.ts";
import { beginsAsDatabase, inspectHeader } from "./database-header.ts";
import { type FileIdentity, identityAt, identityOf, identityOfFd, sameFile, statAt } from "./file-identity.ts";
import { folderDepthMax, watchedFoldersMax } from "./limits.ts";
import { chooseNames } from "./name-choice.ts";
import { refuseNetworkFileSystem } from "./network-fs.ts";

/** Changes within this time of the scan may share its stamp, milliseconds. */
const stampSettlesMs = 100;
/** The same where time stamps are whole seconds (ext4 with small inodes) or even ones (FAT). */
const coarseStampSettlesMs = 2_100;
const none: ReadonlySet<string> = new Set();

export interface FoundFile {
  /** Path of the file itself if the name is that of a symbolic link. */
  readonly path: FilePath;
  readonly isLink: boolean;
  readonly identity: FileIdentity;
  readonly size: number;
}

interface WatchedFolder {
  /** Undefined: its changes are reported (`isTold`), so it is not queried. */
  readonly fd: number | undefined;
  /** ctime, milliseconds since 1970. */
  readonly changedMs: number;
  readonly settled: boolean;
}

export interface DiscoveryOptions {
  readonly root: string;
  /** Patterns, and patterns of files that are left out. */
  readonly databases: readonly string[];
  readonly except?: readonly string[] | undefined;
  /** Names that an operator excluded; a new set after each change. */
  readonly excluded?: (() => ReadonlySet<string>) | undefined;
  readonly wallTime: () => number;
  /**
   * True if this process has connections to that file or to the database that it belongs to, so that it must not be
   * opened here (POSIX locks).
   */
  readonly isOpen: (identity: FileIdentity) => boolean;
  /** From this call on `takeChange` shows changes of the folder. */
  readonly isTold?: (folder: FilePath) => boolean;
  /** True once for each time that an entry of such a folder appeared, vanished or was renamed. */
  readonly takeChange?: () => boolean;
}

interface Walk {
  readonly opened: WatchedFolder[];
  readonly seen: Set<string>;
  readonly found: Map<string, FoundFile>;
  /** Dangling links. */
  readonly dangling: Map<string, FilePath>;
  /** Paths of absent databases that have a log. */
  readonly absent: Map<string, FilePath>;
}

export class Discovery {
  readonly #root: string;
  readonly #patterns: readonly (readonly string[])[];
  readonly #isExcepted: (name: string) => boolean;
  readonly #excluded: () => ReadonlySet<string>;
  /** The excluded names of the last scan. */
  #left: ReadonlySet<string> = none;
  readonly #wallTime: () => number;
  readonly #isOpen: (identity: FileIdentity) => boolean;
  readonly #isTold: (folder: FilePath) => boolean;
  readonly #takeChange: () => boolean;
  #folders: WatchedFolder[] | undefined;
  #found: ReadonlyMap<string, FoundFile> = new Map();
  /** Existing files without committed content so far, by name. */
  #waiting = new Map<string, FilePath>();
  /** Files that match but are not databases, once capture has begun; before, they are refused. */
  readonly #strangers = new Map<string, CaptureError>();
  #isLenient = false;
  #aliases: ReadonlyMap<string, string> = new Map();
  #absent: ReadonlyMap<string, FilePath> = new Map();
  /** The data folder, as the first scan found it. */
  #rootIdentity: FileIdentity | undefined;

  constructor({
    root,
    databases,
    except = [],
    excluded = () => none,
    wallTime,
    isOpen,
    isTold = () => false,
    takeChange = () => false,
  }: DiscoveryOptions) {
    this.#root = root;
    this.#patterns = databases.map(parsePattern);
    this.#isExcepted = nameMatcher(except);
    this.#excluded = excluded;
    this.#wallTime = wallTime;
    this.#isOpen = isOpen;
    this.#isTold = isTold;
    this.#takeChange = takeChange;
  }

  /**
   * Returns the names of the files below `root` that match, whatever they contain, without `-wal` and the like. No
   * process has them open.
   */
  static namesIn(
    root: string,
    databases: readonly string[],
    except: readonly string[] = [],
    excluded = (): ReadonlySet<string> => none,
  ): string[] {
    const discovery = new Discovery({ root, databases, except, excluded, wallTime: () => 0, isOpen: () => false });
    try {
      return [...discovery.#walkAll([]).found.keys()].sort();
    } finally {
      discovery.close();
    }
  }

  /**
   * Returns all databases that match now, sorted by name, without files that have no committed content. Cheap if
   * nothing changed.
   */
  refresh(): ReadonlyMap<string, FoundFile> {
    try {
      if (this.#changed()) this.#found = this.#scan();
      return this.#found;
    } catch (error) {
      // The change that it was to process is not reported again: the next call scans.
      this.close();
      throw error;
    }
  }

  /** Names of the last scan that are links to a database with another name, and that name. */
  get aliases(): ReadonlyMap<string, string> {
    return this.#aliases;
  }

  /** Paths of databases that the last scan did not find, but a log of theirs, by name. */
  get absent(): ReadonlyMap<string, FilePath> {
    return this.#absent;
  }

  /** From here on a file that is no database does not concern capture; `strangers` lists it. */
  begin(): void {
    this.#isLenient = true;
  }

  /** By name, with what was found, as of the last looks. */
  get strangers(): ReadonlyMap<string, CaptureError> {
    return this.#strangers;
  }

  /** Makes the next `refresh` scan: something changed that no folder shows. */
  forget(): void {
    this.close();
  }

  /** Throws `CaptureError` if the data folder is not the one of the first scan. */
  assertRootInPlace(): void {
    if (this.#rootIdentity === undefined) return;
    const found = identityAt(this.#root);
    if (found === undefined || !sameFile(found, this.#rootIdentity)) throw rootMoved(this.#root);
  }

  /** True if a scan could differ from the last one. */
  #changed(): boolean {
    if (this.#takeChange() || this.#folders === undefined || this.#left !== this.#excluded()) return true;
    for (const folder of this.#folders) {
      if (folder.fd !== undefined && (!folder.settled || fstatSync(folder.fd).ctimeMs !== folder.changedMs))
        return true;
    }
    for (const [name, path] of this.#waiting) {
      const stats = statAt(path);
      if (stats === undefined && isLink(path)) continue;
      if (stats === undefined || !this.#isWaiting(name, path, identityOf(stats), Number(stats.size))) return true;
    }
    return false;
  }

  #scan(): ReadonlyMap<string, FoundFile> {
    this.assertRootInPlace();
    const opened: WatchedFolder[] = [];
    let walk: Walk;
    try {
      walk = this.#walkAll(opened);
    } finally {
      this.close();
      this.#folders = opened;
    }
    const { found } = walk;
    this.#waiting = walk.dangling;
    this.#absent = walk.absent;
    this.#strangers.clear();
    for (const [name, file] of found) {
      if (!this.#isWaiting(name, file.path, file.identity, file.size)) continue;
      found.delete(name);
      this.#waiting.set(name, file.path);
    }
    return new Map([...found].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #isWaiting(name: string, path: FilePath, identity: FileIdentity, size: number): boolean {
    this.#strangers.delete(name);
    if (size === 0) return true;
    if (this.#isOpen(identity)) return false;
    try {
      return inspectHeader(name, path) === "not-yet";
    } catch (error) {
      if (!this.#isLenient || !(error instanceof CaptureError)) throw error;
      this.#strangers.set(name, error);
      return true;
    }
  }

  close(): void {
    for (const { fd } of this.#folders ?? []) if (fd !== undefined) closeSync(fd);
    this.#folders = undefined;
  }

  #walkAll(opened: WatchedFolder[]): Walk {
    this.#left = this.#excluded();
    const walk: Walk = { opened, seen: new Set(), found: new Map(), dangling: new Map(), absent: new Map() };
    for (const pattern of this.#patterns) this.#walk("", pattern, walk, 0);
    this.#aliases = chooseNames(walk.found);
    return walk;
  }

  #walk(folder: string, pattern: readonly string[], walk: Walk, depth: number): void {
    const [segment, ...rest] = pattern;
    // The stamp is taken before the look, so that a change during the look shows afterwards.
    if (segment === undefined || depth > folderDepthMax || !this.#watch(folder, walk)) return;
    if (segment === anyFolders) this.#walk(folder, rest, walk, depth);
    const entries = this.#entriesOf(folder, segment);
    const isMatch = matcherOf(segment);
    if (rest.length === 0)
      for (const entry of logsWithoutFile(entries)) if (isMatch(entry)) this.#addAbsent(nameIn(folder, entry), walk);
    for (const entry of entries.filter(isMatch)) {
      const name = nameIn(folder, entry);
      const path = pathOf(this.#root, name);
      const itself = lstatSync(path, { bigint: true, throwIfNoEntry: false });
      if (itself === undefined) continue;
      const stats = itself.isSymbolicLink() ? statAt(path) : itself;
      if (rest.length > 0) {
        // A linked folder is entered by its name, not below `**`: it may lead back up.
        if (stats?.isDirectory() === true && (segment !== anyFolders || stats === itself))
          this.#walk(name, segment === anyFolders ? pattern : rest, walk, depth + 1);
      } else if (!this.#isExcepted(name) && !this.#left.has(name)) this.#add(name, path, itself, stats, walk);
    }
  }

  #add(name: string, path: FilePath, itself: BigIntStats, stats: BigIntStats | undefined, walk: Walk): void {
    if (stats === undefined) walk.dangling.set(name, path);
    if (stats?.isFile() !== true || this.#isBeside(name, path, stats)) return;
    const link = stats !== itself;
    walk.found.set(name, {
      path: link ? realPathOf(name, path) : path,
      isLink: link,
      identity: identityOf(stats),
      size: Number(stats.size),
    });
  }

  /** True for a file that belongs to a database or to the host, not for a database with such a name. */
  #isBeside(name: string, path: FilePath, stats: BigIntStats): boolean {
    if (name === folderLockName || name.endsWith(`/${folderLockName}`)) return true;
    const owner = ownerOf(name);
    if (owner === undefined) return false;
    if (identityAt(pathOf(this.#root, owner)) !== undefined) return true;
    const identity = identityOf(stats);
    return stats.size === 0n || (!this.#isOpen(identity) && !beginsAsDatabase(path));
  }

  #addAbsent(name: string, walk: Walk): void {
    if (!this.#isExcepted(name) && !this.#left.has(name)) walk.absent.set(name, pathOf(this.#root, name));
  }

  /** Returns what a segment may match, and the logs of that. */
  #entriesOf(folder: string, segment: string): string[] {
    const path = pathOf(this.#root, folder);
    if (!isWild(segment))
      return [segment, `${segment}${logSuffix}`].filter(
        (entry) => lstatSync(pathOf(this.#root, nameIn(folder, entry)), { throwIfNoEntry: false }) !== undefined,
      );
    const entries = readdirSync(path);
    // Entries that are not UTF-8 were read with replacement characters: read them again, as bytes.
    return entries.some((entry) => /[\\\ufffd]/.test(entry))
      ? readdirSync(path, { encoding: "buffer" }).map((entry) => nameOfBytes(entry))
      : entries;
  }

  #watch(folder: string, { opened, seen }: Walk): boolean {
    if (seen.has(folder)) return true;
    if (seen.size >= watchedFoldersMax) throw tooManyFolders(folder);
    const [path, isTold] = [pathOf(this.#root, folder), this.#isTold(pathOf(this.#root, folder))];
    let fd: number;
    try {
      fd = openSync(path, "r");
    } catch (error) {
      if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return false;
      throw error;
    }
    seen.add(folder);
    const stats = fstatSync(fd);
    if (folder === "") this.#rootIdentity ??= identityOfFd(fd);
    const changedMs = stats.ctimeMs;
    const settlesMs = changedMs % 1000 === 0 ? coarseStampSettlesMs : stampSettlesMs;
    if (isTold) closeSync(fd);
    opened.push({
      fd: isTold ? undefined : fd,
      changedMs,
      settled: Math.abs(this.#wallTime() - changedMs) > settlesMs,
    });
    return true;
  }
}

const logSuffix = "-wal";
const nameIn = (folder: string, entry: string): string => (folder === "" ? entry : `${folder}/${entry}`);
const isWild = (segment: string): boolean => segment === anyFolders || /[*?]/.test(segment);

function matcherOf(segment: string): (entry: string) => boolean {
  if (!isWild(segment)) return (entry) => entry === segment;
  const expression = segmentExpression(segment === anyFolders ? "*" : segment);
  return (entry) => expression.test(entry);
}

/** Returns the entries that are not there and have a log. */
function logsWithoutFile(entries: readonly string[]): string[] {
  const present = new Set(entries);
  return entries.flatMap((entry) => {
    const owner = entry.endsWith(logSuffix) ? entry.slice(0, -logSuffix.length) : undefined;
    return owner === undefined || present.has(owner) ? [] : [owner];
  });
}

const isLink = (path: FilePath): boolean => lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true;

/**
 * Returns the real path of a linked file. Its folder is outside the data folder's checks: it must also be a local one.
 */
function realPathOf(name: string, path: FilePath): FilePath {
  const bytes = realpathSync(path, { encoding: "buffer" });
  const text = bytes.toString();
  const real = Buffer.from(text).equals(bytes) ? text : bytes;
  refuseNetworkFileSystem(textOf(folderOf(real)), name);
  return real;
}

function tooManyFolders(folder: string): CaptureError {
  return new CaptureError({
    kind: "limit",
    database: folder,
    found: `more than ${watchedFoldersMax} folders that the patterns lead through`,
    accepted: `at most ${watchedFoldersMax}: each is watched`,
    advice: "Name the folders that hold databases instead of `**`.",
  });
}

function rootMoved(root: string): CaptureError {
  return new CaptureError({
    kind: "replaced",
    database: ".",
    found: `another folder at ${root} than at the start, or none`,
    accepted: "one data folder for as long as the application runs",
    advice: "Move or mount it only while stead does not run the application; then restart this host.",
  });
}

function parsePattern(name: string): readonly string[] {
  const segments = databaseSegments(name);
  if (segments !== undefined) return segments;
  throw new CaptureError({
    kind: "name",
    database: name === "" ? "(empty name)" : name,
    found: "a name that is outside the data folder or is not a database",
    accepted: databasePatternAccepted,
    advice: "Correct `host.databases`.",
  });
}

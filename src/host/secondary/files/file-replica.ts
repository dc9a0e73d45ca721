/**
 * The files beside the databases on a secondary: written from checkpoints and flushes, as the databases are.
 *
 * A flush is taken in steps. `prepare` proves it: its changes, made to the tree as it was, must give the checksum that
 * the primary had. Then the content of each file is made under a temporary name, from the flush, the vault, or the
 * files as they were before the flush, each piece proven by its hash. Until then nothing can be seen.
 * `commit` puts them in place in the order of the journal, each by one rename, so a file is always one that the
 * primary had, whole.
 *
 * A crash in between leaves some files of the flush and not others. They are not trusted: a restart moves all of them
 * away and takes back what the journal has, by hash (local-files.ts), so no position is recorded and none can be wrong.
 * For the same reason nothing is synced here: what a power failure leaves of a file is no piece of the journal, and the
 * vault has them all. Only a restore for an operator, after which no host looks again, is durable.
 *
 * The vault says which files there are, and this host's configuration which of them it has: the others are proven and
 * carried along in the tree, but not written or removed, so who can write into the vault cannot make a host change
 * other files. A host that leaves out files does not become primary, unless its `files_except` names them: its first
 * flush then takes them out of the journal.
 *
 * Attacked in test/host/secondary/file-replica.test.ts: "writes nothing through a link", "refuses a path that leads
 * out".
 */
import { closeSync, fdatasync, ftruncateSync, openSync, rmSync, utimesSync, writeSync } from "node:fs";
import { promisify } from "node:util";
import { EventLoopBudget } from "../../../runtime/event-loop-budget.ts";
import type { KeptEvents } from "../../../capture/files/kept-events.ts";
import type { FetchPiece } from "../../../capture/files/files-snapshot.ts";
import { ReplicaError } from "../../../capture/replica-error.ts";
import type { FileChange, PutFile } from "../../../core/files/file-change.ts";
import { filePieceBytes, type FilePiece, pieceLength, type PiecePlace } from "../../../core/files/file-entry.ts";
import type { FileUser } from "../../../core/files/file-owner.ts";
import { incomingFolderName, type FileMatcher } from "../../../core/files/file-pattern.ts";
import { FileTree, folderOfPath, ForeignChange } from "../../../core/files/file-tree.ts";
import { sortInTurns } from "../../../runtime/sort-in-turns.ts";
import { sha256 } from "../../../runtime/sha256.ts";
import { inParallel } from "../../../runtime/in-parallel.ts";
import { FileGround } from "./file-ground.ts";
import { LeftFiles } from "./left-files.ts";
import { LocalFiles } from "./local-files.ts";
import { type LocalPieces, openPieces } from "./local-pieces.ts";

/** What a flush says about files (src/vault/log/files-section.ts). */
export interface FilesOfFlush {
  readonly changes: readonly FileChange[];
  readonly checksum: Uint8Array;
}

export interface FileReplicaOptions {
  /** The data folder. */
  readonly root: string;
  /** What this host has of the files; undefined: none. */
  readonly matcher: FileMatcher | undefined;
  /** Returns a piece from where the vault has it, proven by its hash. Rejects if it is not there any more. */
  readonly fetch: FetchPiece;
  /** A folder with files of an earlier run, which may be taken from there. */
  readonly previousFolder?: string | undefined;
  /** The folder was made for this, and each file is synced before it is put in place; default: not. */
  readonly isFresh?: boolean;
  /** Who has the files of the journal that are its owner's. */
  readonly user: FileUser;
  /** Watches the folders for a promotion; default: the promotion does. */
  readonly kept?: KeptEvents | undefined;
}

/** What a term gets of the files. */
export interface JournaledFiles {
  readonly tree: FileTree;
  /** Folders that the journal does not have, and in which there may be files of the service. */
  readonly foldersBesides: readonly string[];
  /** Paths of the tree that `files_except` names: the service does without them from now on. */
  readonly excepted: readonly string[];
}

/**
 * The journal begins to have files, and this host has some of its own: they are moved away before a restore, as a copy
 * that is not the journal's.
 */
export class FilesBeganError extends Error {
  override readonly name = "FilesBeganError";
  constructor() {
    super("the journal has files beside the databases from here on: those of this host are moved away first");
  }
}

/** A piece that the state before the flush does not have. */
const nowhere: PiecePlace = { kind: "record", position: 0 };

/** Files that are made at the same time, and pieces of one of them. */
const filesAtOnce = 4;
const piecesAtOnce = 4;
const sync = promisify(fdatasync);

/** A file whose content is made: at a temporary path, or still under the name of the file that it was. */
interface MadeFile {
  readonly temporary: string;
  readonly put: PutFile;
}

export class FileReplica {
  readonly #options: FileReplicaOptions;
  readonly #ground: FileGround;
  readonly #left: LeftFiles;
  #tree = new FileTree(sha256);
  /** The journal has files: a checkpoint or a flush said something of them. */
  #isBegun = false;
  /** Folders in which there may be files of the service, and that the journal does not have: others use them. */
  readonly #besides = new Set<string>();
  /** Removed by the journal since the checkpoint, until the restore is over. */
  #removed: Set<string> | undefined = new Set();
  readonly #unlisted = new Set<string>();
  /** Paths of the journal that `files_except` names. */
  readonly #excepted = new Set<string>();
  #prepared: { readonly made: ReadonlyMap<PutFile, MadeFile>; readonly changes: readonly FileChange[] } | undefined;

  constructor(options: FileReplicaOptions) {
    this.#options = options;
    this.#ground = new FileGround(options.root, options.user, this.#isOurs);
    this.#left = new LeftFiles(this.#ground);
    this.#removeIncoming();
  }

  /** Paths of files and links that this host's configuration leaves out without naming them in `files_except`. */
  get unlisted(): ReadonlySet<string> {
    return this.#unlisted;
  }

  get tree(): FileTree {
    return this.#tree;
  }

  /** True if the journal has something at this path, or had it at its checkpoint or since. For a restore alone. */
  knows(path: string): boolean {
    if (this.#tree.get(path) !== undefined) return true;
    for (let at = path; at !== ""; at = folderOfPath(at)) if (this.#removed?.has(at) === true) return true;
    return false;
  }

  /** The restore is over: `knows` is not asked any more. */
  restored(): void {
    this.#removed = undefined;
  }

  /** Writes the files of a checkpoint into a folder that has none of them. */
  async load(tree: FileTree, onBytes: (bytes: number) => void, signal?: AbortSignal): Promise<void> {
    this.#ground.begin();
    this.#tree = tree;
    this.#isBegun = true;
    this.#addFoldersBesides("");
    const entries = await sortInTurns(tree.entries(), ([a], [b]) => (a < b ? -1 : 1));
    const budget = new EventLoopBudget();
    const ours: typeof entries = [];
    for (const each of entries) {
      const [path, { kind }] = each;
      this.#mind(path, kind === "folder");
      if (this.#isOurs(path, kind === "folder")) ours.push(each);
      await budget.yieldIfDue();
    }
    for (const [path, entry] of ours) if (entry.kind === "folder") this.#ground.putFolder(path, entry);
    await inParallel(filesAtOnce, ours, async ([path, entry]) => {
      signal?.throwIfAborted();
      await budget.yieldIfDue();
      if (entry.kind === "link") this.#ground.putLink(path, entry.target);
      if (entry.kind !== "file") return;
      const put: PutFile = { ...entry, kind: "put-file", path, pieces: entry.pieces.map(asChunk) };
      const previous = openPieces(this.#options.previousFolder, path, entry.size);
      try {
        this.#place(await this.#make(put, previous, entry.pieces));
      } finally {
        previous?.close();
      }
      onBytes(entry.size);
    });
    this.#ground.close();
  }

  /** Proves the changes and makes the contents; nothing can be seen yet. Throws ReplicaError. */
  async prepare({ changes, checksum }: FilesOfFlush, position: number): Promise<void> {
    this.#ground.begin();
    this.#beginWithout();
    const before = new Map<PutFile, readonly FilePiece[]>();
    for (const change of changes) if (change.kind === "put-file") before.set(change, this.#piecesBefore(change));
    proveFiles(this.#tree, { changes, checksum }, position);
    const made = new Map<PutFile, MadeFile>();
    const puts = [...before.keys()].filter(({ path }) => this.#isOurs(path, false));
    const budget = new EventLoopBudget();
    await inParallel(filesAtOnce, puts, async (put) => {
      await budget.yieldIfDue();
      const base = put.base === undefined ? undefined : openPieces(this.#options.root, put.base, undefined);
      try {
        made.set(put, await this.#make(put, base, before.get(put) ?? []));
      } finally {
        base?.close();
      }
    });
    this.#prepared = { made, changes };
  }

  /** Puts what was prepared in place, in order. */
  async commit(): Promise<void> {
    const prepared = this.#prepared;
    this.#prepared = undefined;
    if (prepared === undefined) return;
    const budget = new EventLoopBudget();
    for (const change of prepared.changes) {
      if (change.kind === "remove") this.#unmind(change.path);
      else this.#mind(change.path, change.kind === "put-folder");
      this.#take(change, prepared.made);
      await budget.yieldIfDue();
    }
    this.#ground.close();
  }

  /** Looks whether some of the files are as they were left, in turn. Throws ReplicaError if one is not. */
  look(count: number): void {
    const { kept, matcher } = this.#options;
    this.#left.look(count);
    if (matcher !== undefined) kept?.look(this.#tree, matcher);
  }

  /** Returns the files for the term that takes them over; undefined: the journal has none. Throws ReplicaError. */
  handOver(): JournaledFiles | undefined {
    this.#left.lookAtAll();
    this.#removeIncoming();
    if (!this.#isBegun) return undefined;
    const foldersBesides = [...this.#besides].filter((path) => this.#tree.get(path) === undefined);
    return { tree: this.#tree, foldersBesides, excepted: [...this.#excepted] };
  }

  /** The first flush with files: none may be here that the journal does not have. Throws FilesBeganError. */
  #beginWithout(): void {
    if (this.#isBegun) return;
    const { root, matcher, user, isFresh } = this.#options;
    if (matcher !== undefined && !isFresh && !new LocalFiles(matcher, user).isEmpty(root)) throw new FilesBeganError();
    this.#addFoldersBesides("");
    this.#isBegun = true;
  }

  /** Notes folders that are there below one, and in which there may be files of the service. */
  #addFoldersBesides(folder: string): void {
    const { matcher } = this.#options;
    if (matcher === undefined) return;
    for (const path of this.#ground.foldersIn(folder)) {
      if (!matcher.visits(path)) continue;
      this.#besides.add(path);
      this.#addFoldersBesides(path);
    }
  }

  close(): void {
    this.#removeIncoming();
  }

  #removeIncoming(): void {
    rmSync(`${this.#options.root}/${incomingFolderName}`, { recursive: true, force: true });
  }

  #take(change: FileChange, made: ReadonlyMap<PutFile, MadeFile>): void {
    const { path } = change;
    switch (change.kind) {
      case "put-file": {
        const file = made.get(change);
        if (file === undefined) return;
        this.#forgetReplaced(path);
        this.#place(file);
        return;
      }
      case "put-link":
        this.#forgetReplaced(path);
        if (this.#isOurs(path, false)) this.#ground.putLink(path, change.target);
        return;
      case "put-folder":
        this.#left.forget(path);
        if (this.#isOurs(path, true)) this.#ground.putFolder(path, change);
        return;
      case "remove":
        this.#remove(path);
    }
  }

  #remove(path: string): void {
    this.#removed?.add(path);
    this.#left.forget(path);
    if (!this.#ground.remove(path)) return;
    this.#left.forgetBelow(path);
    // Something else is in it.
    if (this.#ground.lookAt(path) === undefined || this.#options.matcher?.visits(path) !== true) return;
    this.#besides.add(path);
    this.#addFoldersBesides(path);
  }

  /** Something takes the place of what is there: of a folder, with everything in it. */
  #forgetReplaced(path: string): void {
    this.#left.forget(path);
    if (this.#ground.lookAt(path)?.isDirectory() === true) this.#left.forgetBelow(path);
  }

  #mind(path: string, isFolder: boolean): void {
    if (this.#isOurs(path, isFolder)) return;
    if (this.#options.matcher?.excepts(path) === true) this.#excepted.add(path);
    else if (!isFolder) this.#unlisted.add(path);
  }

  #unmind(path: string): void {
    const below = `${path}/`;
    for (const paths of [this.#unlisted, this.#excepted]) {
      if (paths.size === 0) continue;
      paths.delete(path);
      for (const each of paths) if (each.startsWith(below)) paths.delete(each);
    }
  }

  readonly #isOurs = (path: string, isFolder: boolean): boolean => {
    const { matcher } = this.#options;
    return matcher !== undefined && (isFolder ? matcher.coversFolder(path) : matcher.covers(path));
  };

  /** The pieces of `base` as they are before the flush, by the index in the new file. */
  #piecesBefore({ base, pieces }: PutFile): readonly FilePiece[] {
    const entry = base === undefined ? undefined : this.#tree.get(base);
    const before = entry?.kind === "file" ? entry.pieces : [];
    return pieces.map(({ hash, source }): FilePiece => {
      const same = source.kind === "same" ? before[source.index] : undefined;
      return same ?? { hash, place: nowhere };
    });
  }

  /** Makes the content of a file, synced, at a temporary path. `places`: where the vault has pieces, by index. */
  async #make(put: PutFile, local: LocalPieces | undefined, places: readonly FilePiece[]): Promise<MadeFile> {
    const { path, size, mtimeMs } = put;
    const temporary = this.#ground.newTemporary();
    if (local !== undefined && local.mayMove && (await isSame(put, local)) && local.hasMovedTo(temporary)) {
      utimesSync(temporary, mtimeMs / 1000, mtimeMs / 1000);
      return { temporary, put };
    }
    const fd = openSync(temporary, "wx", 0o600);
    try {
      ftruncateSync(fd, size);
      await inParallel(piecesAtOnce, [...put.pieces.keys()], async (index) => {
        const bytes = await this.#pieceOf(put, index, local, places[index]);
        if (bytes.length !== pieceLength(size, index))
          throw refused(`piece ${index} of ${path} with ${bytes.length} bytes`, `${pieceLength(size, index)}`);
        // What was a hole stays one.
        if (!isZero(bytes)) writeAll(fd, bytes, index * filePieceBytes);
      });
      if (this.#options.isFresh === true) await sync(fd);
    } finally {
      closeSync(fd);
    }
    utimesSync(temporary, mtimeMs / 1000, mtimeMs / 1000);
    return { temporary, put };
  }

  async #pieceOf(
    { path, size, base, pieces }: PutFile,
    index: number,
    local: LocalPieces | undefined,
    before: FilePiece | undefined,
  ): Promise<Uint8Array> {
    const piece = pieces[index];
    if (piece === undefined) throw new RangeError(`no piece ${index} of ${path}`);
    const { hash, source } = piece;
    if (source.kind === "inline") return source.bytes;
    const here = local?.read(source.kind === "same" ? source.index : index, hash);
    if (here !== undefined) return here;
    const place = source.kind === "chunk" && before?.place.kind !== "chunk" ? source : before?.place;
    // This host leaves out the file from which this one was renamed, and so has nothing of it.
    const isElsewhere = base !== undefined && !this.#isOurs(base, false) && place !== nowhere;
    const length = pieceLength(size, index);
    if (place !== undefined && (place.kind === "chunk" || isElsewhere))
      return this.#options.fetch({ place, hash, length, path });
    throw new ReplicaError(
      base ?? path,
      "a file that was changed by something other than this host",
      "a copy that only the journal changes; nothing else may write to the files of a secondary",
      "foreign",
    );
  }

  #place({ temporary, put }: MadeFile): void {
    this.#ground.place(temporary, put.path, put);
    this.#left.remember(put.path);
  }
}

/** Makes the changes to the tree, which must give the checksum that the primary had. Throws ReplicaError. */
export function proveFiles(tree: FileTree, { changes, checksum }: FilesOfFlush, position: number): void {
  try {
    tree.apply(changes, position);
  } catch (error) {
    if (error instanceof ForeignChange) throw refused(error.message, "changes of the files as they are here");
    throw error;
  }
  const [found, expected] = [tree.checksum, checksum].map((sum) => Buffer.from(sum).toString("hex"));
  if (found !== expected) throw refused(`checksum ${found}`, `checksum ${expected}`);
}

const refused = (found: string, accepted: string): ReplicaError => new ReplicaError("files", found, accepted);

const asChunk = ({ hash, place }: FilePiece): PutFile["pieces"][number] => {
  if (place.kind !== "chunk") throw refused("a piece of a checkpoint that is in no chunk", "one in a chunk");
  return { hash, source: place };
};

/** True if a file of an earlier run has exactly this content. */
async function isSame({ size, pieces }: PutFile, local: LocalPieces): Promise<boolean> {
  if (local.size !== size) return false;
  const budget = new EventLoopBudget();
  for (const [index, { hash }] of pieces.entries()) {
    if (local.read(index, hash) === undefined) return false;
    await budget.yieldIfDue();
  }
  return true;
}

const zeros = Buffer.alloc(filePieceBytes);
const isZero = (bytes: Uint8Array): boolean => Buffer.compare(bytes, zeros.subarray(0, bytes.length)) === 0;

function writeAll(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done, position + done);
}

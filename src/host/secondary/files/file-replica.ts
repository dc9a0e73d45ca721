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
import { EventLoopBudget } from "../../../runtime/event-loop-budget.ts";
import type { KeptEvents } from "../../../capture/files/kept-events.ts";
import type { FetchPiece } from "../../../capture/files/files-snapshot.ts";
import type { FileChange, PutFile } from "../../../core/files/file-change.ts";
import type { FilePiece } from "../../../core/files/file-entry.ts";
import type { FileUser } from "../../../core/files/file-owner.ts";
import type { FileMatcher } from "../../../core/files/file-pattern.ts";
import { FileTree, folderOfPath, ForeignChange } from "../../../core/files/file-tree.ts";
import type { Rules } from "../../../core/rules.ts";
import { type FileSystem, systemFiles } from "../../../runtime/file-system.ts";
import { sortInTurns } from "../../../runtime/sort-in-turns.ts";
import { sha256 } from "../../../runtime/sha256.ts";
import { inParallel } from "../../../runtime/in-parallel.ts";
import { FileGround } from "./file-ground.ts";
import { LeftFiles } from "./left-files.ts";
import { LocalFiles } from "./local-files.ts";
import { type KnownPieces, openPieces } from "./local-pieces.ts";
import { FileMaker, type MadeFile, nowhere, refused } from "./made-file.ts";

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
  /** Of the files there. */
  readonly known?: KnownPieces | undefined;
  /** The folder was made for this, and each file is synced before it is put in place; default: not. */
  readonly isFresh?: boolean;
  /** Who has the files of the journal that are its owner's. */
  readonly user: FileUser;
  /** Watches the folders for a promotion; default: the promotion does. */
  readonly kept?: KeptEvents | undefined;
  /** Default: that of this machine. */
  readonly fs?: FileSystem | undefined;
  /** Default: all are in force. */
  readonly rules?: Rules | undefined;
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

interface ProvenFlush {
  readonly position: number;
  readonly changes: readonly FileChange[];
  /** Where the vault has the pieces of each file, by index. */
  readonly before: ReadonlyMap<PutFile, readonly FilePiece[]>;
}

/** Files that are made at the same time. */
const filesAtOnce = 4;

export class FileReplica {
  readonly #options: FileReplicaOptions;
  readonly #fs: FileSystem;
  readonly #ground: FileGround;
  readonly #maker: FileMaker;
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
  /** The flush that the tree has, and whose contents are not all made: the vault did not give one. */
  #proven: ProvenFlush | undefined;
  #prepared: { readonly made: ReadonlyMap<PutFile, MadeFile>; readonly changes: readonly FileChange[] } | undefined;

  constructor(options: FileReplicaOptions) {
    this.#options = options;
    const { root, user, fs = systemFiles, rules, fetch, isFresh = false } = options;
    this.#fs = fs;
    this.#ground = new FileGround(root, user, this.#isOurs, { fs, rules });
    this.#maker = new FileMaker({
      ...{ fs, fetch, isDurable: isFresh },
      newTemporary: () => this.#ground.newTemporary(),
      isOurs: (path) => this.#isOurs(path, false),
    });
    this.#left = new LeftFiles(this.#ground);
    this.#ground.removeTemporaries();
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
      const { previousFolder: folder, known } = this.#options;
      const previous = openPieces({ fs: this.#fs, folder, path, movedSize: entry.size, known });
      try {
        this.#place(await this.#maker.make(put, previous, entry.pieces));
      } finally {
        previous?.close();
      }
      onBytes(entry.size);
    });
    this.#ground.close();
  }

  /**
   * Proves the changes and makes the contents; nothing can be seen yet. Throws ReplicaError; and what fetching throws:
   * then the same flush may be prepared again, and no other.
   */
  async prepare(flush: FilesOfFlush, position: number): Promise<void> {
    this.#ground.begin();
    this.#beginWithout();
    const proven = this.#proven?.position === position ? this.#proven : this.#prove(flush, position);
    this.#proven = proven;
    const { changes, before } = proven;
    const made = await this.#makeAll(before).catch((error: unknown) => {
      this.#ground.removeTemporaries();
      throw error;
    });
    this.#proven = undefined;
    this.#prepared = { made, changes };
  }

  async #makeAll(before: ProvenFlush["before"]): Promise<ReadonlyMap<PutFile, MadeFile>> {
    const made = new Map<PutFile, MadeFile>();
    const puts = [...before.keys()].filter(({ path }) => this.#isOurs(path, false));
    const budget = new EventLoopBudget();
    await inParallel(filesAtOnce, puts, async (put) => {
      await budget.yieldIfDue();
      const { root: folder } = this.#options;
      const base = put.base === undefined ? undefined : openPieces({ fs: this.#fs, folder, path: put.base });
      try {
        made.set(put, await this.#maker.make(put, base, before.get(put) ?? []));
      } finally {
        base?.close();
      }
    });
    return made;
  }

  #prove(flush: FilesOfFlush, position: number): ProvenFlush {
    const { changes } = flush;
    const before = new Map<PutFile, readonly FilePiece[]>();
    for (const change of changes) if (change.kind === "put-file") before.set(change, this.#piecesBefore(change));
    proveFiles(this.#tree, flush, position);
    return { position, changes, before };
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
    this.#ground.removeTemporaries();
    if (!this.#isBegun) return undefined;
    const foldersBesides = [...this.#besides].filter((path) => this.#tree.get(path) === undefined);
    return { tree: this.#tree, foldersBesides, excepted: [...this.#excepted] };
  }

  /** The first flush with files: none may be here that the journal does not have. Throws FilesBeganError. */
  #beginWithout(): void {
    if (this.#isBegun) return;
    const { root, matcher, user, isFresh } = this.#options;
    if (matcher !== undefined && !isFresh && !new LocalFiles(matcher, user, { fs: this.#fs }).isEmpty(root))
      throw new FilesBeganError();
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
    this.#ground.removeTemporaries();
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

const asChunk = ({ hash, place }: FilePiece): PutFile["pieces"][number] => {
  if (place.kind !== "chunk") throw refused("a piece of a checkpoint that is in no chunk", "one in a chunk");
  return { hash, source: place };
};

/**
 * All files beside the databases of a service at one position: path → entry.
 *
 * Its checksum travels with every flush and checkpoint, so that a restore proves that it has exactly these files. It is
 * the XOR of one hash per entry, and so follows from the changes without visiting the other entries. Part of the hash
 * are path, kind, mode, owner, size and the hashes of the pieces; not the time of change, nor where the pieces are.
 *
 * How one would break it: with two entries that cancel out. A path occurs once, and each hash covers its path.
 *
 * Attacked in test/core/files/file-tree.test.ts: "has the same checksum whatever way led to it".
 */
import type { FileChange, PutFile } from "./file-change.ts";
import type { FileEntry, FilePiece, PiecePlace } from "./file-entry.ts";
import { PackedEntries } from "./packed-entries.ts";

export const treeChecksumBytes = 16;

/** SHA-256, at least the first 16 bytes. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

/** Thrown by `apply`: the changes do not belong to this state. */
export class ForeignChange extends Error {
  override readonly name = "ForeignChange";
}

export class FileTree {
  readonly #sha256: Sha256;
  readonly #entries: PackedEntries;
  /** Paths below each folder, directly. */
  readonly #children = new Map<string, Set<string>>();
  readonly #checksum = new Uint8Array(treeChecksumBytes);
  #bytes = 0;

  constructor(
    sha256: Sha256,
    entries: Iterable<readonly [path: string, entry: FileEntry]> = [],
    packed?: PackedEntries,
  ) {
    this.#sha256 = sha256;
    this.#entries = new PackedEntries(packed);
    for (const [path, entry] of entries) this.#set(path, entry, true);
  }

  /** Adds an entry to a tree that is being made; it has none at this path. */
  add(path: string, entry: FileEntry): void {
    this.#set(path, entry, true);
  }

  /** Number of entries. */
  get size(): number {
    return this.#entries.size;
  }

  /** Bytes of all files. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A copy, 16 bytes; zeros for an empty tree. */
  get checksum(): Uint8Array {
    return this.#checksum.slice();
  }

  get(path: string): FileEntry | undefined {
    return this.#entries.get(path);
  }

  /** In no particular order. */
  entries(): Iterable<[string, FileEntry]> {
    return this.#entries;
  }

  paths(): IterableIterator<string> {
    return this.#entries.paths();
  }

  /** Paths of the entries that are folders. Takes no longer the more files there are. */
  folders(): Iterable<string> {
    return this.#entries.folders;
  }

  /** Returns the paths directly below a folder; "" is the data folder itself. */
  below(folder: string): Iterable<string> {
    return this.#children.get(folder) ?? [];
  }

  copy(): FileTree {
    const copy = new FileTree(this.#sha256, [], this.#entries);
    for (const [folder, children] of this.#children) copy.#children.set(folder, new Set(children));
    copy.#checksum.set(this.#checksum);
    copy.#bytes = this.#bytes;
    return copy;
  }

  /**
   * A copy whose pieces have other places, which are no part of the checksum. `placed`: of the entries with pieces,
   * those that differ, by their paths.
   */
  withPlaces(placed: ReadonlyMap<string, FileEntry>): FileTree {
    const copy = this.copy();
    for (const [path, entry] of placed) copy.#entries.set(path, entry, true);
    return copy;
  }

  /**
   * Takes the changes of a flush. `at`: position of its first record, or the place of its contents if that is known
   * later. Throws ForeignChange, and has then changed nothing, if a change refers to content that the state before does
   * not have.
   */
  apply(changes: readonly FileChange[], at: number | PiecePlace): void {
    const place: PiecePlace = typeof at === "number" ? { kind: "record", position: at } : at;
    const contents = new Map<PutFile, readonly FilePiece[]>();
    for (const change of changes) if (change.kind === "put-file") contents.set(change, this.#piecesOf(change, place));
    const isSettled = typeof at === "number";
    for (const change of changes) this.#take(change, contents, isSettled);
  }

  /** The place that `apply` was given for these changes is known. */
  settle(changes: readonly FileChange[]): void {
    for (const { path } of changes) this.#entries.pack(path);
  }

  #take(change: FileChange, contents: ReadonlyMap<PutFile, readonly FilePiece[]>, isSettled: boolean): void {
    switch (change.kind) {
      case "put-file": {
        const { mode, uid, gid, mtimeMs, size } = change;
        this.#remove(change.path);
        const pieces = contents.get(change) ?? [];
        this.#set(change.path, { kind: "file", mode, uid, gid, mtimeMs, size, pieces }, isSettled);
        return;
      }
      case "put-link":
        this.#remove(change.path);
        this.#set(change.path, { kind: "link", target: change.target }, true);
        return;
      case "put-folder": {
        const { path, mode, uid, gid } = change;
        const before = this.#entries.get(path);
        if (before?.kind === "folder") this.#forget(path, before);
        else this.#remove(path);
        this.#set(path, { kind: "folder", mode, uid, gid }, true);
        return;
      }
      case "remove":
        this.#remove(change.path);
    }
  }

  #piecesOf({ path, base, pieces }: PutFile, place: PiecePlace): readonly FilePiece[] {
    const before = base === undefined ? undefined : this.#entries.get(base);
    return pieces.map(({ hash, source }): FilePiece => {
      if (source.kind === "inline") return { hash, place };
      if (source.kind === "chunk") return { hash, place: source };
      const same = before?.kind === "file" ? before.pieces[source.index] : undefined;
      if (same?.hash !== hash)
        throw new ForeignChange(`${path}: piece ${source.index} of ${String(base)} with another content, or none`);
      return same;
    });
  }

  /** With everything below. */
  #remove(path: string): void {
    for (const child of [...this.below(path)]) this.#remove(child);
    const entry = this.#entries.get(path);
    if (entry !== undefined) this.#forget(path, entry);
  }

  #forget(path: string, entry: FileEntry): void {
    this.#entries.delete(path);
    this.#count(path, entry, -1);
    const folder = folderOfPath(path);
    const children = this.#children.get(folder);
    children?.delete(path);
    if (children?.size === 0) this.#forgetFolder(folder);
  }

  /** A folder without an entry of its own is known by what is in it. */
  #forgetFolder(folder: string): void {
    this.#children.delete(folder);
    if (folder === "" || this.#entries.has(folder)) return;
    const parent = this.#children.get(folderOfPath(folder));
    parent?.delete(folder);
    if (parent?.size === 0) this.#forgetFolder(folderOfPath(folder));
  }

  #set(path: string, entry: FileEntry, isSettled: boolean): void {
    this.#entries.set(path, entry, isSettled);
    this.#count(path, entry, 1);
    for (let at = path; at !== ""; at = folderOfPath(at)) {
      const folder = folderOfPath(at);
      const children = this.#children.get(folder);
      if (children?.has(at) === true) return;
      if (children === undefined) this.#children.set(folder, new Set([at]));
      else children.add(at);
    }
  }

  #count(path: string, entry: FileEntry, sign: 1 | -1): void {
    if (entry.kind === "file") this.#bytes += sign * entry.size;
    const hash = this.#sha256(bytesOfEntry(path, entry));
    for (let at = 0; at < treeChecksumBytes; at++) this.#checksum[at] = (this.#checksum[at] ?? 0) ^ (hash[at] ?? 0);
  }
}

/** Returns the folder of a path; "" for the data folder itself. */
export const folderOfPath = (path: string): string => path.slice(0, Math.max(0, path.lastIndexOf("/")));

const encoder = new TextEncoder();

/** No field contains the zero byte that ends it. */
function bytesOfEntry(path: string, entry: FileEntry): Uint8Array {
  const fields: readonly (string | number)[] =
    entry.kind === "link"
      ? [entry.target]
      : [entry.mode, entry.uid, entry.gid, ...(entry.kind === "file" ? [entry.size, ...entry.pieces.map(hashOf)] : [])];
  return encoder.encode([path, entry.kind, ...fields, ""].join("\0"));
}

const hashOf = ({ hash }: FilePiece): string => hash;

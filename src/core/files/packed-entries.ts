/**
 * Entries of a tree by their paths, in as little memory as a hundred thousand of them need: each is one string. Objects
 * for entries, pieces and places would be the larger part of a host's memory, and what a process holds counts twice at
 * a failover: the kernel releases the memory of a killed primary before its connections, and a collection of garbage in
 * the next one takes the processor from the application that starts.
 *
 * An entry is kept as it is if it has many pieces, which are few files, or if a place of it is not known yet: that
 * object gets its position when the flush is durable. `pack` is called then.
 */
import type { FileEntry, FilePiece, PiecePlace } from "./file-entry.ts";

type Packed = string | FileEntry;

/** Each look at an entry makes objects of its pieces. */
const packedPiecesMax = 4;
/** In no name, target or key. */
const separator = "\0";
const fieldsOfPiece = 4;

export class PackedEntries {
  readonly #entries: Map<string, Packed>;
  readonly #folders: Set<string>;

  constructor(from?: PackedEntries) {
    this.#entries = new Map(from === undefined ? [] : from.#entries);
    this.#folders = new Set(from === undefined ? [] : from.#folders);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Paths of the entries that are folders, without a look at the others. */
  get folders(): Iterable<string> {
    return this.#folders;
  }

  has(path: string): boolean {
    return this.#entries.has(path);
  }

  get(path: string): FileEntry | undefined {
    const packed = this.#entries.get(path);
    return typeof packed === "string" ? unpacked(packed) : packed;
  }

  /** `isSettled`: the places of its pieces are final. */
  set(path: string, entry: FileEntry, isSettled: boolean): void {
    if (entry.kind === "folder") this.#folders.add(path);
    else this.#folders.delete(path);
    const isSmall = entry.kind !== "file" || entry.pieces.length <= packedPiecesMax;
    this.#entries.set(path, isSettled && isSmall ? packedOf(entry) : entry);
  }

  /** The places of its pieces may be known by now. */
  pack(path: string): void {
    const entry = this.#entries.get(path);
    if (typeof entry === "object" && isPlaced(entry)) this.set(path, entry, true);
  }

  delete(path: string): void {
    this.#entries.delete(path);
    this.#folders.delete(path);
  }

  paths(): IterableIterator<string> {
    return this.#entries.keys();
  }

  *[Symbol.iterator](): Generator<[string, FileEntry]> {
    for (const [path, packed] of this.#entries) yield [path, typeof packed === "string" ? unpacked(packed) : packed];
  }
}

const isPlaced = (entry: FileEntry): boolean =>
  entry.kind !== "file" || entry.pieces.every(({ place }) => place.kind === "chunk" || place.position > 0);

function packedOf(entry: FileEntry): string {
  if (entry.kind === "link") return [entry.kind, entry.target].join(separator);
  const { kind, mode, uid, gid } = entry;
  if (kind === "folder") return [kind, mode, uid, gid].join(separator);
  const pieces = entry.pieces.flatMap(({ hash, place }): (string | number)[] =>
    place.kind === "chunk" ? [hash, place.kind, place.key, place.offset ?? ""] : [hash, place.kind, place.position, ""],
  );
  return [kind, mode, uid, gid, entry.mtimeMs, entry.size, ...pieces].join(separator);
}

function unpacked(packed: string): FileEntry {
  const [kind, ...fields] = packed.split(separator);
  if (kind === "link") return { kind, target: fields[0] ?? "" };
  const [mode, uid, gid, mtimeMs, size] = fields.slice(0, 5).map(Number) as [number, number, number, number, number];
  if (kind === "folder") return { kind, mode, uid, gid };
  const pieces: FilePiece[] = [];
  for (let at = 5; at < fields.length; at += fieldsOfPiece) {
    const [hash = "", where = "", of = "", offset = ""] = fields.slice(at, at + fieldsOfPiece);
    pieces.push({ hash, place: placeOf(where, of, offset) });
  }
  return { kind: "file", mode, uid, gid, mtimeMs, size, pieces };
}

function placeOf(kind: string, of: string, offset: string): PiecePlace {
  if (kind === "record") return { kind, position: Number(of) };
  return { kind: "chunk", key: of, ...(offset === "" ? {} : { offset: Number(offset) }) };
}

/**
 * The bytes of the files' tree in a checkpoint: entries in the order of their paths, in chunks that are read one by
 * one. Little-endian; a string is a u16 length and that many bytes of UTF-8.
 *
 *     magic "STFT", version u8 (2), number of entries u32, then for each
 *       kind u8 (1 file, 2 link, 3 folder), path string
 *       file    mode u16, uid u32, gid u32, mtime ms u64, size u64, number of pieces u32, then for each piece
 *                 SHA-256 32 bytes, position u64 and name 32 bytes of its chunk, bytes of that chunk before it u32
 *       link    target string
 *       folder  mode u16, uid u32, gid u32
 *
 * A file whose pieces do not fit into one chunk has an entry in each of several chunks, which follow each other.
 *
 * Where one chunk ends and the next begins depends on the paths around it alone, so that a checkpoint has most of these
 * chunks in common with the one before, whatever was added or removed elsewhere.
 */
import { isDatabaseName } from "../../core/database-name.ts";
import { type FileAttributes, type FileEntry, type FilePiece, pieceCountOf } from "../../core/files/file-entry.ts";
import { sha256 } from "../../runtime/sha256.ts";
import { chunkKey, parseChunkKey } from "../keys.ts";
import { chunkBytes } from "../limits.ts";
import { ByteReader, ByteWriter, MalformedBytes, stringBytes } from "../log/bytes.ts";

export type NamedEntry = readonly [path: string, entry: FileEntry];

const magic = Buffer.from("STFT", "latin1");
const version = 2;
const headBytes = magic.length + 1 + 4;
const kinds = ["file", "link", "folder"] as const;
const nameBytes = 32;
const pieceBytes = 32 + 8 + nameBytes + 4;
const attributeBytes = 10;
const modeMax = 0o7777;
/** A chunk ends behind a path whose hash says so, of which one in 256 does, or when it is full. */
const endsOneIn = 256;

/** Returns the contents of the chunks, one after the other. Each piece is in a chunk. `sorted`: by their paths. */
export function* encodeTree(sorted: Iterable<NamedEntry>): Generator<Uint8Array> {
  let part: NamedEntry[] = [];
  let bytes = headBytes;
  for (const whole of sorted) {
    for (const entry of splitEntry(whole)) {
      const length = entryBytes(entry);
      if (bytes + length > chunkBytes) {
        yield encodePart(part, bytes);
        [part, bytes] = [[], headBytes];
      }
      part.push(entry);
      bytes += length;
    }
    if ((sha256(Buffer.from(whole[0]))[0] ?? 0) % endsOneIn !== 0) continue;
    yield encodePart(part, bytes);
    [part, bytes] = [[], headBytes];
  }
  if (part.length > 0) yield encodePart(part, bytes);
}

/** Pieces of a file in one entry: with everything else of it, these fit into a chunk. */
const piecesMax = 8192;

function* splitEntry([path, entry]: NamedEntry): Generator<NamedEntry> {
  if (entry.kind !== "file" || entry.pieces.length <= piecesMax) return yield [path, entry];
  for (let at = 0; at < entry.pieces.length; at += piecesMax)
    yield [path, { ...entry, pieces: entry.pieces.slice(at, at + piecesMax) }];
}

/** Joins the entries of a file that are in several chunks. Throws MalformedBytes for a file without all its pieces. */
export function joinEntries(entries: readonly NamedEntry[]): NamedEntry[] {
  const joined: NamedEntry[] = [];
  for (const next of entries) {
    const [path, entry] = next;
    const last = joined.at(-1);
    const isSame = last?.[0] === path && last[1].kind === "file" && entry.kind === "file";
    if (isSame) joined[joined.length - 1] = [path, { ...entry, pieces: [...last[1].pieces, ...entry.pieces] }];
    else joined.push(next);
  }
  for (const [path, entry] of joined)
    if (entry.kind === "file" && entry.pieces.length !== pieceCountOf(entry.size))
      throw new MalformedBytes(`${path} with ${entry.pieces.length} pieces`, `${pieceCountOf(entry.size)}`);
  return joined;
}

function entryBytes([path, entry]: NamedEntry): number {
  const head = 1 + stringBytes(path);
  switch (entry.kind) {
    case "file":
      return head + attributeBytes + 16 + 4 + entry.pieces.length * pieceBytes;
    case "link":
      return head + stringBytes(entry.target);
    case "folder":
      return head + attributeBytes;
  }
}

function encodePart(entries: readonly NamedEntry[], bytes: number): Uint8Array {
  const buffer = Buffer.alloc(bytes);
  const writer = new ByteWriter(buffer, 0);
  writer.bytes(magic);
  writer.u8(version);
  writer.u32(entries.length);
  for (const [path, entry] of entries) {
    writer.u8(kinds.indexOf(entry.kind) + 1);
    writer.string(path);
    if (entry.kind === "link") writer.string(entry.target);
    else writeAttributes(writer, entry);
    if (entry.kind !== "file") continue;
    writer.u64(entry.mtimeMs);
    writer.u64(entry.size);
    writer.u32(entry.pieces.length);
    for (const piece of entry.pieces) writePiece(writer, path, piece);
  }
  return buffer;
}

function writePiece(writer: ByteWriter, path: string, { hash, place }: FilePiece): void {
  const chunk = place.kind === "chunk" ? parseChunkKey(place.key) : undefined;
  if (place.kind !== "chunk" || chunk === undefined)
    throw new RangeError(`${path}: a piece of a checkpoint that is in no chunk`);
  writer.bytes(Buffer.from(hash, "hex"));
  writer.u64(chunk.position);
  writer.bytes(Buffer.from(chunk.name, "hex"));
  writer.u32(place.offset ?? 0);
}

function writeAttributes(writer: ByteWriter, { mode, uid, gid }: FileAttributes): void {
  writer.u8(mode & 0xff);
  writer.u8(mode >> 8);
  writer.u32(uid);
  writer.u32(gid);
}

/** Reads the content of one chunk; `joinEntries` makes a whole of several. Throws MalformedBytes. */
export function decodeTree(content: Uint8Array): NamedEntry[] {
  const reader = new ByteReader(Buffer.from(content.buffer, content.byteOffset, content.byteLength), 0);
  if (Buffer.compare(reader.bytes(magic.length), magic) !== 0) throw new MalformedBytes("another magic", '"STFT"');
  const found = reader.u8();
  if (found !== version) throw new MalformedBytes(`version ${found}`, `version ${version}`);
  const count = reader.u32();
  const entries: NamedEntry[] = [];
  for (let at = 0; at < count; at++) entries.push(readEntry(reader));
  reader.expectEnd();
  return entries;
}

function readEntry(reader: ByteReader): NamedEntry {
  const number = reader.u8();
  const kind = kinds[number - 1];
  const path = reader.string();
  if (!isDatabaseName(path)) throw new MalformedBytes("a path that leads out of the data folder", "one below it");
  switch (kind) {
    case "file": {
      const attributes = readAttributes(reader);
      const [mtimeMs, size] = [reader.u64(), reader.u64()];
      const count = reader.u32();
      if (count * pieceBytes > reader.remaining || count > pieceCountOf(size))
        throw new MalformedBytes(
          `${path} of ${size} bytes with ${count} pieces`,
          `pieces in ${reader.remaining} bytes`,
        );
      const pieces = Array.from({ length: count }, () => readPiece(reader));
      return [path, { kind, ...attributes, mtimeMs, size, pieces }];
    }
    case "link":
      return [path, { kind, target: reader.string() }];
    case "folder":
      return [path, { kind, ...readAttributes(reader) }];
    default:
      throw new MalformedBytes(`an entry of kind ${number}`, `1 to ${kinds.length}`);
  }
}

function readPiece(reader: ByteReader): FilePiece {
  const hash = hexOf(reader.bytes(32));
  const position = reader.u64();
  const key = chunkKey(position, hexOf(reader.bytes(nameBytes)));
  const offset = reader.u32();
  return { hash, place: offset === 0 ? { kind: "chunk", key } : { kind: "chunk", key, offset } };
}

function readAttributes(reader: ByteReader): FileAttributes {
  const mode = reader.u8() | (reader.u8() << 8);
  if (mode > modeMax) throw new MalformedBytes(`mode ${mode.toString(8)}`, "at most 7777");
  return { mode, uid: reader.u32(), gid: reader.u32() };
}

const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

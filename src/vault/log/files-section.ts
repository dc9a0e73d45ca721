/**
 * The section `files` of a flush's records: what it changes in the files beside the databases (src/core/files).
 * Little-endian; a string is a u16 length and that many bytes of UTF-8.
 *
 *     checksum of the tree after the flush, 16 bytes; it counts in the last such section of a flush
 *     number of changes u32, then for each
 *       kind u8 (1 put-file, 2 put-link, 3 put-folder, 4 remove), path string
 *       put-file    mode u16, uid u32, gid u32, mtime ms u64, size u64, has base u8 (0 or 1), base string when 1,
 *                   pieces u32, for each: SHA-256 32 bytes, source u8, and by source
 *                     0 inline: length u32, bytes. 1 chunk: position u64, name 32 bytes. 2 same: index u32
 *       put-link    target string
 *       put-folder  mode u16, uid u32, gid u32
 *
 * It is required: skipping it would lose files. A flush of several parts may have one in each; they follow each other.
 * A piece that stands inline is proven by its hash when it is read; its writer has just computed that. The other checks
 * run when a section is written, too.
 *
 * Attacked in test/vault/log/files-section.test.ts: "refuses what no host could apply".
 */
import { isDatabaseName } from "../../core/database-name.ts";
import type { ChangePiece, FileChange, PutFile } from "../../core/files/file-change.ts";
import { type FileAttributes, pieceCountOf, pieceLength } from "../../core/files/file-entry.ts";
import { treeChecksumBytes } from "../../core/files/file-tree.ts";
import type { Section, SectionToWrite } from "../../core/flush.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import { sha256 } from "../../runtime/sha256.ts";
import { chunkKey, parseChunkKey } from "../keys.ts";
import { ByteReader, ByteWriter, MalformedBytes, stringBytes } from "./bytes.ts";

export const filesKind = "files";

/** Everything that a flush, or one part of it, says about files. */
export interface FilesPart {
  readonly changes: readonly FileChange[];
  /** Of the tree after the flush, 16 bytes. */
  readonly checksum: Uint8Array;
}

const kinds = ["put-file", "put-link", "put-folder", "remove"] as const;
const sources = ["inline", "chunk", "same"] as const;
const hashBytes = 32;
const attributeBytes = 2 + 4 + 4;
const headBytes = treeChecksumBytes + 4;
const modeMax = 0o7777;
const u32Max = 0xffff_ffff;

/** Throws RangeError for changes that cannot be stored. Contents of pieces are not copied. */
export function filesSection({ changes, checksum }: FilesPart): SectionToWrite {
  if (checksum.length !== treeChecksumBytes) throw new RangeError(`a tree's checksum of ${checksum.length} bytes`);
  for (const change of changes) checkChange(change);
  const bytes = changes.reduce((sum, change) => sum + changeBytes(change) - inlineBytes(change), headBytes);
  const writer = new PartWriter(bytes);
  writer.bytes(checksum);
  writer.u32(changes.length);
  for (const change of changes) writeChange(writer, change);
  return { kind: filesKind, isRequired: true, content: writer.parts() };
}

/** Returns what all records of a flush say together; undefined if none has such a section. Throws MalformedBytes. */
export function filesOf(sections: readonly Section[]): FilesPart | undefined {
  const parts = sections.filter(({ kind }) => kind === filesKind).map(readSection);
  const last = parts.at(-1);
  return last === undefined ? undefined : { changes: parts.flatMap(({ changes }) => changes), checksum: last.checksum };
}

/** Returns the checksum of the files after a flush, by the sections of its last record that has some; reads no more. */
export function filesChecksumIn(sections: readonly Section[]): Uint8Array | undefined {
  return sections.find(({ kind }) => kind === filesKind)?.content.slice(0, treeChecksumBytes);
}

/** Returns the chunks that a record or a flush names, each with the path of its file. Throws MalformedBytes. */
export const chunksNamedIn = (sections: readonly Section[]): { readonly key: string; readonly path: string }[] =>
  (filesOf(sections)?.changes ?? []).flatMap((change) =>
    change.kind === "put-file"
      ? change.pieces.flatMap(({ source }) => (source.kind === "chunk" ? [{ key: source.key, path: change.path }] : []))
      : [],
  );

/** Returns the bytes that a change takes in a section. */
export function changeBytes(change: FileChange): number {
  const length = 1 + stringBytes(change.path);
  switch (change.kind) {
    case "put-file": {
      const { base, pieces } = change;
      const fixed = attributeBytes + 8 + 8 + 1 + 4 + (base === undefined ? 0 : stringBytes(base));
      return pieces.reduce((sum, piece) => sum + pieceBytes(piece), length + fixed);
    }
    case "put-link":
      return length + stringBytes(change.target);
    case "put-folder":
      return length + attributeBytes;
    case "remove":
      return length;
  }
}

/** Of contents, which stay where they are until the record is made. */
const inlineBytes = (change: FileChange): number =>
  change.kind === "put-file"
    ? change.pieces.reduce((sum, { source }) => sum + (source.kind === "inline" ? source.bytes.length : 0), 0)
    : 0;

/** Writes fields, with contents between them that are not copied. */
class PartWriter extends ByteWriter {
  readonly #fields: Buffer;
  readonly #parts: Uint8Array[] = [];
  #from = 0;

  constructor(fieldBytes: number) {
    const fields = Buffer.allocUnsafe(fieldBytes);
    super(fields, 0);
    this.#fields = fields;
  }

  content(bytes: Uint8Array): void {
    this.#parts.push(this.#fields.subarray(this.#from, this.offset), bytes);
    this.#from = this.offset;
  }

  parts(): readonly Uint8Array[] {
    return [...this.#parts, this.#fields.subarray(this.#from)];
  }
}

function pieceBytes({ source }: ChangePiece): number {
  const bytes = { inline: 4, chunk: 8 + hashBytes, same: 4 }[source.kind];
  return hashBytes + 1 + bytes + (source.kind === "inline" ? source.bytes.length : 0);
}

function writeChange(writer: PartWriter, change: FileChange): void {
  writer.u8(kinds.indexOf(change.kind) + 1);
  writer.string(change.path);
  if (change.kind === "put-link") writer.string(change.target);
  if (change.kind === "put-folder") writeAttributes(writer, change);
  if (change.kind === "put-file") writeFile(writer, change);
}

function writeFile(writer: PartWriter, file: PutFile): void {
  writeAttributes(writer, file);
  writer.u64(file.mtimeMs);
  writer.u64(file.size);
  writer.u8(file.base === undefined ? 0 : 1);
  if (file.base !== undefined) writer.string(file.base);
  writer.u32(file.pieces.length);
  for (const { hash, source } of file.pieces) {
    writer.bytes(Buffer.from(hash, "hex"));
    writer.u8(sources.indexOf(source.kind));
    if (source.kind === "inline") {
      writer.u32(source.bytes.length);
      writer.content(source.bytes);
    } else if (source.kind === "same") writer.u32(source.index);
    else {
      const chunk = parseChunkKey(source.key);
      writer.u64(chunk?.position ?? 0);
      writer.bytes(Buffer.from(chunk?.name ?? "", "hex"));
    }
  }
}

function writeAttributes(writer: ByteWriter, { mode, uid, gid }: FileAttributes): void {
  writer.u8(mode & 0xff);
  writer.u8(mode >> 8);
  writer.u32(uid);
  writer.u32(gid);
}

function readSection({ content }: Section): FilesPart {
  const reader = new ByteReader(Buffer.from(content.buffer, content.byteOffset, content.byteLength), 0);
  const checksum = reader.bytes(treeChecksumBytes);
  const count = reader.u32();
  const changes: FileChange[] = [];
  for (let at = 0; at < count; at++) {
    const change = readChange(reader);
    try {
      checkChange(change);
      if (change.kind === "put-file") proveInline(change);
    } catch (error) {
      throw new MalformedBytes(messageOf(error), "a change that could have been written");
    }
    changes.push(change);
  }
  reader.expectEnd();
  return { changes, checksum };
}

function readChange(reader: ByteReader): FileChange {
  const number = reader.u8();
  const kind = kinds[number - 1];
  if (kind === undefined) throw new MalformedBytes(`a change of kind ${number}`, `1 to ${kinds.length}`);
  const path = reader.string();
  switch (kind) {
    case "put-file":
      return { kind, path, ...readFile(reader) };
    case "put-link":
      return { kind, path, target: reader.string() };
    case "put-folder":
      return { kind, path, ...readAttributes(reader) };
    case "remove":
      return { kind, path };
  }
}

function readFile(reader: ByteReader): Omit<PutFile, "kind" | "path"> {
  const attributes = readAttributes(reader);
  const [mtimeMs, size, has] = [reader.u64(), reader.u64(), reader.u8()];
  if (has > 1) throw new MalformedBytes(`base flag ${has}`, "0 or 1");
  const base = has === 1 ? { base: reader.string() } : {};
  const count = reader.u32();
  const pieces: ChangePiece[] = [];
  for (let index = 0; index < count; index++) {
    const hash = Buffer.from(reader.bytes(hashBytes)).toString("hex");
    pieces.push({ hash, source: readSource(reader) });
  }
  return { ...attributes, mtimeMs, size, ...base, pieces };
}

function readSource(reader: ByteReader): ChangePiece["source"] {
  const number = reader.u8();
  const kind = sources[number];
  if (kind === undefined) throw new MalformedBytes(`a piece from source ${number}`, `0 to ${sources.length - 1}`);
  switch (kind) {
    case "inline":
      return { kind, bytes: reader.bytes(reader.u32()) };
    case "chunk":
      return { kind, key: chunkKey(reader.u64(), Buffer.from(reader.bytes(hashBytes)).toString("hex")) };
    case "same":
      return { kind, index: reader.u32() };
  }
}

const readAttributes = (reader: ByteReader): FileAttributes => ({
  mode: reader.u8() | (reader.u8() << 8),
  uid: reader.u32(),
  gid: reader.u32(),
});

/** Paths and targets become paths on a host: none may lead out of its data folder, nor be read in two ways. */
function checkChange(change: FileChange): void {
  checkPath(change.path);
  if (change.kind === "put-folder") checkAttributes(change);
  if (change.kind === "put-link" && (change.target === "" || change.target.includes("\0")))
    throw new RangeError(`${change.path}: a link to nothing`);
  if (change.kind !== "put-file") return;
  checkAttributes(change);
  const { path, size, mtimeMs, base, pieces } = change;
  if (!isCount(size) || !isCount(mtimeMs)) throw new RangeError(`${path}: a size or time that is no whole number`);
  if (base !== undefined) checkPath(base);
  if (pieces.length !== pieceCountOf(size)) throw new RangeError(`${path}: ${pieces.length} pieces of ${size} bytes`);
  for (const [index, piece] of pieces.entries()) checkPiece(change, piece, index);
}

function checkPiece({ path, size, base }: PutFile, { hash, source }: ChangePiece, index: number): void {
  if (!/^[0-9a-f]{64}$/.test(hash)) throw new RangeError(`${path}: piece ${index} without a SHA-256 in lower-case hex`);
  if (source.kind === "same" && (base === undefined || !isCount(source.index) || source.index > u32Max))
    throw new RangeError(`${path}: piece ${index} is the same as nothing`);
  if (source.kind === "chunk" && parseChunkKey(source.key) === undefined)
    throw new RangeError(`${path}: piece ${index} is in ${source.key}, which is no chunk`);
  if (source.kind !== "inline") return;
  if (source.bytes.length !== pieceLength(size, index))
    throw new RangeError(`${path}: piece ${index} has ${source.bytes.length} bytes, not ${pieceLength(size, index)}`);
}

function proveInline({ path, pieces }: PutFile): void {
  for (const [index, { hash, source }] of pieces.entries())
    if (source.kind === "inline" && sha256(source.bytes).toString("hex") !== hash)
      throw new RangeError(`${path}: piece ${index} has other bytes than its SHA-256 says`);
}

function checkPath(path: string): void {
  if (!isDatabaseName(path))
    throw new RangeError("a file's path must be relative, with forward slashes and without dot segments");
}

function checkAttributes({ mode, uid, gid }: FileAttributes): void {
  if (!isCount(mode) || mode > modeMax) throw new RangeError(`mode ${mode} is not a number up to 07777`);
  for (const id of [uid, gid])
    if (!isCount(id) || id > u32Max) throw new RangeError(`owner ${id} is not a number below 2^32`);
}

const isCount = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

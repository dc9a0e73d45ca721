/**
 * One record in a segment: a header of 32 bytes, the content, zeros up to the next block; little-endian.
 *
 *     offset  bytes
 *          0      4  magic "STSG"
 *          4      1  1: the content is the record; 2: it is the key of the object that the record is in
 *          5      3  zeros
 *          8      4  bytes of the content
 *         12      4  CRC-32 of the content
 *         16      8  position
 *         24      4  tag of the term: the CRC-32 of its claim's content, which is random; 0 in a seal
 *         28      4  CRC-32 of the bytes 0..27
 *
 * The checksums tell a whole entry from a torn one; the record's own hashes prove it (record-codec.ts). Segments begin
 * as zeros and are never used again, so what is not zeros was written by the owner of the term. The tag keeps bytes of
 * a record from being taken for an entry where the entry around them is torn: an application's users choose contents of
 * pages, and do not know claims.
 */
import { crc32 } from "node:zlib";
import { recordBytesMax } from "../../limits.ts";
import type { Position } from "../../record.ts";
import { blockBytes } from "../../store/segment-files.ts";

const magic = 0x47535453;
export const entryHeaderBytes = 32;

export type EntryKind = "record" | "object";
const kindNumbers: Readonly<Record<EntryKind, number>> = { record: 1, object: 2 };

export interface EntryHeader {
  readonly kind: EntryKind;
  readonly position: Position;
  readonly contentBytes: number;
  readonly contentCrc: number;
}

export interface Entry {
  /** Undefined: damaged. */
  readonly header: EntryHeader | undefined;
  /** Of a damaged entry, everything up to the next one. */
  readonly content: Uint8Array;
}

/** Bytes that an entry takes in a segment. */
export const entryBytes = (contentBytes: number): number =>
  Math.ceil((entryHeaderBytes + contentBytes) / blockBytes) * blockBytes;

/** Returns the tag of the term whose claim has this content. */
export const tagOf = (claim: Uint8Array): number => crc32(claim);

/** The tag of an entry that a seal carries. */
export const sealTag = 0;

const zeros = new Uint8Array(blockBytes);

/** Returns header, content and zeros: what an append writes. The content is not copied. */
export function entryParts(kind: EntryKind, position: Position, content: Uint8Array, tag: number): Uint8Array[] {
  const header = Buffer.alloc(entryHeaderBytes);
  header.writeUInt32LE(magic, 0);
  header.writeUInt8(kindNumbers[kind], 4);
  header.writeUInt32LE(content.length, 8);
  header.writeUInt32LE(crc32(content), 12);
  header.writeBigUInt64LE(BigInt(position), 16);
  header.writeUInt32LE(tag, 24);
  header.writeUInt32LE(crc32(header.subarray(0, 28)), 28);
  const rest = entryBytes(content.length) - entryHeaderBytes - content.length;
  return [header, content, zeros.subarray(0, rest)];
}

export const encodeEntry = (...of: Parameters<typeof entryParts>): Uint8Array => Buffer.concat(entryParts(...of));

/** Undefined: no entry of this tag begins there, or its header is damaged. */
export function decodeEntryHeader(bytes: Uint8Array, tag: number): EntryHeader | undefined {
  if (bytes.length < entryHeaderBytes) return undefined;
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, entryHeaderBytes);
  if (header.readUInt32LE(0) !== magic || header.readUInt32LE(28) !== crc32(header.subarray(0, 28))) return undefined;
  if (header.readUInt32LE(24) !== tag) return undefined;
  const number = header.readUInt8(4);
  const kind = number === kindNumbers.record ? "record" : number === kindNumbers.object ? "object" : undefined;
  const position = Number(header.readBigUInt64LE(16));
  const contentBytes = header.readUInt32LE(8);
  if (kind === undefined || !Number.isSafeInteger(position) || contentBytes > recordBytesMax) return undefined;
  return { kind, position, contentBytes, contentCrc: header.readUInt32LE(12) };
}

export const isWhole = (header: EntryHeader, content: Uint8Array): boolean =>
  content.length === header.contentBytes && crc32(content) === header.contentCrc;

/**
 * The bytes of a record: two formats with one header; little-endian.
 *
 *     offset  bytes
 *          0      4  magic "STLG"
 *          4      1  format version, 1 or 2
 *          5      1  number of the vault's key; 0: the vault has none
 *          6      1  kind: 1 epoch, 2 commit, 3 renew, 4 checkpoint, 5 vacate
 *          7      1  bytes of the host id, 1..64
 *          8      8  position
 *         16      8  epoch
 *         24      8  wall-clock time, milliseconds since 1970, as a double
 *         32     16  writer nonce
 *         48     32  hash of the previous record; zeros at position 1
 *         80     64  host id, UTF-8, padded with zeros
 *        144      8  first bytes of SHA-256(service name): a record of another service is not a record of this one
 *        152      4  payload length
 *        156      4  format 1: zeros; format 2: the version of stead that wrote it, major u8, minor u8, patch u16
 *        160     32  SHA-256 of the payload; encrypted: salt, 16 bytes, and tag, 16 bytes (store/vault-cipher.ts)
 *        192     32  SHA-256 of the bytes 0..191, with a key HMAC-SHA256 of them: this is the hash of the record
 *        224      …  payload; format 1: the body (payload-codec.ts); format 2: sections, of which the body is the first (section-codec.ts)
 *
 * The record's hash covers the header, and through it the payload's hash. It thus covers every byte with one pass over
 * the payload, not two. The length is trusted only after the header's hash was verified, and must then match the
 * available bytes exactly. Every flipped, missing or additional byte is therefore refused.
 *
 * In a vault with keys the hash is keyed (store/vault-keys.ts), and so is the chain: a record that was changed, removed
 * from the middle, or put at another position or into another vault is refused, and none can be made without the key.
 * It costs two hashes of the header, and no second pass over the payload. A version without keys takes the two bytes of
 * format and key for one number, which it does not know.
 *
 * If that key encrypts, the payload is encrypted, whatever kind and format the record has, and as long as before. The
 * header stays clear: hosts and vault servers without the key tell claims from other records by it and cut a log into
 * records; retention and `stead vault ls` need positions and lengths. It shows who wrote how much at which time, and
 * nothing that the application stores. Salt and tag stand in place of the payload's hash, which would confirm guesses
 * of the payload. The bytes 0..159 are the name under which the payload is encrypted, so it belongs to this position,
 * writer and predecessor. The tag is under the record's own hash, and so in the chain, and the payload is hashed no
 * second time when it is read.
 *
 * Every version reads format 1, because the log of a vault may begin with it. A version that reads only format 1 checks
 * magic, header hash and format version first, so it refuses a record of format 2 by its number without interpreting
 * it. src/core/record-format.ts decides when format 2 is written.
 */
import { timingSafeEqual } from "node:crypto";
import type { SectionToWrite } from "../../core/flush.ts";
import type { RecordFormat } from "../../core/record-format.ts";
import { programVersion } from "../../runtime/program-version.ts";
import { sha256 } from "../../runtime/sha256.ts";
import { ByteWriter, loneSurrogate, MalformedBytes, UnknownSection } from "./bytes.ts";
import { CorruptRecordError, quoteFound, UnknownFormatError, type WrittenBy } from "../errors.ts";
import { filesKind } from "./files-section.ts";
import { requestsKind } from "./request-names-section.ts";
import { outcomesKind } from "./request-outcomes-section.ts";
import { afterKind } from "./request-table-sections.ts";
import { rewoundKind } from "./rewound-section.ts";
import { logKey } from "./log-key.ts";
import { hostIdBytesMax, recordBytesMax } from "../limits.ts";
import {
  bytesBeforePages,
  payloadLength,
  readPayload,
  type RecordKind,
  writeBeforePages,
  writePayload,
} from "./payload-codec.ts";
import type { LogRecord, Position, RecordBody, RecordHeader } from "../record.ts";
import { saltBytes } from "../store/vault-cipher.ts";
import { type NumberedKey, logNumbers, type UseKey, type VaultKeys } from "../store/vault-keys.ts";
import type { RecordMemory } from "./record-memory.ts";
import { readSections, sectionsLength, writeSections } from "./section-codec.ts";

const magic = 0x474c5453;
export const recordHeaderBytes = 224;
const hashedHeaderBytes = 192;
/** Under which a payload is encrypted. */
const nameBytes = 160;

const freshMemory = { take: (length: number): Buffer => Buffer.allocUnsafeSlow(length) };

const noHost = Buffer.alloc(hostIdBytesMax);

/** The previous hash of the first record. */
export const genesisHash = "0".repeat(64);

const kindNumbers: Readonly<Record<RecordKind, number>> = { epoch: 1, commit: 2, renew: 3, checkpoint: 4, vacate: 5 };
const kindNames: readonly (RecordKind | undefined)[] = [undefined, "epoch", "commit", "renew", "checkpoint", "vacate"];

/** Kinds of sections that this version understands, beside the body. */
const knownSections: ReadonlySet<string> = new Set([filesKind, requestsKind, outcomesKind, afterKind, rewoundKind]);

/** How a record is written. */
export type RecordLayout =
  | { readonly format: 1 }
  /** `steadVersion`: version of the program that writes it; default: this one. */
  | {
      readonly format: 2;
      readonly sections?: readonly SectionToWrite[] | undefined;
      readonly steadVersion?: string | undefined;
    };

/** Returns the bytes that a record with this body takes in the vault: for callers that split a flush into parts. */
export const encodedLength = (body: RecordBody, layout: RecordLayout = { format: 1 }): number =>
  recordHeaderBytes + payloadBytes(payloadLength(body), layout);

/** Bytes of a commit of one database before its first page. */
export const encodedBeforePages = (name: string, layout: RecordLayout): number =>
  recordHeaderBytes + payloadBytes(bytesBeforePages(name), layout);

const payloadBytes = (bodyBytes: number, layout: RecordLayout): number =>
  layout.format === 1 ? bodyBytes : sectionsLength(bodyBytes, layout.sections ?? []);

/**
 * Encodes a record. `serviceTag` comes from `serviceTagOf`. Pages that are laid out for exactly this record stay where
 * they are, and what comes before them is written into their room; others go to `memory`, or to memory of their own.
 * Throws RangeError for a value that cannot be stored (too long, out of range): a programming error of the caller.
 */
export function encodeRecord(
  serviceTag: Uint8Array,
  header: RecordHeader,
  body: RecordBody,
  layout: RecordLayout = { format: 1 },
  key?: NumberedKey,
  memory: Pick<RecordMemory, "take"> = freshMemory,
): { readonly bytes: Uint8Array; readonly hash: string } {
  const bodyBytes = payloadLength(body);
  const payload = payloadBytes(bodyBytes, layout);
  const total = recordHeaderBytes + payload;
  if (total > recordBytesMax)
    throw new RangeError(
      `a record of ${total} bytes, at most ${recordBytesMax} are allowed: split the flush into parts`,
    );
  // Encrypted bytes would be written over the pages.
  const laidOut = key?.cipher === undefined ? laidOutFor(body, layout, total) : undefined;
  const bytes = laidOut === undefined ? memory.take(total) : Buffer.from(laidOut.buffer, laidOut.byteOffset, total);
  const writer = new ByteWriter(bytes, recordHeaderBytes);
  const writeBody = (): void => {
    if (laidOut !== undefined && body.kind === "commit") writeBeforePages(writer, body);
    else writePayload(writer, body);
  };
  if (layout.format === 1) writeBody();
  else writeSections(writer, bodyBytes, writeBody, layout.sections ?? []);
  writeHeader(bytes, serviceTag, header, kindNumbers[body.kind], payload);
  if (layout.format === 2) writeVersion(bytes, layout.steadVersion ?? programVersion);
  bytes.writeUInt8(layout.format, 4);
  bytes.writeUInt8(key?.number ?? 0, 5);
  protectPayload(bytes, key);
  const hashed = bytes.subarray(0, hashedHeaderBytes);
  const hash = key === undefined ? sha256(hashed) : key.mac.mac(hashed);
  bytes.set(hash, hashedHeaderBytes);
  return { bytes: new Uint8Array(bytes.buffer, bytes.byteOffset, total), hash: hash.toString("hex") };
}

/** Hashes the payload, or encrypts it where it is. */
function protectPayload(bytes: Buffer, key: NumberedKey | undefined): void {
  const payload = bytes.subarray(recordHeaderBytes);
  if (key?.cipher === undefined) {
    bytes.set(sha256(payload), nameBytes);
    return;
  }
  const encrypted = key.cipher.encrypt(bytes.subarray(0, nameBytes), payload);
  bytes.set(encrypted.bytes, recordHeaderBytes);
  bytes.set(encrypted.salt, nameBytes);
  bytes.set(encrypted.tag, nameBytes + saltBytes);
}

function laidOutFor(body: RecordBody, layout: RecordLayout, total: number): Uint8Array | undefined {
  const delta = body.kind === "commit" && body.databases.length === 1 ? body.databases[0] : undefined;
  if (delta?.laidOut === undefined || (layout.format === 2 && (layout.sections ?? []).length > 0)) return undefined;
  const { bytes, headBytes } = delta.laidOut;
  return bytes.byteLength === total && headBytes === encodedBeforePages(delta.name, layout) ? bytes : undefined;
}

function writeVersion(bytes: Buffer, text: string): void {
  const [, major, minor, patch] = /^(\d+)\.(\d+)\.(\d+)/.exec(text) ?? [];
  if (patch === undefined) throw new RangeError(`the version ${text} is not major.minor.patch`);
  bytes.writeUInt8(Number(major), 156);
  bytes.writeUInt8(Number(minor), 157);
  bytes.writeUInt16LE(Number(patch), 158);
}

const readVersion = (bytes: Buffer): string =>
  `${bytes.readUInt8(156)}.${bytes.readUInt8(157)}.${bytes.readUInt16LE(158)}`;

function writeHeader(bytes: Buffer, serviceTag: Uint8Array, header: RecordHeader, kind: number, payload: number): void {
  const hostBytes = Buffer.byteLength(header.host, "utf8");
  if (hostBytes < 1 || hostBytes > hostIdBytesMax)
    throw new RangeError(`a host id of ${hostBytes} bytes, 1 to ${hostIdBytesMax} are allowed`);
  if (loneSurrogate.test(header.host) || header.host.includes("\ufffd"))
    throw new RangeError("a host id with a lone surrogate, or with the sign for what is not Unicode");
  if (!/^[0-9a-f]{32}$/.test(header.nonce)) throw new RangeError("the nonce is not 16 bytes in lower-case hex");
  if (!/^[0-9a-f]{64}$/.test(header.previousHash))
    throw new RangeError("the previous hash is not a SHA-256 in lower-case hex");
  if (!Number.isFinite(header.wallTimeMs)) throw new RangeError(`wall-clock time ${header.wallTimeMs}`);
  if (serviceTag.length !== 8) throw new RangeError("the service tag is not 8 bytes");
  bytes.fill(0, 0, recordHeaderBytes);
  bytes.writeUInt32LE(magic, 0);
  bytes.writeUInt8(kind, 6);
  bytes.writeUInt8(hostBytes, 7);
  bytes.writeBigUInt64LE(BigInt(header.position), 8);
  bytes.writeBigUInt64LE(BigInt(header.epoch), 16);
  bytes.writeDoubleLE(header.wallTimeMs, 24);
  bytes.write(header.nonce, 32, "hex");
  bytes.write(header.previousHash, 48, "hex");
  bytes.write(header.host, 80, "utf8");
  bytes.set(serviceTag, 144);
  bytes.writeUInt32LE(payload, 152);
}

/**
 * Decodes and verifies the bytes found at `position`: everything except what only the reader of the log knows (chain,
 * epoch). Throws CorruptRecordError or UnknownFormatError. Contents of pages and sections are views into `stored`.
 * `known`: the kinds of sections that this version understands. `keys`: those of the vault; with them a record without
 * a key is damage, except where the vault had none.
 */
export function decodeRecord(
  serviceTag: Uint8Array,
  position: Position,
  stored: Uint8Array,
  known: ReadonlySet<string> = knownSections,
  keys?: VaultKeys,
): LogRecord {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  const corrupt = (found: string, expected: string): CorruptRecordError =>
    new CorruptRecordError(position, logKey(position), found, expected);
  if (bytes.length < recordHeaderBytes) throw corrupt(`${bytes.length} bytes`, `at least ${recordHeaderBytes}`);
  if (bytes.readUInt32LE(0) !== magic) throw corrupt(`magic ${quoteFound(bytes.toString("latin1", 0, 4))}`, '"STLG"');
  const format = bytes.readUInt8(4);
  const key = keyOf(bytes, { position, keys, corrupt });
  const hashed = bytes.subarray(0, hashedHeaderBytes);
  const hash = key === undefined ? sha256(hashed) : key.mac.mac(hashed);
  const headerIsWhole = isSame(hash, bytes.subarray(hashedHeaderBytes, recordHeaderBytes));
  // A later format with the same header names its writer.
  if (format !== 1 && format !== 2)
    throw new UnknownFormatError(logKey(position), `version ${format}`, "versions 1 and 2", {
      position,
      by: headerIsWhole ? writtenBy(bytes, corrupt) : undefined,
    });
  if (!headerIsWhole)
    throw corrupt("a header that does not match its hash", bytes.toString("hex", hashedHeaderBytes, recordHeaderBytes));
  const payload = bytes.readUInt32LE(152);
  if (recordHeaderBytes + payload > recordBytesMax)
    throw corrupt(`a payload of ${payload} bytes`, `at most ${recordBytesMax - recordHeaderBytes}`);
  if (bytes.length !== recordHeaderBytes + payload)
    throw corrupt(`${bytes.length} bytes`, `${recordHeaderBytes + payload}`);
  const content = clearPayload(bytes, key, corrupt);
  if (bytes.compare(serviceTag, 0, 8, 144, 152) !== 0)
    throw corrupt("a record of another service", "one of this service");
  const header = readHeader(bytes, corrupt);
  if (format === 1 && bytes.readUInt32LE(156) !== 0) throw corrupt("reserved bytes in use", "zeros");
  if (header.position !== position) throw corrupt(`a record of position ${header.position}`, `position ${position}`);
  return {
    header,
    ...readContent(bytes, content, { format, position, known, corrupt }),
    format,
    steadVersion: format === 1 ? undefined : readVersion(bytes),
    hash: hash.toString("hex"),
  };
}

interface KeyOptions {
  readonly position: Position;
  readonly keys: VaultKeys | undefined;
  readonly corrupt: Corrupt;
}

/** Returns the key of the record; undefined: it has none, and needs none. */
function keyOf(bytes: Buffer, { position, keys, corrupt }: KeyOptions): UseKey | undefined {
  const number = keyNumberOf(bytes);
  if (number === 0) {
    if (keys?.isOpen(logNumbers, position) === false)
      throw corrupt("a record without authentication", "one that is authenticated with the vault's keys");
    return undefined;
  }
  if (keys === undefined)
    throw corrupt(`a record of key ${number}`, "one without a key, since the vault has no keyring");
  const key = keys.recordKey(number);
  if (key === undefined) throw corrupt(`a record of the unknown key ${number}`, "a key of the vault's keyring");
  if (key.cipher === undefined && !keys.isClear(logNumbers, position))
    throw corrupt("a record that is not encrypted", "an encrypted one, as everything since the vault was encrypted");
  return key;
}

/** Returns the payload, verified. */
function clearPayload(bytes: Buffer, key: UseKey | undefined, corrupt: Corrupt): Buffer {
  const stored = bytes.subarray(recordHeaderBytes);
  if (key?.cipher === undefined) {
    if (sha256(stored).compare(bytes, nameBytes, hashedHeaderBytes) === 0) return stored;
    throw corrupt("a payload that does not match its hash", bytes.toString("hex", nameBytes, hashedHeaderBytes));
  }
  const payload = key.cipher.decrypt(bytes.subarray(0, nameBytes), {
    bytes: stored,
    salt: bytes.subarray(nameBytes, nameBytes + saltBytes),
    tag: bytes.subarray(nameBytes + saltBytes, hashedHeaderBytes),
  });
  if (payload === undefined)
    throw corrupt("a payload that does not decrypt", "the one that its header was written for");
  return payload;
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && timingSafeEqual(a, b);

type Corrupt = (found: string, expected: string) => Error;

function readHeader(bytes: Buffer, corrupt: Corrupt): RecordHeader {
  const host = readHost(bytes, corrupt);
  const position = Number(bytes.readBigUInt64LE(8));
  const epoch = Number(bytes.readBigUInt64LE(16));
  if (!Number.isSafeInteger(position) || !Number.isSafeInteger(epoch))
    throw corrupt("a position or epoch beyond 2^53", "safe integers");
  const wallTimeMs = bytes.readDoubleLE(24);
  if (!Number.isFinite(wallTimeMs)) throw corrupt(`wall-clock time ${wallTimeMs}`, "milliseconds since 1970");
  const hex = bytes.toString("hex", 32, 80);
  return { position, epoch, host, nonce: hex.slice(0, 32), wallTimeMs, previousHash: hex.slice(32) };
}

function readHost(bytes: Buffer, corrupt: Corrupt): string {
  const hostBytes = bytes.readUInt8(7);
  if (hostBytes < 1 || hostBytes > hostIdBytesMax)
    throw corrupt(`a host id of ${hostBytes} bytes`, `1 to ${hostIdBytesMax}`);
  if (bytes.compare(noHost, 0, hostIdBytesMax - hostBytes, 80 + hostBytes, 80 + hostIdBytesMax) !== 0)
    throw corrupt("reserved bytes in use", "zeros");
  const host = bytes.toString("utf8", 80, 80 + hostBytes);
  if (Buffer.byteLength(host, "utf8") !== hostBytes || host.includes("\ufffd"))
    throw corrupt("a host id that is not UTF-8", "UTF-8");
  return host;
}

const writtenBy = (bytes: Buffer, corrupt: Corrupt): WrittenBy => ({
  host: readHost(bytes, corrupt),
  version: readVersion(bytes),
});

interface ContentOptions {
  readonly format: RecordFormat;
  readonly position: Position;
  readonly known: ReadonlySet<string>;
  readonly corrupt: Corrupt;
}

function readContent(
  bytes: Buffer,
  payload: Buffer,
  { format, position, known, corrupt }: ContentOptions,
): Pick<LogRecord, "body" | "sections"> {
  const unknown = (found: string, expected: string): Error =>
    new UnknownFormatError(logKey(position), found, expected, {
      position,
      by: format === 1 ? undefined : writtenBy(bytes, corrupt),
    });
  const number = bytes.readUInt8(6);
  const kind = kindNames[number];
  if (kind === undefined) throw unknown(`kind ${number}`, "kinds 1 to 5");
  try {
    if (format === 1) return { body: readPayload(kind, payload), sections: [] };
    const { body, sections } = readSections(payload, 0, known);
    return { body: readPayload(kind, Buffer.from(body.buffer, body.byteOffset, body.byteLength)), sections };
  } catch (error) {
    if (error instanceof MalformedBytes) throw corrupt(error.found, error.expected);
    if (error instanceof UnknownSection) throw unknown(error.found, error.expected);
    throw error;
  }
}

/** Returns the number of the key that a record names; 0: none. */
export const keyNumberOf = (bytes: Uint8Array): number => bytes[5] ?? 0;

/** True if the bytes are those of an `epoch` record, by its header alone. */
export const isEpochRecord = (bytes: Uint8Array): boolean => bytes[6] === kindNumbers.epoch;

/** Returns the tag of the service's name in a record header. */
export function serviceTagOf(service: string): Uint8Array {
  return sha256(Buffer.from(service, "utf8")).subarray(0, 8);
}

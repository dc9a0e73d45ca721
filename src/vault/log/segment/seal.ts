/**
 * A seal: what became of a claim, and where the log before it ends. Its bytes are an object of a store, little-endian:
 *
 *     offset  bytes
 *          0      4  magic "STSL"
 *          4      1  1: the claim took over; 2: it came to nothing
 *          5      3  zeros
 *          8      8  the term before it that applies; 0: none
 *         16      8  the position at which that term ends (took over) or has come to at least (came to nothing)
 *         24      4  bytes of that term's last entry (segment-entry.ts); 0: its last record is its `epoch` record
 *         28      4  bytes of this term's `epoch` record; 0 where the claim came to nothing
 *         32      4  CRC-32 of the bytes 0..31 and of what follows 36
 *         36      …  the entry, the record
 */
import { crc32 } from "node:zlib";
import { CorruptRecordError } from "../../errors.ts";
import type { Position } from "../../record.ts";

const magic = 0x4c535453;
const headBytes = 36;

export interface Seal {
  /** The term before that applies, and its last position; term 0 at position 0 is the empty log. */
  readonly before: { readonly term: number; readonly end: Position };
  /**
   * That term's last entry. Its owner may have written it without having synced it, and then it is durable only here.
   * Undefined: the last record is the term's `epoch` record, which is in a seal.
   */
  readonly last: Uint8Array | undefined;
  /** The `epoch` record, at the position after; undefined: the claim came to nothing. */
  readonly epoch: Uint8Array | undefined;
}

export function encodeSeal({ before, last, epoch }: Seal): Uint8Array {
  const head = Buffer.alloc(headBytes);
  head.writeUInt32LE(magic, 0);
  head.writeUInt8(epoch === undefined ? 2 : 1, 4);
  head.writeBigUInt64LE(BigInt(before.term), 8);
  head.writeBigUInt64LE(BigInt(before.end), 16);
  head.writeUInt32LE(last?.length ?? 0, 24);
  head.writeUInt32LE(epoch?.length ?? 0, 28);
  const seal = Buffer.concat([head, last ?? new Uint8Array(), epoch ?? new Uint8Array()]);
  seal.writeUInt32LE(checksumOf(seal), 32);
  return seal;
}

/** Returns how long the seal is with which these bytes begin, by what they say. */
export const sealLength = (bytes: Buffer): number =>
  bytes.length < headBytes ? 0 : headBytes + bytes.readUInt32LE(24) + bytes.readUInt32LE(28);

/** Throws CorruptRecordError, which names `key`. */
export function decodeSeal(key: string, stored: Uint8Array): Seal {
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  const isSeal = bytes.length >= headBytes && bytes.readUInt32LE(0) === magic;
  if (!isSeal || bytes.readUInt32LE(32) !== checksumOf(bytes))
    throw new CorruptRecordError(0, key, `${bytes.length} bytes that do not match their checksum`, "a seal");
  const [lastBytes, epochBytes] = [bytes.readUInt32LE(24), bytes.readUInt32LE(28)];
  const section = (start: number, length: number): Uint8Array | undefined =>
    length === 0 ? undefined : new Uint8Array(bytes.subarray(start, start + length));
  return {
    before: { term: Number(bytes.readBigUInt64LE(8)), end: Number(bytes.readBigUInt64LE(16)) },
    last: section(headBytes, lastBytes),
    epoch: bytes.readUInt8(4) === 1 ? section(headBytes + lastBytes, epochBytes) : undefined,
  };
}

const checksumOf = (bytes: Uint8Array): number => crc32(bytes.subarray(headBytes), crc32(bytes.subarray(0, 32)));

/**
 * The write-ahead log's bytes: header, frames, and the cumulative checksum that chains them.
 *
 * Layout (https://www.sqlite.org/walformat.html, section 1): a 32-byte header (magic, version, page size, checkpoint
 * number, salts at 16, checksum of the first 24 bytes at 24), then frames of 24 bytes plus one page (page number,
 * database size in pages for a commit frame or 0, salts at 8, cumulative checksum at 16). All big-endian. The checksum
 * runs over the first 8 bytes of the frame header and the page, in the byte order that the last bit of the magic says,
 * and starts from that of the frame before (of the WAL header for the first).
 */
import { endianness } from "node:os";

export const walHeaderBytes = 32;
export const frameHeaderBytes = 24;
const magic = 0x377f_0682;
const formatVersion = 3_007_000;
const nativeBigEndian = endianness() === "BE";

export interface WalChecksum {
  s1: number;
  s2: number;
}

export interface WalHeader {
  readonly bigEndian: boolean;
  readonly pageSize: number;
  readonly salt1: number;
  readonly salt2: number;
  /** The seed of the first frame's checksum. */
  readonly checksum: WalChecksum;
}

export interface FrameHeader {
  readonly page: number;
  /** Pages of the database after this frame's transaction; 0 when it is not the last one of its transaction. */
  readonly commitPageCount: number;
}

/** Its checksums are in the byte order of this machine. */
export const isNativeOrder = ({ bigEndian }: Pick<WalHeader, "bigEndian">): boolean => bigEndian === nativeBigEndian;

export const frameBytes = (pageSize: number): number => frameHeaderBytes + pageSize;
/** Where frame `frame` (from 1) starts in the file. */
export const frameOffset = (frame: number, pageSize: number): number =>
  walHeaderBytes + (frame - 1) * frameBytes(pageSize);

/**
 * Adds `words` (an even number of 32-bit words) to a running checksum. All sums stay in 32 bits, which keeps this fast.
 */
export function addChecksum(sum: WalChecksum, words: Int32Array, bigEndian: boolean): void {
  let s1 = sum.s1 | 0;
  let s2 = sum.s2 | 0;
  const count = words.length;
  if (bigEndian === nativeBigEndian) {
    for (let i = 0; i < count; i += 2) {
      s1 = (((s1 + (words[i] as number)) | 0) + s2) | 0;
      s2 = (((s2 + (words[i + 1] as number)) | 0) + s1) | 0;
    }
  } else {
    for (let i = 0; i < count; i += 2) {
      s1 = (((s1 + swap(words[i] as number)) | 0) + s2) | 0;
      s2 = (((s2 + swap(words[i + 1] as number)) | 0) + s1) | 0;
    }
  }
  sum.s1 = s1 >>> 0;
  sum.s2 = s2 >>> 0;
}

const swap = (x: number): number => ((x & 0xff) << 24) | ((x & 0xff00) << 8) | ((x >>> 8) & 0xff00) | (x >>> 24);

/**
 * Parses the header; undefined if these bytes are not one (empty, torn, or never written). `bytes` is 4-byte aligned.
 */
export function parseWalHeader(bytes: Uint8Array): WalHeader | undefined {
  if (bytes.byteLength < walHeaderBytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, walHeaderBytes);
  const foundMagic = view.getUint32(0);
  if ((foundMagic & ~1) >>> 0 !== magic || view.getUint32(4) !== formatVersion) return undefined;
  const pageSize = view.getUint32(8);
  if (pageSize < 512 || pageSize > 65_536 || (pageSize & (pageSize - 1)) !== 0) return undefined;
  const bigEndian = (foundMagic & 1) === 1;
  const checksum: WalChecksum = { s1: 0, s2: 0 };
  addChecksum(checksum, new Int32Array(bytes.buffer, bytes.byteOffset, 6), bigEndian);
  if (checksum.s1 !== view.getUint32(24) || checksum.s2 !== view.getUint32(28)) return undefined;
  return { bigEndian, pageSize, salt1: view.getUint32(16), salt2: view.getUint32(20), checksum };
}

/**
 * Checks the frame at `offset` of a 4-byte aligned buffer against its generation and the running checksum, and advances
 * the checksum. Undefined: this is not the next frame of this generation (and the checksum is spoilt).
 */
export function takeFrame(
  bytes: Uint8Array,
  offset: number,
  log: { readonly pageSize: number; readonly bigEndian: boolean; readonly salt1: number; readonly salt2: number },
  sum: WalChecksum,
): FrameHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, frameHeaderBytes);
  if (view.getUint32(8) !== log.salt1 || view.getUint32(12) !== log.salt2) return undefined;
  const page = view.getUint32(0);
  if (page === 0) return undefined;
  const start = bytes.byteOffset + offset;
  addChecksum(sum, new Int32Array(bytes.buffer, start, 2), log.bigEndian);
  addChecksum(sum, new Int32Array(bytes.buffer, start + frameHeaderBytes, log.pageSize / 4), log.bigEndian);
  if (sum.s1 !== view.getUint32(16) || sum.s2 !== view.getUint32(20)) return undefined;
  return { page, commitPageCount: view.getUint32(4) };
}

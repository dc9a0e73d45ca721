/** Frames of a write-ahead log as SQLite writes them, with checksums, behind a position. */
import { addChecksum, frameBytes, frameHeaderBytes } from "../../../src/capture/wal-frames.ts";

export const madePageBytes = 512;
export const madeFrameBytes = frameBytes(madePageBytes);
export const [madeSalt1, madeSalt2] = [0x1234, 0x5678];
/** The running checksum before the first frame. */
export const madeSeed = { s1: 7, s2: 11 };

/** Frames of pages 1, 2, …, the last of which commits a database of `pageCount` pages. */
export function framesOf(pages: readonly Uint8Array[], pageCount = pages.length): Uint8Array {
  const bytes = new Uint8Array(pages.length * madeFrameBytes);
  const view = new DataView(bytes.buffer);
  const sum = { ...madeSeed };
  for (const [i, page] of pages.entries()) {
    const start = i * madeFrameBytes;
    view.setUint32(start, i + 1);
    view.setUint32(start + 4, i + 1 === pages.length ? pageCount : 0);
    view.setUint32(start + 8, madeSalt1);
    view.setUint32(start + 12, madeSalt2);
    bytes.set(page, start + frameHeaderBytes);
    addChecksum(sum, new Int32Array(bytes.buffer, start, 2), false);
    addChecksum(sum, new Int32Array(bytes.buffer, start + frameHeaderBytes, madePageBytes / 4), false);
    view.setUint32(start + 16, sum.s1);
    view.setUint32(start + 20, sum.s2);
  }
  return bytes;
}

/**
 * Reads a range of committed frames and proves them: salts, page numbers, and the checksum chain from the last frame
 * that was captured to the one that the index header names. A frame that does not fit means lost continuity; it is
 * never skipped.
 */
import { readSync } from "node:fs";
import { lostContinuity } from "./capture-error.ts";
import { readChunkBytes } from "./limits.ts";
import type { EventLoopBudget } from "../runtime/event-loop-budget.ts";
import {
  frameBytes,
  frameHeaderBytes,
  frameOffset,
  parseWalHeader,
  takeFrame,
  walHeaderBytes,
  type WalChecksum,
} from "./wal-frames.ts";
import type { WalIndex } from "./wal-index.ts";

/** The last captured frame, and the checksum there. Frame 0: the start of the generation. */
export interface WalPosition {
  readonly salt1: number;
  readonly salt2: number;
  readonly mxFrame: number;
  readonly checksum1: number;
  readonly checksum2: number;
}

/** Called with a frame's page; `content` is valid for as long as the caller keeps it. */
export type FrameVisitor = (page: number, frame: number, content: Uint8Array) => void;

export interface FrameRange {
  readonly name: string;
  readonly walFd: number;
  /** Same generation as `to`, or frame 0 of it. */
  readonly from: WalPosition;
  readonly to: WalIndex;
}

/**
 * Visits frames from+1..to in order. Throws `CaptureError` (continuity). Buffers passed to the visitor are not reused.
 */
export async function readFrames(range: FrameRange, budget: EventLoopBudget, visit: FrameVisitor): Promise<void> {
  const { name, walFd, from, to } = range;
  if (to.mxFrame === from.mxFrame) return;
  const size = frameBytes(to.pageSize);
  const sum = from.mxFrame === 0 ? generationSeed(range) : { s1: from.checksum1, s2: from.checksum2 };
  const perChunk = Math.max(1, Math.floor(readChunkBytes / size));
  let commitPageCount = 0;
  for (let frame = from.mxFrame + 1; frame <= to.mxFrame; frame += perChunk) {
    const count = Math.min(perChunk, to.mxFrame - frame + 1);
    const bytes = new Uint8Array(count * size);
    if (readFully(walFd, bytes, frameOffset(frame, to.pageSize)) < bytes.byteLength) {
      throw lostContinuity(name, `a write-ahead log that ends before frame ${to.mxFrame}`, "every committed frame");
    }
    for (let i = 0; i < count; i++) {
      const header = takeFrame(bytes, i * size, to, sum);
      if (header === undefined)
        throw lostContinuity(
          name,
          `frame ${frame + i} of another generation or with a wrong checksum`,
          "the frames that follow the captured ones",
        );
      const start = i * size + frameHeaderBytes;
      visit(header.page, frame + i, bytes.subarray(start, start + to.pageSize));
      commitPageCount = header.commitPageCount;
    }
    await budget.yieldIfDue();
  }
  if (sum.s1 !== to.checksum1 || sum.s2 !== to.checksum2 || commitPageCount !== to.pageCount) {
    throw lostContinuity(
      name,
      `a last frame ${to.mxFrame} that is not the one in the index`,
      "frames up to the end that the index names",
    );
  }
}

/** The checksum from which the chain of a generation starts. Throws `CaptureError` (continuity). */
export function generationSeed({ name, walFd, to }: FrameRange): WalChecksum {
  const bytes = new Uint8Array(walHeaderBytes);
  const header = readFully(walFd, bytes, 0) === walHeaderBytes ? parseWalHeader(bytes) : undefined;
  if (
    header === undefined ||
    header.salt1 !== to.salt1 ||
    header.salt2 !== to.salt2 ||
    header.pageSize !== to.pageSize
  ) {
    throw lostContinuity(
      name,
      "a write-ahead log whose header is of another generation than its index",
      "matching salts",
    );
  }
  return { ...header.checksum };
}

/** `pread` until the buffer is full or the file ends; returns the number of bytes. */
export function readFully(fd: number, bytes: Uint8Array, position: number): number {
  let done = 0;
  while (done < bytes.byteLength) {
    const count = readSync(fd, bytes, done, bytes.byteLength - done, position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

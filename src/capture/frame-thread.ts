/**
 * The thread that reads frames of a write-ahead log ahead of their commit: it takes them as pages that are ready to be
 * put, and proves after the commit that the pages it took are the committed ones. Either costs the event loop no more
 * than a message.
 *
 * `take` reads frames that are in the file, whether they are committed or not. It tests only whether a frame belongs to
 * this generation or to a transaction that has given up its checksums (zeros in their place, wal.c `walEncodeFrame`):
 * it stops at any other frame, since the writer has not come so far. `prove` reads the same frames when they are
 * committed, and so do not change any more; read-ahead.ts has the argument.
 */
import { CallThread, type ThreadAnswer } from "../runtime/call-thread.ts";

/** A log, as the thread needs to know it. */
export interface FrameLog {
  /** Open as long as the thread is asked about it. */
  readonly walFd: number;
  readonly pageSize: number;
  readonly salt1: number;
  readonly salt2: number;
}

/** Page numbers, and the values by which each page is recognised. */
export interface TakenFrames {
  /** Of each frame, in order. */
  readonly pages: Uint32Array;
  /** First 16 bytes of SHA-256(page number ‖ content) of each. */
  readonly hashes: Uint8Array;
  /** 64 bits each, by a fast hash under a secret seed: tells a page that was rewritten. */
  readonly marks: BigUint64Array;
  /** What each frame adds to the log's running checksum, two words each. */
  readonly sums: Uint32Array;
}

/** Frames as pages to be put. */
export interface TakenPart extends TakenFrames {
  /** `headBytes` of room, then number (u32 LE) and content of each page. */
  readonly bytes: Uint8Array;
}

export interface TakeRequest extends FrameLog {
  readonly first: number;
  readonly count: number;
  readonly headBytes: number;
  /** Room that is used again; handed over to the thread. */
  readonly room?: ArrayBuffer | undefined;
}

export interface ProveRequest extends FrameLog {
  readonly first: number;
  readonly taken: Pick<TakenFrames, "pages" | "marks" | "sums">;
  /** The running checksum before `first`. */
  readonly s1: number;
  readonly s2: number;
}

/** The running checksum at the end, and the frames that were rewritten since they were taken. */
export interface ProvedFrames {
  readonly s1: number;
  readonly s2: number;
  /** Pages of the database as the last frame says it; 0: it commits nothing. */
  readonly commitPageCount: number;
  /** Of the frames, from 0, with the page that is there now and its hash. */
  readonly changed: readonly { readonly at: number; readonly page: number; readonly hash: Uint8Array }[];
}

type Request = ({ readonly kind: "take" } & TakeRequest) | ({ readonly kind: "prove" } & ProveRequest);
type Taken = TakenPart | ProvedFrames | undefined;

/** True on a runtime with a fast hash. */
export const isFrameThreadSupported = typeof Bun !== "undefined";

export class FrameThread {
  readonly #thread = new CallThread<Request, Taken>(
    "the thread that reads ahead",
    `(${answerInThread.toString()})(${takeFrames.toString()},${proveFrames.toString()},${addFrame.toString()})`,
  );

  /** The frames from `first` on that are there, `count` at most; undefined: not one. */
  take(request: TakeRequest): Promise<TakenPart | undefined> {
    const room = request.room === undefined ? [] : [request.room];
    return this.#thread.call({ kind: "take", ...request }, room) as Promise<TakenPart | undefined>;
  }

  /** undefined: they do not continue the log's chain of checksums. */
  prove(request: ProveRequest): Promise<ProvedFrames | undefined> {
    return this.#thread.call({ kind: "prove", ...request }) as Promise<ProvedFrames | undefined>;
  }

  /** Nothing may be in progress. */
  close(): Promise<void> {
    return this.#thread.close();
  }
}

/** Functions that those below share in the thread: nothing else of this file exists there. */
interface Tools {
  readonly scratch: (bytes: number) => Uint8Array;
  readonly read: (fd: number, bytes: Uint8Array, position: number) => number;
  readonly sha256: (bytes: Uint8Array) => Uint8Array;
  readonly mark: (bytes: Uint8Array) => bigint;
  readonly add: typeof addFrame;
}

function answerInThread(
  take: typeof takeFrames,
  prove: typeof proveFrames,
  add: typeof addFrame,
): (request: Request) => ThreadAnswer<Taken> {
  const { readSync } = process.getBuiltinModule("node:fs");
  const { hash, randomBytes } = process.getBuiltinModule("node:crypto");
  const seed = randomBytes(8).readBigUInt64LE();
  let room = new Uint8Array(0);
  const tools: Tools = {
    scratch: (bytes) => (room.byteLength < bytes ? (room = new Uint8Array(bytes)) : room).subarray(0, bytes),
    read: (fd, bytes, position) => {
      let done = 0;
      for (let count = -1; done < bytes.byteLength && count !== 0; done += count)
        count = readSync(fd, bytes, done, bytes.byteLength - done, position + done);
      return done;
    },
    sha256: (bytes) => hash("sha256", bytes, "buffer"),
    mark: (bytes) => Bun.hash.rapidhash(bytes, seed),
    add,
  };
  return (request) => {
    if (request.kind === "prove") return { result: prove(request, tools) };
    const result = take(request, tools);
    return { result, handedOver: result === undefined ? [] : [result.bytes.buffer as ArrayBuffer] };
  };
}

/**
 * Adds the first eight bytes of a frame and its page to a checksum of the log, in the byte order of this machine (wal-
 * frames.ts).
 */
function addFrame(sum: { s1: number; s2: number }, frame: Uint8Array, pageSize: number): void {
  let s1 = sum.s1 | 0;
  let s2 = sum.s2 | 0;
  const words = new Int32Array(frame.buffer, frame.byteOffset, 6 + pageSize / 4);
  for (let i = 0; i < words.length; i += i === 0 ? 6 : 2) {
    s1 = (((s1 + (words[i] as number)) | 0) + s2) | 0;
    s2 = (((s2 + (words[i + 1] as number)) | 0) + s1) | 0;
  }
  sum.s1 = s1 >>> 0;
  sum.s2 = s2 >>> 0;
}

function takeFrames(request: TakeRequest, { scratch, read, sha256, mark, add }: Tools): TakenPart | undefined {
  const { walFd, pageSize, salt1, salt2, first, headBytes } = request;
  const size = 24 + pageSize;
  const stride = 4 + pageSize;
  const frames = scratch(request.count * size);
  const there = Math.floor(read(walFd, frames, 32 + (first - 1) * size) / size);
  const view = new DataView(frames.buffer, frames.byteOffset, frames.byteLength);
  const isWritten = (at: number): boolean => {
    const [one, two] = [view.getUint32(at * size + 8), view.getUint32(at * size + 12)];
    return view.getUint32(at * size) !== 0 && ((one === salt1 && two === salt2) || (one === 0 && two === 0));
  };
  let count = 0;
  while (count < there && isWritten(count)) count += 1;
  if (count === 0) return undefined;
  const wanted = headBytes + count * stride;
  const buffer =
    request.room !== undefined && request.room.byteLength >= wanted
      ? request.room
      : new ArrayBuffer(headBytes + request.count * stride);
  const bytes = new Uint8Array(buffer, 0, wanted);
  const out = new DataView(buffer);
  const taken = {
    pages: new Uint32Array(count),
    hashes: new Uint8Array(count * 16),
    marks: new BigUint64Array(count),
    sums: new Uint32Array(count * 2),
  };
  const sum = { s1: 0, s2: 0 };
  for (let i = 0; i < count; i += 1) {
    const start = headBytes + i * stride;
    const page = view.getUint32(i * size);
    const frame = frames.subarray(i * size, (i + 1) * size);
    out.setUint32(start, page, true);
    bytes.set(frame.subarray(24), start + 4);
    const hashed = bytes.subarray(start, start + stride);
    const hash = sha256(hashed);
    taken.hashes.set(hash.subarray(0, 16), i * 16);
    taken.pages[i] = page;
    taken.marks[i] = mark(hashed.subarray(4));
    sum.s1 = sum.s2 = 0;
    add(sum, frame, pageSize);
    taken.sums.set([sum.s1, sum.s2], i * 2);
  }
  return { ...taken, bytes };
}

/**
 * The checksum of a log is linear: that after a frame is M times that before it, plus what the frame adds to zeros. So
 * the frames need not be added again, only those that were rewritten.
 */
function proveFrames(
  { walFd, pageSize, salt1, salt2, first, taken, s1: before1, s2: before2 }: ProveRequest,
  { scratch, read, sha256, mark, add }: Tools,
): ProvedFrames | undefined {
  const size = 24 + pageSize;
  const perRead = Math.max(1, Math.floor(2 ** 21 / size));
  const frames = scratch(perRead * size);
  const view = new DataView(frames.buffer, frames.byteOffset, frames.byteLength);
  const zeros = new Uint8Array(size);
  const column = (s1: number, s2: number): { s1: number; s2: number } => {
    const sum = { s1, s2 };
    add(sum, zeros, pageSize);
    return sum;
  };
  const [one, two] = [column(1, 0), column(0, 1)];
  const changed: { at: number; page: number; hash: Uint8Array }[] = [];
  const hashed = new Uint8Array(4 + pageSize);
  let [s1, s2, commitPageCount] = [before1, before2, 0];
  const { pages, marks, sums } = taken;
  for (let start = 0; start < pages.length; start += perRead) {
    const count = Math.min(perRead, pages.length - start);
    if (read(walFd, frames.subarray(0, count * size), 32 + (first - 1 + start) * size) < count * size) return undefined;
    for (let i = 0; i < count; i += 1) {
      const [at, offset] = [start + i, i * size];
      const frame = frames.subarray(offset, offset + size);
      if (view.getUint32(offset + 8) !== salt1 || view.getUint32(offset + 12) !== salt2) return undefined;
      const page = view.getUint32(offset);
      commitPageCount = view.getUint32(offset + 4);
      const own = { s1: sums[at * 2] as number, s2: sums[at * 2 + 1] as number };
      const isSame = page === pages[at] && mark(frame.subarray(24)) === marks[at];
      if (!isSame) {
        new DataView(hashed.buffer).setUint32(0, page, true);
        hashed.set(frame.subarray(24), 4);
        changed.push({ at, page, hash: new Uint8Array(sha256(hashed).subarray(0, 16)) });
      }
      // The words before the page (its number, and the size at a commit) are part of the sum: the last frame of a
      // transaction gets its size late.
      if (!isSame || commitPageCount !== 0) {
        own.s1 = own.s2 = 0;
        add(own, frame, pageSize);
      }
      [s1, s2] = [
        (Math.imul(one.s1, s1) + Math.imul(two.s1, s2) + own.s1) >>> 0,
        (Math.imul(one.s2, s1) + Math.imul(two.s2, s2) + own.s2) >>> 0,
      ];
      if (view.getUint32(offset + 16) !== s1 || view.getUint32(offset + 20) !== s2) return undefined;
    }
  }
  return { s1, s2, commitPageCount, changed };
}

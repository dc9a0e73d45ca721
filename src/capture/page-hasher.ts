/**
 * Hashes the pages of large pieces of a database, for a large one in a thread: hashing takes about as long as all else
 * that is done with a piece, so both cores of a small machine have work.
 *
 * The thread is given the memory of a piece and gives it back, so nothing is copied. It ends with `close`.
 */
import { CallThread, type ThreadAnswer } from "../runtime/call-thread.ts";
import { hashPage, pageHashBytes } from "./page-hashes.ts";

/** Whole pages, one after the other. */
export interface PagePiece {
  /** The hasher's until it has answered, with all of the memory below: the caller uses what is returned. */
  readonly bytes: Uint8Array;
  readonly pageSize: number;
  /** Number of the first page. */
  readonly first: number;
}

export interface HashedPiece {
  readonly bytes: Uint8Array;
  /** `pageHashBytes` for each page (`hashPage`). */
  readonly hashes: Uint8Array;
}

/** Databases from this size on, in bytes, are worth a thread: it takes some 30 ms and 10 MB. */
const threadFromBytes = 32 * 1024 * 1024;
/** Share of the memory below a piece that may be beyond it, and is handed over too: the head of what was read. */
const beyondShareMax = 1 / 64;

/** Made once: there may be ten thousand databases. */
const code = `(${hashInThread.toString()})(${pageHashBytes})`;

export class PageHasher {
  readonly #hasThread: boolean;
  readonly #thread = new CallThread<PagePiece, HashedPiece>("the thread that hashes pages", code);

  /** `bytes`: of all that is to be hashed. */
  constructor(bytes: number) {
    this.#hasThread = bytes >= threadFromBytes;
  }

  /** Rejects if the thread has ended. Throws RangeError for parts of pages. */
  hash({ bytes, pageSize, first }: PagePiece): Promise<HashedPiece> {
    if (bytes.byteLength % pageSize !== 0) throw new RangeError(`${bytes.byteLength} bytes of pages of ${pageSize}`);
    if (!this.#hasThread) return Promise.resolve({ bytes, hashes: hashesOf(bytes, pageSize, first) });
    const isAlone = bytes.buffer.byteLength - bytes.byteLength <= bytes.byteLength * beyondShareMax;
    const own = isAlone && bytes.buffer instanceof ArrayBuffer ? bytes : new Uint8Array(bytes);
    return this.#thread.call({ bytes: own, pageSize, first }, [own.buffer as ArrayBuffer]);
  }

  /** Ends the thread; what is in progress is rejected. */
  close(): Promise<void> {
    return this.#thread.close();
  }
}

function hashesOf(bytes: Uint8Array, pageSize: number, first: number): Uint8Array {
  const hashes = new Uint8Array((bytes.byteLength / pageSize) * pageHashBytes);
  for (let at = 0; at * pageSize < bytes.byteLength; at += 1)
    hashes.set(hashPage(first + at, bytes.subarray(at * pageSize, (at + 1) * pageSize)), at * pageHashBytes);
  return hashes;
}

/** Makes the thread's function, which does the same as `hashesOf`. */
function hashInThread(hashBytes: number): (piece: PagePiece) => ThreadAnswer<HashedPiece> {
  const { hash } = process.getBuiltinModule("node:crypto");
  let scratch = Buffer.alloc(0);
  return ({ bytes, pageSize, first }) => {
    const pages = bytes.byteLength / pageSize;
    const hashes = new Uint8Array(pages * hashBytes);
    const source = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (scratch.byteLength !== 4 + pageSize) scratch = Buffer.alloc(4 + pageSize);
    for (let at = 0; at < pages; at += 1) {
      scratch.writeUInt32LE(first + at, 0);
      source.copy(scratch, 4, at * pageSize, (at + 1) * pageSize);
      const whole = hash("sha256", scratch, "buffer");
      for (let i = 0; i < hashBytes; i += 1) hashes[at * hashBytes + i] = whole[i] as number;
    }
    return { result: { bytes, hashes }, handedOver: [bytes.buffer as ArrayBuffer] };
  };
}

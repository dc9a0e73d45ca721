/**
 * Hashes the pages of large pieces of a database, in a thread once there is enough to do: hashing takes about as long
 * as everything else together that is done with a piece, and so takes turns with it on the event loop otherwise.
 *
 * The thread is given the memory of a piece and gives it back, so nothing is copied. It starts when a database of some
 * size is begun, and ends with `close`.
 */
import { Worker } from "node:worker_threads";
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

type Answer = { readonly id: number } & (
  | { readonly bytes: Uint8Array; readonly hashes: Uint8Array }
  | { readonly failed: string }
);

interface Job {
  readonly done: (piece: HashedPiece) => void;
  readonly failed: (error: Error) => void;
}

export class PageHasher {
  readonly #hasThread: boolean;
  readonly #jobs = new Map<number, Job>();
  #worker: Worker | undefined;
  #count = 0;

  /** `bytes`: of all that is to be hashed. */
  constructor(bytes: number) {
    this.#hasThread = bytes >= threadFromBytes;
  }

  /** Rejects if the thread has ended. */
  hash({ bytes, pageSize, first }: PagePiece): Promise<HashedPiece> {
    if (bytes.byteLength % pageSize !== 0) throw new RangeError(`${bytes.byteLength} bytes of pages of ${pageSize}`);
    if (!this.#hasThread) return Promise.resolve({ bytes, hashes: hashesOf(bytes, pageSize, first) });
    const isAlone = bytes.buffer.byteLength - bytes.byteLength <= bytes.byteLength * beyondShareMax;
    const own = isAlone && bytes.buffer instanceof ArrayBuffer ? bytes : new Uint8Array(bytes);
    return new Promise((done, failed) => {
      const id = (this.#count += 1);
      this.#jobs.set(id, { done, failed });
      const thread = this.#thread();
      // What is asked keeps the process alive. Without that Bun's event loop does not sleep while it waits.
      thread.ref();
      thread.postMessage({ id, bytes: own, pageSize, first }, [own.buffer as ArrayBuffer]);
    });
  }

  /** Ends the thread; what is in progress is rejected. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#reject(new Error("the hasher was closed"));
    await worker?.terminate();
  }

  #thread(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(`(${serve.toString()})(${pageHashBytes})`, { eval: true });
    worker.on("message", (answer: Answer) => {
      const job = this.#jobs.get(answer.id);
      this.#jobs.delete(answer.id);
      if (this.#jobs.size === 0) worker.unref();
      if ("failed" in answer) job?.failed(new Error(answer.failed));
      else job?.done({ bytes: answer.bytes, hashes: answer.hashes });
    });
    worker.on("error", (error: Error) => this.#fail(error, worker));
    worker.on("exit", () => this.#fail(new Error("the thread that hashes pages has ended"), worker));
    return (this.#worker = worker);
  }

  #fail(error: Error, ended: Worker): void {
    if (ended !== this.#worker) return;
    this.#worker = undefined;
    this.#reject(error);
  }

  #reject(error: Error): void {
    for (const { failed } of this.#jobs.values()) failed(error);
    this.#jobs.clear();
  }
}

function hashesOf(bytes: Uint8Array, pageSize: number, first: number): Uint8Array {
  const hashes = new Uint8Array((bytes.byteLength / pageSize) * pageHashBytes);
  for (let at = 0; at * pageSize < bytes.byteLength; at += 1)
    hashes.set(hashPage(first + at, bytes.subarray(at * pageSize, (at + 1) * pageSize)), at * pageHashBytes);
  return hashes;
}

/**
 * What the thread runs; the same as `hashesOf`. It is passed as text, so that every kind of build contains it: nothing
 * else of this file exists there.
 */
function serve(hashBytes: number): void {
  const { parentPort } = process.getBuiltinModule("node:worker_threads");
  const { hash } = process.getBuiltinModule("node:crypto");
  let scratch = Buffer.alloc(0);
  parentPort?.on("message", ({ id, bytes, pageSize, first }: PagePiece & { readonly id: number }) => {
    try {
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
      parentPort.postMessage({ id, bytes, hashes }, [bytes.buffer as ArrayBuffer]);
    } catch (error) {
      parentPort.postMessage({ id, failed: error instanceof Error ? error.message : String(error) });
    }
  });
}

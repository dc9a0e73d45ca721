/**
 * A thread that makes the puts of small objects: write, fsync, link and fsync of the folder in one job. Each call of
 * the thread pool costs the event loop a hop, and the commit that waits for it a wake-up; the thread costs one of each
 * per put.
 *
 * The thread makes one put at a time. It sleeps in `Atomics.wait` on shared memory, into which the caller copies paths
 * and content: a message to a thread would cost about as much as the hops it saves. On a memory file system (no disk),
 * 9 kB, p50 of a put: 20 us with shared memory, 26 us with messages, 40 us with the pool; processor time 35, 45 and 80
 * us.
 *
 * The pool opens the temporary ahead and removes it (fs-temporaries.ts), beside the put: on a journaling disk both may
 * take as long as the put. Descriptors belong to the whole process.
 *
 * The thread makes the calls and judges nothing: it reports the error of a failed call, and fs-store.ts continues from
 * there with calls of its own. So one place decides which writer owns a name, and which outcome is ambiguous.
 *
 * A server that hangs blocks the thread and the put that waits for it, as it blocks a thread of the pool. `isFree` is
 * false meanwhile, and all other puts use the pool.
 */
import { Worker } from "node:worker_threads";
import type { Temporary } from "./fs-temporaries.ts";

/** Content of one put, bytes. A larger put is worth its hops, and would delay the puts behind it. */
export const threadPutBytesMax = 256 * 1024;
const pathBytesMax = 4096;
const headBytes = 64;

export interface PutRequest {
  /** Empty. */
  readonly temporary: Temporary;
  /** Absolute, of the folder that the object is in and of the object. */
  readonly folder: string;
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** The call that failed. Nothing is visible before `link`; at `link` the object may be, at `folder` it is. */
export type PutStage = "write" | "link" | "folder";

export type ThreadPut =
  | { readonly kind: "created" }
  | { readonly kind: "failed"; readonly at: PutStage; readonly error: Error };

/** The port, so that tests can make a call fail. */
export interface SmallPuts {
  /** True if `put` may be called for this many bytes now. */
  isFree(bytes: number): boolean;
  /** Folders may be other ones from now on: kept descriptors are not used any more (fs-folders.ts). */
  forgetFolders(): void;
  /** Rejects if the thread has ended: the outcome of the put is unknown. */
  put(request: PutRequest): Promise<ThreadPut>;
  /** Resolves when the thread has ended, or at once if a put has not returned. */
  close(): Promise<void>;
}

/** What the thread is given and what it replies. */
interface ThreadData {
  readonly shared: SharedArrayBuffer;
  readonly headBytes: number;
  readonly pathBytesMax: number;
}

type Answer =
  | "ready"
  | "created"
  | { readonly at: PutStage; readonly code: string | undefined; readonly message: string };

const asked = 1;
const closing = 2;

export interface PutThreadOptions {
  /** Number of puts that use the pool before the thread starts: a command that makes a few has no use for it. */
  readonly startsAfter?: number;
}

export class PutThread implements SmallPuts {
  readonly #options: PutThreadOptions;
  readonly #shared = new SharedArrayBuffer(headBytes + pathBytesMax + threadPutBytesMax);
  readonly #head = new Int32Array(this.#shared, 0, headBytes / 4);
  readonly #paths = new Uint8Array(this.#shared, headBytes, pathBytesMax);
  readonly #content = new Uint8Array(this.#shared, headBytes + pathBytesMax);
  #state: "new" | "starting" | "free" | "busy" | "ended" = "new";
  #worker: Worker | undefined;
  #puts = 0;
  /** Changes when folders do. */
  #folders = 0;
  #waiting: { readonly done: (put: ThreadPut) => void; readonly failed: (error: Error) => void } | undefined;
  #exited: (() => void) | undefined;

  constructor(options: PutThreadOptions = {}) {
    this.#options = options;
  }

  isFree(bytes: number): boolean {
    if (bytes > threadPutBytesMax) return false;
    if (this.#state === "new" && (this.#puts += 1) > (this.#options.startsAfter ?? 16)) this.#start();
    return this.#state === "free";
  }

  put({ temporary, folder, path, bytes }: PutRequest): Promise<ThreadPut> {
    if (this.#state !== "free") throw new Error(`the thread of puts is ${this.#state}`);
    const paths = Buffer.from(`${temporary.path}\0${folder}\0${path}`);
    if (paths.length > pathBytesMax) {
      const error = Object.assign(new Error("ENAMETOOLONG: name too long"), { code: "ENAMETOOLONG" });
      return Promise.resolve({ kind: "failed", at: "write", error });
    }
    this.#state = "busy";
    this.#worker?.ref();
    this.#paths.set(paths);
    this.#content.set(bytes);
    this.#head[1] = paths.length;
    this.#head[2] = bytes.length;
    this.#head[3] = temporary.fd;
    this.#head[4] = this.#folders;
    return new Promise((done, failed) => {
      this.#waiting = { done, failed };
      this.#tell(asked);
    });
  }

  forgetFolders(): void {
    this.#folders += 1;
  }

  async close(): Promise<void> {
    const { state, worker } = { state: this.#state, worker: this.#worker };
    this.#state = "ended";
    if (worker === undefined) return;
    const exited = new Promise<void>((resolve) => void (this.#exited = resolve));
    this.#tell(closing);
    if (state !== "busy") await exited;
  }

  #tell(what: typeof asked | typeof closing): void {
    Atomics.store(this.#head, 0, what);
    Atomics.notify(this.#head, 0);
  }

  #start(): void {
    this.#state = "starting";
    const workerData: ThreadData = { shared: this.#shared, headBytes, pathBytesMax };
    const worker = new Worker(`(${serve.toString()})()`, { eval: true, workerData });
    worker.on("message", (answer: Answer) => this.#take(answer));
    worker.on("error", (error: Error) => this.#onEnded(error));
    worker.on("exit", () => this.#onEnded(new Error("the thread of puts has ended")));
    // After the listeners, which would make the thread keep the process alive. A put in flight does.
    worker.unref();
    this.#worker = worker;
  }

  #take(answer: Answer): void {
    if (this.#state !== "ended") this.#state = "free";
    this.#worker?.unref();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (answer === "ready") return;
    if (answer === "created") return waiting?.done({ kind: "created" });
    const { at, code, message } = answer;
    waiting?.done({ kind: "failed", at, error: Object.assign(new Error(message), { code }) });
  }

  #onEnded(error: Error): void {
    this.#state = "ended";
    this.#worker = undefined;
    this.#waiting?.failed(error);
    this.#waiting = undefined;
    this.#exited?.();
  }
}

/**
 * What the thread runs. It is passed as text, so that every kind of build contains it: nothing of this file exists
 * there.
 */
function serve(): void {
  const { parentPort, workerData } = process.getBuiltinModule("node:worker_threads");
  const fs = process.getBuiltinModule("node:fs");
  const { shared, headBytes, pathBytesMax } = workerData as ThreadData;
  const head = new Int32Array(shared, 0, headBytes / 4);
  const folders = new Map<string, number>();
  let generation: number | undefined;
  const answer = (what: Answer): void => parentPort?.postMessage(what);

  const close = (fd: number): void => {
    try {
      fs.closeSync(fd);
    } catch {
      // It is not used any more.
    }
  };
  const forget = (folder: string): void => {
    const fd = folders.get(folder);
    folders.delete(folder);
    if (fd !== undefined) close(fd);
  };
  const syncFolder = (folder: string): void => {
    const fd = folders.get(folder) ?? fs.openSync(folder, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
    folders.set(folder, fd);
    try {
      fs.fsyncSync(fd);
    } catch (error) {
      forget(folder); // A descriptor that failed is used no more.
      throw error;
    }
  };
  const put = (fd: number, [temporary = "", folder = "", path = ""]: string[], bytes: Uint8Array): void => {
    let at: PutStage = "write";
    try {
      for (let offset = 0; offset < bytes.length; ) {
        const written = fs.writeSync(fd, bytes, offset, bytes.length - offset, offset);
        if (written === 0) throw Object.assign(new Error("wrote nothing"), { code: "EIO" });
        offset += written;
      }
      fs.fsyncSync(fd);
      at = "link";
      fs.linkSync(temporary, path);
      at = "folder";
      syncFolder(folder);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      return answer({ at, code, message });
    }
    answer("created");
  };

  answer("ready");
  for (;;) {
    Atomics.wait(head, 0, 0);
    if (Atomics.exchange(head, 0, 0) === 2) break;
    if (head[4] !== generation) for (const folder of folders.keys()) forget(folder);
    generation = head[4];
    const paths = Buffer.from(new Uint8Array(shared, headBytes, head[1] ?? 0)).toString();
    put(head[3] ?? -1, paths.split("\0"), new Uint8Array(shared, headBytes + pathBytesMax, head[2] ?? 0));
  }
  for (const fd of folders.values()) close(fd);
  process.exit();
}

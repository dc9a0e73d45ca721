/**
 * A thread that makes several system calls in a row, as one job. Each call of the thread pool costs the event loop a
 * hop, and the commit that waits for it a wake-up; the thread costs one of each per job.
 *
 * It does one job at a time, and sleeps in `Atomics.wait` on shared memory, into which the caller copies paths and
 * content: a message to a thread would cost about as much as the hops it saves. On a memory file system (no disk),
 * 9 kB, p50 of a put: 20 us with shared memory, 26 us with messages, 40 us with the pool; processor time 35, 45 and 80
 * us.
 *
 * Descriptors belong to the whole process, so the caller may open and close what a job uses; under Deno each thread has
 * its own (`hasJobThreads`). A server that hangs blocks the thread and the job that waits for it, as it blocks a thread
 * of the pool. `isFree` is false meanwhile.
 */
import type FileSystem from "node:fs";
import { Worker } from "node:worker_threads";

/** False under Deno, where a thread cannot use what another one has opened: the pool does the same. */
export const hasJobThreads = !("Deno" in globalThis);

const textBytesMax = 4096;
const headBytes = 72;
/** Words of the head: 1 while a posted job is waiting or in progress, and the result of the last one. */
const [postedWord, resultWord] = [16, 17] as const;

export interface ThreadJob {
  /** Descriptors, lengths, offsets: at most 12, each below 2^31. */
  readonly numbers: readonly number[];
  readonly texts: readonly string[];
  /** In order; together at most the thread's `contentBytesMax`. */
  readonly content: readonly Uint8Array[];
}

/** What a job replies. `at`: its step that failed. */
export type JobReply =
  | { readonly kind: "done"; readonly result: string }
  | { readonly kind: "failed"; readonly at: string; readonly error: Error };

/** What a job is given in the thread. */
export interface JobContext {
  readonly fs: typeof FileSystem;
  readonly numbers: readonly number[];
  readonly texts: readonly string[];
  readonly content: Uint8Array;
  /** Names the step that follows: a failure is its. */
  readonly at: (step: string) => void;
  /** Belongs to the thread: what jobs keep open. */
  readonly kept: Map<string, number>;
}

/** Runs in the thread, and is passed as text: it may use nothing but its argument. Returns the result. */
export type JobFunction = (context: JobContext) => string;

interface ThreadData {
  readonly shared: SharedArrayBuffer;
  readonly headBytes: number;
  readonly textBytesMax: number;
  readonly postedWord: number;
  readonly resultWord: number;
  readonly asked: number;
  readonly closing: number;
}

type Answer =
  | { readonly result: string }
  | { readonly at: string; readonly code: string | undefined; readonly message: string };

const bytesOf = (content: readonly Uint8Array[]): number => content.reduce((sum, { length }) => sum + length, 0);
/** What the thread is told: bits of the first word. */
const asked = 1;
const closing = 2;

export interface JobThreadOptions {
  /** Number of jobs that use the pool before the thread starts: a command that makes a few has no use for it. */
  readonly startsAfter?: number | undefined;
}

export class JobThread {
  readonly #job: JobFunction;
  readonly #startsAfter: number;
  readonly #contentBytesMax: number;
  readonly #shared: SharedArrayBuffer;
  readonly #head: Int32Array;
  readonly #texts: Uint8Array;
  readonly #content: Uint8Array;
  #state: "new" | "starting" | "free" | "busy" | "ended" = "new";
  #worker: Worker | undefined;
  #jobs = 0;
  #waiting: { readonly done: (reply: JobReply) => void; readonly failed: (error: Error) => void } | undefined;
  #exited: (() => void) | undefined;

  constructor(job: JobFunction, contentBytesMax: number, options: JobThreadOptions = {}) {
    this.#job = job;
    this.#startsAfter = options.startsAfter ?? 16;
    this.#contentBytesMax = contentBytesMax;
    this.#shared = new SharedArrayBuffer(headBytes + textBytesMax + contentBytesMax);
    this.#head = new Int32Array(this.#shared, 0, headBytes / 4);
    this.#head[resultWord] = -1;
    this.#texts = new Uint8Array(this.#shared, headBytes, textBytesMax);
    this.#content = new Uint8Array(this.#shared, headBytes + textBytesMax);
  }

  /** True if `run` may be called for this many bytes now. */
  isFree(bytes: number): boolean {
    if (bytes > this.#contentBytesMax) return false;
    if (this.#state === "new" && (this.#jobs += 1) > this.#startsAfter) this.#start();
    return this.#state === "free";
  }

  /** Rejects if the thread has ended: the outcome of the job is unknown. */
  run(job: ThreadJob): Promise<JobReply> {
    if (this.#state !== "free" || this.isPosted) throw new Error(`the thread of jobs is ${this.#state}`);
    if (!this.#give(job)) {
      const error = Object.assign(new Error("ENAMETOOLONG: name too long"), { code: "ENAMETOOLONG" });
      return Promise.resolve({ kind: "failed", at: "", error });
    }
    this.#state = "busy";
    this.#worker?.ref();
    return new Promise((done, failed) => {
      this.#waiting = { done, failed };
      this.#tell(asked);
    });
  }

  /** A posted job is waiting or in progress. */
  get isPosted(): boolean {
    return Atomics.load(this.#head, postedWord) === 1;
  }

  /**
   * Begins a job that does not reply, which costs the event loop a wake-up of the thread and nothing else. Returns
   * false if it cannot. Its result is a number, or empty: then the last one stays (`takeResult`).
   */
  post(job: ThreadJob): boolean {
    if (!this.isFree(bytesOf(job.content)) || this.isPosted || !this.#give(job)) return false;
    Atomics.store(this.#head, postedWord, 1);
    this.#tell(asked);
    return true;
  }

  /** Returns the last result of posted jobs, once; -1 while one is in progress, and if there is none. */
  takeResult(): number {
    return this.isPosted ? -1 : Atomics.exchange(this.#head, resultWord, -1);
  }

  #give({ numbers, texts, content }: ThreadJob): boolean {
    const text = Buffer.from(texts.join("\0"));
    if (text.length > textBytesMax) return false;
    this.#texts.set(text);
    let end = 0;
    for (const part of content) {
      this.#content.set(part, end);
      end += part.length;
    }
    this.#head[1] = text.length;
    this.#head[2] = end;
    this.#head[3] = numbers.length;
    this.#head.set(numbers, 4);
    return true;
  }

  /** Resolves when the thread has ended, after a posted job; at once if a job that replies has not returned. */
  async close(): Promise<void> {
    const { state, worker } = { state: this.#state, worker: this.#worker };
    this.#state = "ended";
    if (worker === undefined) return;
    const exited = new Promise<void>((resolve) => void (this.#exited = resolve));
    this.#tell(closing);
    if (state !== "busy") await exited;
  }

  #tell(what: typeof asked | typeof closing): void {
    // Beside what it was told and has not taken: a posted job is done before the end.
    Atomics.or(this.#head, 0, what);
    Atomics.notify(this.#head, 0);
  }

  #start(): void {
    this.#state = "starting";
    const workerData: ThreadData = {
      shared: this.#shared,
      headBytes,
      textBytesMax,
      postedWord,
      resultWord,
      asked,
      closing,
    };
    const worker = new Worker(`(${serve.toString()})(${this.#job.toString()})`, { eval: true, workerData });
    worker.on("message", (answer: Answer) => this.#take(answer));
    worker.on("error", (error: Error) => this.#fail(error));
    worker.on("exit", () => this.#fail(new Error("the thread of jobs has ended")));
    // After the listeners, which would make the thread keep the process alive. A job in progress does.
    worker.unref();
    this.#worker = worker;
  }

  #take(answer: Answer): void {
    if (this.#state !== "ended") this.#state = "free";
    this.#worker?.unref();
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if ("result" in answer) return waiting?.done({ kind: "done", result: answer.result });
    const { at, code, message } = answer;
    waiting?.done({ kind: "failed", at, error: Object.assign(new Error(message), { code }) });
  }

  #fail(error: Error): void {
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
function serve(job: JobFunction): void {
  const { parentPort, workerData } = process.getBuiltinModule("node:worker_threads");
  const fs = process.getBuiltinModule("node:fs");
  const { shared, headBytes, textBytesMax, postedWord, resultWord, asked, closing } = workerData as ThreadData;
  const head = new Int32Array(shared, 0, headBytes / 4);
  const kept = new Map<string, number>();
  const answer = (what: Answer): void => parentPort?.postMessage(what);

  answer({ result: "ready" });
  for (;;) {
    Atomics.wait(head, 0, 0);
    const told = Atomics.exchange(head, 0, 0);
    if ((told & asked) === 0) break;
    const texts = Buffer.from(new Uint8Array(shared, headBytes, head[1] ?? 0))
      .toString()
      .split("\0");
    const content = new Uint8Array(shared, headBytes + textBytesMax, head[2] ?? 0);
    const numbers = [...head.subarray(4, 4 + (head[3] ?? 0))];
    let step = "";
    const isPosted = Atomics.load(head, postedWord) === 1;
    try {
      const result = job({ fs, numbers, texts, content, at: (next) => void (step = next), kept });
      if (!isPosted) answer({ result });
      else if (result !== "") Atomics.store(head, resultWord, Number(result));
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (!isPosted) answer({ at: step, code, message });
    }
    if (isPosted) Atomics.store(head, postedWord, 0);
    if ((told & closing) !== 0) break;
  }
  for (const fd of kept.values()) fs.closeSync(fd);
  process.exit();
}

/**
 * A thread that answers calls, one after the other, each with a message: for work that would hold up the event loop.
 * The first call starts it. (Jobs of system calls, for which a commit waits, cost less in vault/store/job-thread.ts.)
 *
 * Its code is passed as text, so that every kind of build contains it: nothing but its arguments exists there.
 */
import { Worker } from "node:worker_threads";

/** What the thread's code makes of a call. */
export interface ThreadAnswer<Result> {
  readonly result: Result;
  /** Memory of the result that is handed over instead of copied. */
  readonly handedOver?: readonly ArrayBuffer[];
}

interface Waiting<Result> {
  readonly done: (result: Result) => void;
  readonly failed: (error: Error) => void;
}

interface Asked<Call> {
  readonly id: number;
  readonly call: Call;
}

type Answer<Result> = { readonly id: number } & ({ readonly result: Result } | { readonly failed: string });

export class CallThread<Call, Result> {
  readonly #name: string;
  readonly #code: string;
  readonly #waiting = new Map<number, Waiting<Result>>();
  readonly #running = new Set<Promise<Result>>();
  #worker: Worker | undefined;
  #calls = 0;

  /** `name`: for errors ("the thread that …"). `code`: an expression, the function `(call: Call) => ThreadAnswer`. */
  constructor(name: string, code: string) {
    this.#name = name;
    this.#code = code;
  }

  /** Rejects with the message of what the code throws, and if the thread ends. `handedOver`: memory of the call. */
  call(call: Call, handedOver: readonly ArrayBuffer[] = []): Promise<Result> {
    const id = (this.#calls += 1);
    const running = new Promise<Result>((done, failed) => {
      this.#waiting.set(id, { done, failed });
      const worker = this.#thread();
      // A call keeps the process alive. Bun's event loop would not sleep either while it waits for nothing else.
      worker.ref();
      worker.postMessage({ id, call } satisfies Asked<Call>, handedOver);
    });
    this.#running.add(running);
    const forget = (): void => void this.#running.delete(running);
    running.then(forget, forget);
    return running;
  }

  /** Resolves once no call is in progress, whatever became of them. */
  async settled(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  /** Ends the thread; calls in progress are rejected. */
  async close(): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#reject(new Error(`${this.#name} was closed`));
    await worker?.terminate();
  }

  #thread(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(`(${serve.toString()})(${this.#code})`, { eval: true });
    worker.on("message", (answer: Answer<Result>) => this.#take(answer, worker));
    worker.on("error", (error: Error) => this.#fail(error, worker));
    // A thread that ends without an error must not leave its callers waiting either.
    worker.on("exit", () => this.#fail(new Error(`${this.#name} has ended`), worker));
    return (this.#worker = worker);
  }

  #take(answer: Answer<Result>, worker: Worker): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (this.#waiting.size === 0) worker.unref();
    if ("failed" in answer) waiting?.failed(new Error(answer.failed));
    else waiting?.done(answer.result);
  }

  #fail(error: Error, ended: Worker): void {
    if (ended !== this.#worker) return;
    this.#worker = undefined;
    this.#reject(error);
  }

  #reject(error: Error): void {
    for (const { failed } of this.#waiting.values()) failed(error);
    this.#waiting.clear();
  }
}

/** What the thread runs. */
function serve(answer: (call: unknown) => ThreadAnswer<unknown>): void {
  const { parentPort } = process.getBuiltinModule("node:worker_threads");
  parentPort?.on("message", ({ id, call }: Asked<unknown>) => {
    try {
      const { result, handedOver = [] } = answer(call);
      parentPort.postMessage({ id, result }, [...handedOver]);
    } catch (error) {
      parentPort.postMessage({ id, failed: error instanceof Error ? error.message : String(error) });
    }
  });
}

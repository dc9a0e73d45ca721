/**
 * Long backfills, in a separate thread: hundreds of megabytes in one call would stop the gate, the status stream and
 * the renewals of the lease.
 *
 * SQLite's locks belong to the process and are kept by its one library, which the thread shares. Its connections count
 * like ours, and it acts like a checkpoint of the application, against which the pins hold (pin.ts). It copies up to
 * the pin at most. The first backfill that needs it starts the thread.
 */
import { Worker } from "node:worker_threads";
import type { FilePath } from "./data-path.ts";
import type { Backfilled } from "./database-files.ts";
import { messageOf } from "../runtime/operator-error.ts";

/** A database file, and the URI by which SQLite opens it. */
export interface DatabasePlace {
  readonly path: FilePath;
  readonly uri: string;
  readonly device: bigint;
  readonly inode: bigint;
}

interface Asked {
  readonly id: number;
  readonly place: DatabasePlace;
}

type Answer = { readonly id: number } & ({ readonly done: Backfilled } | { readonly failed: string });

interface Job {
  readonly done: (backfilled: Backfilled) => void;
  readonly failed: (error: Error) => void;
}

export class Backfiller {
  readonly #jobs = new Map<number, Job>();
  readonly #running = new Set<Promise<Backfilled>>();
  #worker: Worker | undefined;
  #count = 0;

  /** Rejects with SQLite's errors, except that a database is busy. Does nothing if another file is at that place. */
  backfill(place: DatabasePlace): Promise<Backfilled> {
    const asked: Asked = { id: (this.#count += 1), place };
    const running = new Promise<Backfilled>((done, failed) => {
      this.#jobs.set(asked.id, { done, failed });
      this.#thread().postMessage(asked);
    });
    this.#running.add(running);
    const forget = (): void => void this.#running.delete(running);
    running.then(forget, forget);
    return running;
  }

  /** Resolves once no backfill is in progress and the thread has ended. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#running);
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #thread(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(`(${serve.toString()})()`, { eval: true });
    worker.on("message", (answer: Answer) => this.#take(answer));
    worker.on("error", (error: Error) => this.#fail(error));
    // A thread that ends silently must not leave its callers waiting either.
    worker.on("exit", () => this.#fail(new Error("the backfill thread has ended"), worker));
    // After the listeners, which would make the thread keep the process alive.
    worker.unref();
    this.#worker = worker;
    return worker;
  }

  #take(answer: Answer): void {
    const job = this.#jobs.get(answer.id);
    this.#jobs.delete(answer.id);
    if ("done" in answer) job?.done(answer.done);
    else job?.failed(new Error(answer.failed));
  }

  #fail(error: Error, ended = this.#worker): void {
    if (ended !== this.#worker) return;
    this.#worker = undefined;
    for (const { failed } of this.#jobs.values()) failed(error);
    this.#jobs.clear();
  }
}

/**
 * The code of the thread. It is passed as text, so that it works in every kind of build; nothing of this file exists
 * there.
 */
function serve(): void {
  const { parentPort } = process.getBuiltinModule("node:worker_threads");
  const { DatabaseSync } = process.getBuiltinModule("node:sqlite");
  const { statSync } = process.getBuiltinModule("node:fs");
  const backfill = ({ path, uri, device, inode }: DatabasePlace): Backfilled => {
    const connection = new DatabaseSync(uri);
    try {
      // Before the first read, as in connect.ts. A buffer arrives here as a plain array of bytes.
      const place = typeof path === "string" ? path : Buffer.from(path);
      const found = statSync(place, { bigint: true, throwIfNoEntry: false });
      if (found?.ino !== inode || found.dev !== device) return { ran: false, complete: false };
      connection.exec("PRAGMA busy_timeout=0; PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF");
      const row = connection.prepare("PRAGMA wal_checkpoint(PASSIVE)").get() as Record<string, number> | undefined;
      return { ran: row?.["busy"] === 0, complete: row?.["busy"] === 0 && row["log"] === row["checkpointed"] };
    } catch (error) {
      // BUSY, LOCKED, PROTOCOL.
      if ([5, 6, 15].includes(Number((error as { errcode?: unknown }).errcode) & 0xff))
        return { ran: false, complete: false };
      throw error;
    } finally {
      connection.close();
    }
  };
  parentPort?.on("message", ({ id, place }: Asked) => {
    try {
      parentPort.postMessage({ id, done: backfill(place) });
    } catch (error) {
      parentPort.postMessage({ id, failed: messageOf(error) });
    }
  });
}

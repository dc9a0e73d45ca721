/** A journal's jobs beside its flushes, one after the other. */
import type { Section } from "../../core/flush.ts";
import type { RecordBody } from "../../vault/record.ts";
import type { CaptureBatch, CaptureSnapshot } from "../ports/ports.ts";

interface Ends<T> {
  readonly done: (result: T) => void;
  readonly failed: (error: Error) => void;
}

export type Job =
  | (Ends<number> & { readonly kind: "record"; readonly body: RecordBody })
  | (Ends<SnapshotAt> & { readonly kind: "snapshot" })
  /** A flush that is not of capture; `make` gets the position of the last record. */
  | (Ends<number> & { readonly kind: "made"; readonly make: MakeFlush });

/** What a journal does for its jobs. */
export interface JobWork {
  /** Resolves with the position of the record. */
  put(body: RecordBody): Promise<number>;
  /** Undefined: nothing is captured yet, or any more. */
  seal(): Promise<SnapshotAt> | undefined;
  make(make: MakeFlush): Promise<MadeFlush>;
  /** Resolves with the position of the flush. */
  putMade(made: MadeFlush): Promise<number>;
}

/** The jobs that wait. */
export class JournalJobs {
  readonly #waiting: Job[] = [];
  readonly #onJob: () => void;
  #closed: Error | undefined;

  constructor(onJob: () => void) {
    this.#onJob = onJob;
  }

  get isAny(): boolean {
    return this.#waiting.length > 0;
  }

  next(): Job | undefined {
    return this.#waiting.shift();
  }

  record(body: RecordBody): Promise<number> {
    return new Promise((done, failed) => this.#add({ kind: "record", body, done, failed }));
  }

  snapshot(): Promise<SnapshotAt> {
    return new Promise((done, failed) => this.#add({ kind: "snapshot", done, failed }));
  }

  made(make: MakeFlush): Promise<number> {
    return new Promise((done, failed) => this.#add({ kind: "made", make, done, failed }));
  }

  /** Fails those that wait, and all that come. */
  close(error: Error): void {
    this.#closed = error;
    for (const job of this.#waiting.splice(0)) job.failed(error);
  }

  #add(job: Job): void {
    if (this.#closed !== undefined) return job.failed(this.#closed);
    this.#waiting.push(job);
    this.#onJob();
  }
}

/** Does a job. Throws what ends the journal; the job is told as well. */
export async function doJob(job: Job, work: JobWork): Promise<void> {
  try {
    if (job.kind === "record") job.done(await work.put(job.body));
    else if (job.kind === "snapshot") await settleSnapshot(job, await work.seal());
    else {
      const made = await madeBy(job, work.make(job.make));
      if (made !== undefined) job.done(await work.putMade(made));
    }
  } catch (error) {
    job.failed(error instanceof Error ? error : new Error(String(error)));
    throw error;
  }
}

/** Makes a flush that does not come from capture: a rewind. */
export type MakeFlush = (end: number) => Promise<MadeFlush>;

export interface MadeFlush {
  readonly batch: CaptureBatch;
  /** For its first part. */
  readonly section: Section;
}

/** A snapshot of the databases as of the record at `position`. */
export interface SnapshotAt {
  readonly snapshot: CaptureSnapshot;
  readonly position: number;
  readonly hash: string;
}

/** A snapshot that leaves something out is not the state at its position: it is refused, and the journal continues. */
async function settleSnapshot(job: Extract<Job, { kind: "snapshot" }>, at: SnapshotAt | undefined): Promise<void> {
  if (at === undefined)
    return job.failed(new Error("there is nothing to take a snapshot of: no database is captured now"));
  if (at.snapshot.leavesOut !== true) return job.done(at);
  await at.snapshot.release();
  job.failed(
    new Error(
      "a database cannot be captured now (status names it), or could not be opened again: there is no checkpoint until it can be, or is gone",
    ),
  );
}

/** Returns what was made; undefined: that failed, the job is told, and the journal continues. */
async function madeBy(job: Extract<Job, { kind: "made" }>, making: Promise<MadeFlush>): Promise<MadeFlush | undefined> {
  try {
    return await making;
  } catch (error) {
    job.failed(error instanceof Error ? error : new Error(String(error)));
    return undefined;
  }
}

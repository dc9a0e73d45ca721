/**
 * The checkpointer of a primary: decides when a checkpoint is due, writes it while writers continue, announces it, and
 * then removes what is no longer needed. One at a time.
 *
 * Order: seal and journal (position p) → chunks, verified → manifest → `checkpoint` record → retention. A crash between
 * any two leaves a vault that restores: an unannounced checkpoint is not relied on (R6).
 *
 * Until its snapshot is released no write-ahead log starts over, so a log grows by what is written meanwhile. Under
 * writers that reach the threshold again before a checkpoint is done, one would follow the other, and logs would grow
 * for as long as that lasts. A checkpoint therefore begins once every long log has started over, or after a while
 * anyway, since a reader of the application may prevent one for long.
 *
 * It ends with its term: `close` comes before the databases are closed. A later read would use the number of a closed
 * descriptor, which may belong to another file by then, and its bytes would end up in a checkpoint.
 *
 * Whether one is due is counted from the newest checkpoint, and not from the beginning of the term: of many short terms
 * none would write one, while the log and with it each restore grows.
 *
 * A checkpoint restarts at once, with the database pinned, if it meets a database that no process had open at its
 * beginning and that was written since. One that the vault refuses is retried later. One whose pages differ from the
 * captured ones ends the term: the application reads the same pages.
 */
import { CaptureError } from "../../capture/capture-error.ts";
import { WrittenMeanwhileError } from "../../capture/written-meanwhile.ts";
import { checkpointDue, type CheckpointThresholds, replayBytesPerMsDefault } from "../../core/host/checkpoint-due.ts";
import type { HistoryRule } from "../../core/checkpoint-history.ts";
import type { FileTree } from "../../core/files/file-tree.ts";
import type { HostState } from "../../core/host/life.ts";
import type { Rules } from "../../core/rules.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import type { CheckpointDone } from "../../control/host-api.ts";
import { type CheckpointManifest, writeCheckpoint } from "../../vault/checkpoint/checkpoint.ts";
import type { Compression } from "../../vault/checkpoint/chunk-codec.ts";
import { CheckpointPace } from "../../vault/checkpoint/checkpoint-pace.ts";
import { checkpointConcurrency } from "../../vault/limits.ts";
import type { RecordBody } from "../../vault/record.ts";
import type { Store } from "../../vault/store/store.ts";
import type { LogSinceCheckpoint } from "../secondary/log-status.ts";
import type { Journal } from "./journal.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import { type WorkProgress, workProgress, ProgressReport } from "../../runtime/progress-report.ts";
import type { CaptureSnapshot, Outcome } from "../ports/ports.ts";
import type { SnapshotDatabase } from "../../capture/snapshot.ts";

export interface CheckpointerOptions {
  readonly journal: Journal;
  /** True if no long write-ahead log must start over first. Default: true. */
  readonly canBegin?: () => boolean;
  readonly store: Store;
  readonly clock: Clock;
  readonly rules: Rules;
  readonly log: Logger;
  readonly host: string;
  readonly epoch: number;
  readonly epochPosition: number;
  readonly thresholds: CheckpointThresholds;
  /** Which older checkpoints the next one names, so that they are kept; default: none. */
  readonly history?: (() => readonly HistoryRule[]) | undefined;
  /** Newest announced checkpoint at the time of the claim: its chunks may be reused. */
  readonly base: CheckpointManifest | undefined;
  /** What the log has after the newest checkpoint at the beginning of the term. */
  readonly since: LogSinceCheckpoint;
  /** Default: zstd on the thread pool. */
  readonly compression?: Compression | undefined;
  /** Removes what is no longer needed; called after an announcement. */
  readonly clean: (newest: CheckpointManifest) => Promise<void>;
  readonly onDone: (manifest: CheckpointManifest) => void;
  readonly onFailed: (reason: string) => void;
}

/** Share of the time in which a checkpoint may use the vault while commits are made: the rest is for them. */
const vaultShare = 0.5;
/** So long after a commit more of them are expected. */
const commitsExpectedMs = 250;
/** A checkpoint that is due by its age alone is left until a new primary has served for so long. */
const agedAfterMs = 30_000;
/** How long a checkpoint waits for long logs to start over, and the pause between two looks. */
const logsWaitMsMax = 10_000;
const logsLookMs = 50;
/** Between two reports of how far a checkpoint is. */
const progressEveryMs = 30_000;
/** Pause before a failed checkpoint is retried. */
const retryAfterMs = 5_000;
/**
 * Except this: whatever was written meanwhile is open now and pinned by the next snapshot, so each try can only fail
 * because of another database.
 */
const writtenMeanwhileMax = 10;

export class Checkpointer {
  readonly #options: CheckpointerOptions;
  #base: CheckpointManifest | undefined;
  /** The files of the base, if this term wrote it. */
  #baseFiles: FileTree | undefined;
  #running: Promise<CheckpointDone> | undefined;
  #lastAt: number;
  #lastCommitAt = -Infinity;
  #journalBytes = 0;
  #records = 0;
  #progress: WorkProgress | undefined;
  #isServing = false;
  #isStopped = false;
  readonly #reads = new Set<Promise<unknown>>();

  constructor(options: CheckpointerOptions) {
    this.#options = options;
    this.#base = options.base;
    const { elapsedMs, bytes, records } = options.since;
    this.#lastAt = options.clock.now() - Math.min(elapsedMs, Math.max(0, options.thresholds.intervalMs - agedAfterMs));
    this.#journalBytes = bytes;
    this.#records = records;
  }

  /**
   * The primary serves: checkpoints are made from now on. Not before, however much the application writes while it
   * starts: a checkpoint tells a host that starts from it that the leases of all earlier primaries are over
   * (core/host/lease.ts).
   */
  begin(): void {
    this.#isServing = true;
  }

  /** Counts a record that was put, and starts a checkpoint when one is due. */
  onRecord({ kind, bytes }: { readonly kind: RecordBody["kind"]; readonly bytes: number }): void {
    if (kind === "commit") this.#lastCommitAt = this.#options.clock.now();
    this.#journalBytes += bytes;
    this.#records += 1;
    if (this.#running !== undefined || this.#isStopped || !this.#isServing) return;
    const due = checkpointDue(this.#options.thresholds, {
      elapsedMs: this.#options.clock.now() - this.#lastAt,
      journalBytes: this.#journalBytes,
      records: this.#records,
      replayBytesPerMs: replayBytesPerMsDefault,
    });
    if (due.kind === "due") this.ask(due.because);
  }

  /** Starts a checkpoint in the background; false: one is being written, or the term is over. */
  ask(because: string): boolean {
    if (this.#running !== undefined || this.#isStopped) return false;
    this.now(because).catch((error: unknown) => {
      if (this.#isStopped) return;
      this.#lastAt = this.#options.clock.now() - this.#options.thresholds.intervalMs + retryAfterMs;
      this.#journalBytes = 0;
      this.#options.onFailed(messageOf(error));
    });
    return true;
  }

  /** Writes a checkpoint, or waits for the one being written; rejects when it could not be completed. */
  now(because: string): Promise<CheckpointDone> {
    this.#running ??= this.#writeOne(because);
    return this.#running;
  }

  /** When this resolves nothing is read from the databases any more; a checkpoint in progress fails. */
  async close(): Promise<void> {
    this.#isStopped = true;
    await Promise.allSettled(this.#reads);
  }

  /** How far the checkpoint is that is being written, in bytes; undefined: none is, or its first chunk is not yet. */
  get progress(): WorkProgress | undefined {
    return this.#progress;
  }

  /** A database of the snapshot that can be read until `close`. */
  #guarded(database: SnapshotDatabase): SnapshotDatabase {
    const { name, pageSize, pageCount, checksum } = database;
    const read = async (offset: number, length: number): Promise<Uint8Array> => {
      if (this.#isStopped) throw new Error("the term as primary is over");
      const reading = database.read(offset, length);
      this.#reads.add(reading);
      try {
        return await reading;
      } finally {
        this.#reads.delete(reading);
      }
    };
    return { name, pageSize, pageCount, checksum, read, release: () => database.release?.() };
  }

  /** Rule files-at-checkpoint: as they are at the position of the checkpoint, like the databases. */
  #filesOf({ files }: CaptureSnapshot): CaptureSnapshot["files"] {
    if (files === undefined || this.#options.rules.has("files-at-checkpoint")) return files;
    return { ...files, tree: this.#baseFiles ?? files.tree };
  }

  async #writeOne(because: string): Promise<CheckpointDone> {
    try {
      return await this.#write(because);
    } catch (error) {
      if (error instanceof CaptureError) this.#options.journal.failedToRead(error);
      throw error;
    } finally {
      this.#running = undefined;
    }
  }

  async #whenLogsAreShort(): Promise<void> {
    const { canBegin, clock } = this.#options;
    const giveUpMs = clock.now() + logsWaitMsMax;
    while (canBegin?.() === false && !this.#isStopped && clock.now() < giveUpMs) await clock.sleep(logsLookMs);
  }

  async #write(because: string): Promise<CheckpointDone> {
    await this.#whenLogsAreShort();
    for (let times = 1; ; times++) {
      try {
        return await this.#writeAtOnePosition(because);
      } catch (error) {
        if (!(error instanceof WrittenMeanwhileError) || times === writtenMeanwhileMax || this.#isStopped) throw error;
        this.#options.log.info("checkpoint restarted", { because: error.message });
      }
    }
  }

  async #writeAtOnePosition(because: string): Promise<CheckpointDone> {
    if (!this.#isServing) throw new Error("R5: only a primary that serves writes checkpoints");
    const { journal, store, clock, log, epoch, epochPosition, compression } = this.#options;
    const startedAt = clock.now();
    const { snapshot, position, hash } = await journal.snapshot();
    this.#lastAt = startedAt;
    this.#journalBytes = 0;
    this.#records = 0;
    let written: Awaited<ReturnType<typeof writeCheckpoint>>;
    try {
      const base = {
        ...(this.#base === undefined ? {} : { base: this.#base }),
        ...(compression === undefined ? {} : { compression }),
      };
      const databases = snapshot.databases.map((database) => this.#guarded(database));
      const lanes = checkpointConcurrency;
      const isBusy = (): boolean => clock.now() - this.#lastCommitAt < commitsExpectedMs;
      const pace = new CheckpointPace({ clock, share: vaultShare, lanes, isBusy });
      const say = (text: string): void => log.info(text, { position });
      const report = new ProgressReport({ what: "writing a checkpoint", clock, say, everyMs: progressEveryMs });
      const beganAt = clock.now();
      written = await writeCheckpoint({
        store,
        position,
        hash,
        epoch,
        epochPosition,
        wallTimeMs: clock.wallTime(),
        databases,
        files: this.#filesOf(snapshot),
        baseFiles: this.#baseFiles,
        history: this.#options.history?.(),
        ...base,
        pace,
        onProgress: (bytes, totalBytes) => {
          report.reached(bytes, totalBytes);
          this.#progress = workProgress(bytes, totalBytes, clock.now() - beganAt);
        },
      });
    } finally {
      this.#progress = undefined;
      await snapshot.release();
    }
    const { manifest, chunksWritten, chunksReused, tree } = written;
    await journal.append({ kind: "checkpoint", checkpointPosition: position, manifestHash: manifest.manifestHash });
    this.#base = manifest;
    this.#baseFiles = tree;
    this.#records = 0;
    const ms = Math.round(clock.now() - startedAt);
    log.info("checkpoint", { position, because, chunksWritten, chunksReused, ms });
    this.#options.onDone(manifest);
    await this.#options.clean(manifest);
    return { position, chunksWritten, chunksReused, ms };
  }
}

/** For the control API. `checkpointer`: of the term, if there is one. */
export async function checkpointOnDemand(
  role: HostState["kind"],
  checkpointer: Checkpointer | undefined,
): Promise<Outcome<CheckpointDone>> {
  const refused = (reason: string): Outcome<never> => ({ kind: "refused", refusal: { kind: "not_ready", reason } });
  if (role !== "primary" || checkpointer === undefined)
    return refused(`only a primary writes checkpoints; this host is ${role}`);
  try {
    return { kind: "done", done: await checkpointer.now("control API") };
  } catch (error) {
    return refused(`the checkpoint failed: ${messageOf(error)}`);
  }
}

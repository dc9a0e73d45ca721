/**
 * A primary's databases together with the files beside them, as one source for the journal: a flush has both, as of one
 * cut (file-capture.ts has the argument), and a response waits for both.
 *
 * In the background (`lossMaxMs`), files do not make responses wait: they are in the next flush whose time has come, or
 * that databases need anyway. What was acknowledged less than that time before a failure may then be lost.
 */
import type { Batch } from "../batch.ts";
import type { Snapshot } from "../snapshot.ts";
import type { Source } from "../source.ts";
import type { HeldDatabase } from "../uncaptured.ts";
import type { FileCapture, FilesBatch } from "./file-capture.ts";
import type { FilesSnapshot } from "./files-snapshot.ts";
import type { StorePiece } from "./piece-contents.ts";

export type FilesDurability =
  | { readonly kind: "before-answer" }
  | { readonly kind: "background"; readonly lossMaxMs: number };

export interface BatchWithFiles extends Batch {
  readonly files?: FilesBatch | undefined;
}

export interface SnapshotWithFiles extends Snapshot {
  readonly files: FilesSnapshot;
}

/** Of the loss window, so that a flush that begins then is durable before it ends. */
const shareOfWindow = 0.5;

/** What it needs of the databases. */
export type SourceOfDatabases = Pick<
  Source,
  | ("isAhead" | "collect" | "beginSnapshot" | "tick" | "uncaptured" | "close" | "stageAhead" | "isSuspicious")
  | ("unfinished" | "names" | "leftOut" | "writeLocks" | "checksums" | "longLogs")
>;

export class SourceWithFiles {
  readonly #source: SourceOfDatabases;
  readonly #files: FileCapture;
  readonly #durability: FilesDurability;
  readonly #now: () => number;
  #flushedAtMs: number;
  #isHurried = false;

  constructor(source: SourceOfDatabases, files: FileCapture, durability: FilesDurability, now: () => number) {
    this.#source = source;
    this.#files = files;
    this.#durability = durability;
    this.#now = now;
    this.#flushedAtMs = now();
  }

  isAhead(): boolean {
    // Both: each looks at what the gate must know, and neither may be left out by the other.
    const isFileAhead = this.#areFilesDue() && this.#files.isAhead();
    return this.#source.isAhead() || isFileAhead;
  }

  async collect(): Promise<BatchWithFiles | undefined> {
    if (!this.#areFilesDue()) return this.#source.collect();
    return this.#with(await this.#source.collect(this.#files));
  }

  async beginSnapshot(): Promise<{ batch: BatchWithFiles | undefined; snapshot: SnapshotWithFiles }> {
    const { batch, snapshot } = await this.#source.beginSnapshot(this.#files);
    const both = this.#with(batch);
    const leavesOut = snapshot.leavesOut || this.#files.uncaptured().length > 0;
    return { batch: both, snapshot: { ...snapshot, leavesOut, files: this.#files.snapshot() } };
  }

  async tick(): Promise<void> {
    await this.#source.tick();
    this.#files.tick();
  }

  uncaptured(): readonly HeldDatabase[] {
    const files = this.#files.uncaptured();
    return files.length === 0 ? this.#source.uncaptured() : [...this.#source.uncaptured(), ...files];
  }

  coveredFiles(): { readonly count: number; readonly bytes: number } {
    return this.#files.covered;
  }

  /** Nothing waits for its time from now on. */
  hurry(): void {
    this.#isHurried = true;
  }

  storeFilesIn(store: StorePiece): void {
    this.#files.storeIn(store);
  }

  async close(options: { readonly fold?: boolean } = {}): Promise<{ ahead: boolean }> {
    try {
      return await this.#source.close(options);
    } finally {
      this.#files.close();
    }
  }

  readonly stageAhead: Source["stageAhead"] = (stage) => this.#source.stageAhead(stage);
  readonly isSuspicious: Source["isSuspicious"] = () => this.#source.isSuspicious();
  readonly unfinished: Source["unfinished"] = () => this.#source.unfinished();
  readonly names: Source["names"] = () => this.#source.names();
  readonly leftOut: Source["leftOut"] = () => this.#source.leftOut();
  readonly writeLocks: Source["writeLocks"] = () => this.#source.writeLocks();
  readonly checksums: Source["checksums"] = () => this.#source.checksums();
  get longLogs(): Source["longLogs"] {
    return this.#source.longLogs;
  }

  #with(batch: Batch | undefined): BatchWithFiles | undefined {
    const files = this.#files.take();
    this.#flushedAtMs = this.#now();
    if (files === undefined) return batch;
    return { ...(batch ?? noDatabases), files };
  }

  #areFilesDue(): boolean {
    const durability = this.#durability;
    if (durability.kind === "before-answer" || this.#isHurried) return true;
    return this.#now() - this.#flushedAtMs >= durability.lossMaxMs * shareOfWindow;
  }
}

const noDatabases: Batch = {
  bytes: 0,
  pageCount: 0,
  partCount: 0,
  parts: () => [],
  readAhead: () => Promise.resolve(),
  done: () => undefined,
  abort: () => undefined,
};

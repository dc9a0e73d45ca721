/**
 * The ports of a host: the simulation and the tests supply their own.
 *
 * `Source` and `Replica` are implemented by src/capture, the store by src/vault, the application by supervisor.ts, the
 * data listener by front.ts. Nothing in here knows SQLite, HTTP or processes.
 */
import type { PartStage } from "../../capture/read-ahead.ts";
import type { PageHashes } from "../../capture/page-hashes.ts";
import type { DatabaseChecksum, DatabaseDelta } from "../../core/delta.ts";
import type { FileChange } from "../../core/files/file-change.ts";
import type { FilePath } from "../../capture/data-path.ts";
import type { Refusal } from "../../core/refusal.ts";
import type { SnapshotDatabase } from "../../capture/snapshot.ts";
import type { CheckpointFiles } from "../../vault/checkpoint/checkpoint-files.ts";

/** Per database the hashes of all its pages, so that a promotion need not read the whole database again. */
export type KnownPages = ReadonlyMap<string, PageHashes>;

/** What a flush changes in the files beside the databases. */
export interface FilesOfBatch {
  readonly changes: readonly FileChange[];
  /** Of the tree after the flush. */
  readonly checksum: Uint8Array;
  /** All parts are durable, the first at this position. */
  done(firstPosition: number): void;
}

/** Everything committed up to one instant and not journaled before. */
export interface CaptureBatch {
  readonly bytes: number;
  parts(): Iterable<readonly DatabaseDelta[]>;
  readonly partCount: number;
  /** Reads the part after the last one taken, while that one is being put. */
  readAhead?(): Promise<void>;
  /** All parts are durable: pins may move. */
  done(): void;
  /** It is not put to its end. */
  abort?(): void;
  readonly files?: FilesOfBatch | undefined;
}

export interface CaptureSnapshot {
  readonly databases: readonly SnapshotDatabase[];
  /**
   * True: it lacks something that the log has at its position, because something cannot be captured now. It must not
   * become a checkpoint.
   */
  readonly leavesOut?: boolean;
  /** Beside the databases; left out: the service has none. */
  readonly files?: CheckpointFiles | undefined;
  release(): Promise<void>;
}

/** A file that matches the service's patterns and whose commits cannot be captured now. */
export interface UncapturedDatabase {
  readonly name: string;
  /** What was found, and what is accepted. */
  readonly reason: string;
  readonly advice?: string;
  /** Monotonic milliseconds. */
  readonly sinceMs: number;
}

/** The primary's side of capture. `collect`, `tick` and `beginSnapshot` are never called concurrently. */
export interface CaptureSource {
  /** From here on what is large may be staged before it is committed. */
  stageAhead?(stage: PartStage): void;
  /** Contents of files that do not fit into a flush are stored there; resolves with their key. */
  storeFilesIn?(store: (bytes: Uint8Array) => Promise<string>): void;
  /** The term ends in order: what could be put later is in the next flush. Sync. */
  hurry?(): void;
  /** Something moved that no index shows, and may be overwritten before it is examined: `collect` does not wait. */
  isSuspicious?(): boolean;
  isAhead(): boolean;
  /**
   * Commits that may have been responded to, or not: what arrived at the gate before the call waits until they are
   * settled, also if nothing is ahead. Sync.
   */
  unfinished?(): readonly { readonly isSettled: boolean }[];
  collect(): Promise<CaptureBatch | undefined>;
  tick(): Promise<void>;
  beginSnapshot(): Promise<{ readonly batch: CaptureBatch | undefined; readonly snapshot: CaptureSnapshot }>;
  /**
   * What batches leave out: while there is any, nothing that follows may be acknowledged. Sync. `isAhead` is then true.
   */
  uncaptured?(): readonly UncapturedDatabase[];
  /** Captured databases. Sync. */
  names?(): Iterable<string>;
  /** Files that match but are not databases. Sync. */
  leftOut?(): readonly { readonly name: string; readonly reason: string }[];
  /** Files beside the databases, with links and folders, and the bytes of all files. Sync. */
  coveredFiles?(): { readonly count: number; readonly bytes: number };
  /** How often and for how long writers were locked out since capture began. Sync. */
  writeLocks?(): { readonly count: number; readonly totalMs: number; readonly maxMs: number };
  /** Long write-ahead logs that cannot start over. `canAllStartOver`: none, as of the last tick. Sync. */
  readonly longLogs?: {
    readonly list: readonly {
      readonly database: string;
      readonly walBytes: number;
      readonly heldMs: number;
      readonly heldBy: readonly string[];
    }[];
    readonly canAllStartOver: boolean;
  };
  close(): Promise<unknown>;
}

/** The supervised application. One instance of this port per term as primary. */
export interface Application {
  /** Resolves when the application is ready, rejects with `ApplicationError` if it cannot be. */
  start(port: number): Promise<void>;
  /** Asks it to stop, kills the group after the configured time; resolves when the whole group is gone. */
  stop(): Promise<void>;
  /** Kills the whole group at once; resolves when it is gone. */
  kill(): Promise<void>;
}

/** What is known about the process of a predecessor (R5). */
export type PredecessorWord =
  /** Nothing listens where its host process listened, or a later run of that host does. */
  | { readonly kind: "gone" }
  /** It reports itself that it is no longer primary. */
  | { readonly kind: "stepped-down" }
  | { readonly kind: "unknown" };

export interface PredecessorProbe {
  ask(
    predecessor: { readonly host: string; readonly controlUrl: string; readonly instance: string },
    signal: AbortSignal,
  ): Promise<PredecessorWord>;
}

/** The outcome of a request to a host: done, or refused with the reason. */
export type Outcome<Done> =
  | { readonly kind: "done"; readonly done: Done }
  | { readonly kind: "refused"; readonly refusal: Refusal };

/** Finds databases and reads their committed state without SQLite; implemented with src/capture. */
export interface LocalDatabases {
  /** Names of the databases below `root` that match the service's patterns; only main files, no `-wal`, no `-shm`. */
  find(root: string): Promise<string[]>;
  /** Checksum of the committed state of a database file with its `-wal`; undefined if it cannot be read as one. */
  committedChecksum(path: FilePath): Promise<DatabaseChecksum | undefined>;
}

/** How far a primary has written the log in its term. */
export interface Written {
  readonly position: number;
  readonly bytes: number;
}

/**
 * The log's port: records at positions 1, 2, 3, …, one at each, of which only retention takes any away. Reader, writer,
 * retention and verification work over it; where the records are kept is the implementation's own (store-log.ts).
 *
 * Every implementation passes the same contract suite (test/support/vault/log-contract.ts). What the rules of
 * docs/PROTOCOL.md need of it:
 * - A position gets one content, and a put says whether it was this one that gave it (R1, R2). A put whose outcome is
 *   unknown is decided by repeating it (R3).
 * - Above the boundary there are no holes: where a record is found, so is every one before it. Writers put at the end
 *   only; no implementation may show a record earlier than those before it.
 * - The boundary never goes back, and is durable before the first record goes that it allows to go. `epoch` records
 *   stay, at whatever position (R4): any of them can be read for ever.
 */
import { CorruptRecordError } from "../errors.ts";
import type { EpochRecord, LogRecord, Position } from "../record.ts";
import type { PutOutcome } from "../store/store.ts";
import { decodeRecord } from "./record-codec.ts";

export interface RemoveOptions {
  /**
   * No record after this position is an `epoch` record, as a primary knows of its own (`LogWriter.claimPosition`): they
   * need not be read.
   */
  readonly noEpochAfter?: Position | undefined;
  /** Only says what it would remove. */
  readonly dryRun?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface Removed {
  /** Names of what was removed (or would be), in order. */
  readonly names: readonly string[];
  /** Records up to the position that stay: `epoch` records, and damaged ones, which are kept as evidence. */
  readonly kept: number;
}

export interface Log {
  /** What each record carries of the service's name (`serviceTagOf`). */
  readonly serviceTag: Uint8Array;

  /** What errors and findings call the record at a position. */
  nameOf(position: Position): string;

  /**
   * Puts a whole record at a position that has none; durable when it resolves, and exactly one of several concurrent
   * writers gets `created`. `exists` says nothing about the content: `get` tells whether it is the same
   * (decided-put.ts). Throws StoreError; with `kind: "ambiguous"` it may or may not have happened, now or later.
   */
  put(position: Position, bytes: Uint8Array): Promise<PutOutcome>;

  /**
   * These bytes are put at this position next, and do not change until then. A hint: it stores nothing, promises
   * nothing and never fails.
   */
  prepare(position: Position, bytes: Uint8Array): void;

  /**
   * The bytes of the record, whole; undefined: the log ends before it, or retention has deleted it. Throws StoreError.
   */
  get(position: Position): Promise<Uint8Array | undefined>;

  /** Of all records after a position (default: 0), ascending. Throws StoreError. */
  positions(after?: Position): Promise<Position[]>;

  /** Names of what lies among the records and is none. Throws StoreError. */
  strangeNames(): Promise<string[]>;

  /** How far retention may have deleted the log; 0: nothing was ever deleted. Throws StoreError. */
  boundary(): Promise<Position>;

  /**
   * Removes the records up to a position, but for `epoch` records and what cannot be read, and nothing above it. Run
   * again, it removes what an interrupted run has left. Rejects with StoreError and the signal's reason.
   */
  removeUpTo(position: Position, options?: RemoveOptions): Promise<Removed>;

  /**
   * The last claim, whatever stands behind it, past what cannot be read; undefined: there is none. Rejects with
   * StoreError and the signal's reason.
   */
  newestEpoch(signal?: AbortSignal): Promise<EpochRecord | undefined>;

  /** True when there is, and was, no record. Throws StoreError. */
  isEmpty(): Promise<boolean>;
}

/**
 * The record at a position, verified for itself; undefined: there is none. Throws CorruptRecordError,
 * UnknownFormatError, StoreError.
 */
export async function readRecord(log: Log, position: Position): Promise<LogRecord | undefined> {
  const bytes = await log.get(position);
  return bytes === undefined ? undefined : decodeRecord(log.serviceTag, position, bytes);
}

export const isEpoch = (record: LogRecord | undefined): record is EpochRecord => record?.body.kind === "epoch";

/** The claim at a position that a checkpoint names. Throws CorruptRecordError, UnknownFormatError, StoreError. */
export async function readEpochRecord(log: Log, position: Position): Promise<EpochRecord> {
  const record = await readRecord(log, position);
  if (isEpoch(record)) return record;
  const [found, expected] =
    record === undefined
      ? ["nothing", "an epoch record, which is never deleted"]
      : [`a ${record.body.kind} record`, "an epoch record"];
  throw new CorruptRecordError(position, log.nameOf(position), found, expected);
}

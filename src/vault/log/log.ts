/**
 * The log's port: records at positions 1, 2, 3, …, one at each; only retention removes records. Reader, writer,
 * retention and verification work over it; only the implementation knows where records are kept (store-log.ts).
 *
 * Every implementation passes the same contract suite (test/support/vault/log-contract.ts). The rules of
 * docs/PROTOCOL.md require:
 * - A position gets one content, and a put reports whether it supplied it (R1, R2). A put with an unknown outcome is
 *   decided by repeating it (R3).
 * - Above the boundary there are no holes: if a record is found, so is every one before it. Writers put only at the
 *   end; no implementation may show a record earlier than those before it.
 * - The boundary never goes back, and is durable before the first record that it allows to remove is removed. `epoch`
 *   records stay, at any position (R4): each of them can always be read.
 */
import type { StagedBytes } from "../../core/delta.ts";
import { CorruptRecordError } from "../errors.ts";
import type { EpochRecord, LogRecord, Position } from "../record.ts";
import type { PutOutcome, StagedPut } from "../store/store.ts";
import type { VaultKeys } from "../store/vault-keys.ts";
import { decodeRecord, keyNumberOf } from "./record-codec.ts";

export interface RemoveOptions {
  /**
   * If given, no record after this position is an `epoch` record, as a primary knows of its own records
   * (`LogWriter.claimPosition`): they need not be read.
   */
  readonly noEpochAfter?: Position | undefined;
  /** Only list what would be removed. */
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
  /** The tag of the service's name that each record carries (`serviceTagOf`). */
  readonly serviceTag: Uint8Array;

  /** With which records are authenticated; undefined: the vault has none. */
  readonly keys?: VaultKeys | undefined;

  /**
   * Up to this size, a put that has ended, however, uses its bytes no more, so that others may be written where they
   * are; 0: it may use them later.
   */
  readonly reusableBytesMax: number;

  /** Returns the name of the record at a position, for errors and findings. */
  nameOf(position: Position): string;

  /**
   * Puts a whole record at a position that has none; durable when it resolves. Exactly one of several concurrent
   * writers gets `created`. `exists` says nothing about the content: `get` shows whether it is the same
   * (put-record.ts). Throws StoreError; with `kind: "ambiguous"` the put may or may not have happened, now or later.
   */
  put(position: Position, bytes: Uint8Array): Promise<PutOutcome>;

  /**
   * Announces that these bytes are put at this position next, and do not change until then. A hint: it stores nothing,
   * promises nothing and never fails.
   */
  prepare(position: Position, bytes: Uint8Array, ahead?: StagedPut): void;

  /** Bytes that may become a record later (`Store.stage`). Throws StoreError. */
  stage(bytes: Uint8Array): Promise<StagedBytes | undefined>;

  /**
   * Returns the whole bytes of the record; undefined: the log ends before it, or retention has deleted it. Throws
   * StoreError.
   */
  get(position: Position): Promise<Uint8Array | undefined>;

  /** Returns the positions of all records after a position (default: 0), ascending. Throws StoreError. */
  positions(after?: Position): Promise<Position[]>;

  /** Returns the names of objects among the records that are not records. Throws StoreError. */
  strangeNames(): Promise<string[]>;

  /** Returns how far retention may have deleted the log; 0: nothing was ever deleted. Throws StoreError. */
  boundary(): Promise<Position>;

  /**
   * Removes the records up to a position, except `epoch` records and unreadable ones, and nothing above it. A repeated
   * run removes what an interrupted run has left. Rejects with StoreError and the signal's reason.
   */
  removeUpTo(position: Position, options?: RemoveOptions): Promise<Removed>;

  /**
   * Returns the last claim, whatever comes after it, skipping unreadable records; undefined: there is none. Rejects
   * with StoreError and the signal's reason.
   */
  newestEpoch(signal?: AbortSignal): Promise<EpochRecord | undefined>;

  /**
   * Decides what is undecided at the end of the log. Afterwards `get` finds every record whose put has resolved, also
   * one whose writer could not tell the readers. For a host that misses a record of which it has heard. Returns
   * false if nothing was undecided. Throws StoreError.
   */
  decideEnd(): Promise<boolean>;

  /** True if there is and was no record. Throws StoreError. */
  isEmpty(): Promise<boolean>;
}

/**
 * Returns the record at a position, verified by itself; undefined: there is none. Throws CorruptRecordError,
 * UnknownFormatError, StoreError.
 */
export async function readRecord(log: Log, position: Position): Promise<LogRecord | undefined> {
  const bytes = await log.get(position);
  return bytes === undefined ? undefined : decodeOf(log, position, bytes);
}

/**
 * Decodes and verifies what the log has at a position. A keyring may have got another key since it was read. Throws
 * CorruptRecordError, UnknownFormatError; the errors of the keyring, if it must be read again.
 */
export async function decodeOf(
  { serviceTag, keys }: Pick<Log, "serviceTag" | "keys">,
  position: Position,
  bytes: Uint8Array,
): Promise<LogRecord> {
  const number = keyNumberOf(bytes);
  if (keys !== undefined && number !== 0 && keys.recordKey(number) === undefined) await keys.refresh();
  return decodeRecord(serviceTag, position, bytes, undefined, keys);
}

export const isEpoch = (record: LogRecord | undefined): record is EpochRecord => record?.body.kind === "epoch";

/**
 * Returns the claim at a position that a checkpoint names. Throws CorruptRecordError, UnknownFormatError, StoreError.
 */
export async function readEpochRecord(log: Log, position: Position): Promise<EpochRecord> {
  const record = await readRecord(log, position);
  if (isEpoch(record)) return record;
  const [found, expected] =
    record === undefined
      ? ["nothing", "an epoch record, which is never deleted"]
      : [`a ${record.body.kind} record`, "an epoch record"];
  throw new CorruptRecordError(position, log.nameOf(position), found, expected);
}

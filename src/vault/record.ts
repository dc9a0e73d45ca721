/**
 * The records of the log and their meaning. Their bytes are in `record-codec.ts`.
 *
 * A record is immutable, created with `putIfAbsent` at the position after the last one, and carries the hash of its
 * predecessor, so a flipped, missing or foreign record never goes unnoticed.
 */
import type { DatabaseDelta } from "../core/delta.ts";
import type { Section } from "../core/flush.ts";
import type { RecordFormat } from "../core/record-format.ts";

/** 1, 2, 3, …; 0 means "before the first record". A safe integer. */
export type Position = number;

/** The fields of every record. */
export interface RecordHeader {
  readonly position: Position;
  readonly epoch: number;
  /** Id of the host that wrote it. */
  readonly host: string;
  /**
   * 16 random bytes as lower-case hex, one value per claim: distinguishes a writer's own record from another's (R2,
   * R3).
   */
  readonly nonce: string;
  /** The writer's wall clock, milliseconds since 1970; informative, never compared. */
  readonly wallTimeMs: number;
  /**
   * Hash of the previous record, 32 bytes as hex; all zeros at position 1. It covers every byte of that record
   * (record-codec.ts).
   */
  readonly previousHash: string;
}

export type RecordBody =
  /** This host is primary from here on. `controlUrl`: the address at which to check whether it is gone (R5). */
  | { readonly kind: "epoch"; readonly leaseMs: number; readonly controlUrl: string; readonly instance: string }
  /** One part of a flush. A reader applies parts 1..parts together, and drops an unfinished flush at an `epoch`. */
  | {
      readonly kind: "commit";
      readonly part: number;
      readonly parts: number;
      readonly databases: readonly DatabaseDelta[];
    }
  | { readonly kind: "renew" }
  /** `checkpoints/<position>` is complete and verified; it holds the state after the record at `checkpointPosition`. */
  | { readonly kind: "checkpoint"; readonly checkpointPosition: Position; readonly manifestHash: string }
  | { readonly kind: "vacate"; readonly reason: string; readonly successor: string | undefined };

export interface LogRecord {
  readonly header: RecordHeader;
  readonly body: RecordBody;
  /** Sections beside the body; none in format 1. Includes optional ones of unknown kinds. */
  readonly sections: readonly Section[];
  readonly format: RecordFormat;
  /** Version of stead that wrote it, as `0.1.0`; undefined in format 1. */
  readonly steadVersion: string | undefined;
  /** SHA-256 that covers every byte, hex. */
  readonly hash: string;
}

export type EpochRecord = LogRecord & { readonly body: RecordBody & { readonly kind: "epoch" } };

/** The findings of `verify` about a vault: each names an object, and says whether anything is lost. */
import type { Position } from "../record.ts";

/** - `damage`: something differs from what was written. - `notice`: unusual, or left over; nothing is lost. */
export type Severity = "damage" | "notice";

export type FindingKind =
  | "no-identity"
  | "foreign-vault"
  | "unknown-format"
  | "corrupt-record"
  | "unappliable-flush"
  | "log-gap"
  | "void-claim"
  | "unfinished-flush"
  | "damaged-manifest"
  | "damaged-chunk"
  | "damaged-checkpoint"
  | "unannounced-checkpoint"
  | "no-checkpoint-at-boundary"
  | "left-over-record"
  | "left-over-chunks"
  | "not-encrypted"
  | "copied-ahead"
  | "strange-key";

export interface Finding {
  readonly severity: Severity;
  readonly kind: FindingKind;
  /** The key concerned, or the first of several. */
  readonly key: string;
  readonly message: string;
}

/** A checkpoint, as far as it could be verified. */
export interface CheckpointReport {
  readonly position: Position;
  readonly wallTimeMs: number | undefined;
  readonly databases: number;
  /** Bytes of the databases in it. */
  readonly bytes: number;
  /** Beside the databases; undefined: none, or unreadable. `count`: with links and folders. */
  readonly files?: { readonly count: number; readonly bytes: number } | undefined;
  /** Manifest and all chunks are as written, and databases and files match their checksums. */
  readonly whole: boolean;
}

export const damage = (kind: FindingKind, key: string, message: string): Finding => ({
  severity: "damage",
  kind,
  key,
  message,
});
export const notice = (kind: FindingKind, key: string, message: string): Finding => ({
  severity: "notice",
  kind,
  key,
  message,
});

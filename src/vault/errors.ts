/**
 * What can be wrong with a vault, beyond the store not answering (`StoreError`).
 *
 * Each error names the thing, says what was found and what to do; each has a `kind`, so that callers can switch over
 * `VaultError` and the compiler tells them when one is missing.
 */
import { programVersion } from "../runtime/program-version.ts";
import type { Position } from "./record.ts";

abstract class BaseVaultError extends Error {
  abstract readonly kind: string;
  /** What an operator can do about it, one sentence. */
  readonly advice: string;
  constructor(message: string, advice: string, options?: ErrorOptions) {
    super(message, options);
    this.advice = advice;
  }
}

/** R2: another host has written where only this writer may: it is primary no more. Nothing may be released any more. */
export class FencedError extends BaseVaultError {
  override readonly name = "FencedError";
  readonly kind = "fenced";
  readonly position: Position;
  /** Epoch and host of the record found there; 0 and "" when retention has deleted it already. */
  readonly epoch: number;
  readonly host: string;
  constructor(position: Position, epoch: number, host: string) {
    const who = host === "" ? "another host" : `host ${host} with epoch ${epoch}`;
    super(`fenced: position ${position} of the log was taken by ${who}`, "None is needed: this host goes back to restore mode by itself.");
    this.position = position;
    this.epoch = epoch;
    this.host = host;
  }
}

/** The writer has stopped for good (fenced, aborted while a put was undecided, failed): it appends nothing more. */
export class WriterEndedError extends BaseVaultError {
  override readonly name = "WriterEndedError";
  readonly kind = "writer-ended";
  constructor(position: Position, cause: unknown) {
    super(`the log writer ended after position ${position}`, "Claim again: an ended writer is never used any more.", { cause });
  }
}

/** A record whose bytes are not what was written, or that does not continue the log. */
export class CorruptRecordError extends BaseVaultError {
  override readonly name = "CorruptRecordError";
  readonly kind = "corrupt-record";
  readonly position: Position;
  readonly key: string;
  readonly found: string;
  readonly expected: string;
  constructor(position: Position, key: string, found: string, expected: string) {
    super(
      `the record at position ${position} (${key}) is damaged: found ${found}, expected ${expected}`,
      "Everything before it is intact (`stead vault restore --last-whole`). Run `stead vault verify`; a copy of this file from a backup of the vault repairs it.",
    );
    this.position = position;
    this.key = key;
    this.found = found;
    this.expected = expected;
  }
}

/** Who wrote something, as far as it says so itself. */
export interface WrittenBy {
  readonly host: string;
  /** Of stead, as `0.1.0`. */
  readonly version: string;
}

/** Something in the vault was written in a format that this version does not know. It is refused, not guessed. */
export class UnknownFormatError extends BaseVaultError {
  override readonly name = "UnknownFormatError";
  readonly kind = "unknown-format";
  readonly key: string;
  readonly found: string;
  readonly expected: string;
  constructor(key: string, found: string, expected: string, by?: WrittenBy) {
    super(
      `${key} has an unknown format: found ${found}, this version (stead ${programVersion}) knows ${expected}`,
      by === undefined ? "Use a version of stead that is at least as new as the one that wrote it." : `Upgrade this host first: host ${by.host} wrote it with stead ${by.version}; install that version or a newer one.`,
    );
    this.key = key;
    this.found = found;
    this.expected = expected;
  }
}

/** The vault belongs to another service. */
export class ForeignVaultError extends BaseVaultError {
  override readonly name = "ForeignVaultError";
  readonly kind = "foreign-vault";
  readonly found: string;
  readonly expected: string;
  constructor(url: string, found: string, expected: string) {
    super(`the vault ${url} belongs to the service "${found}", not to "${expected}"`, "Correct `service` or the vault's URL in the configuration; each service needs a vault of its own.");
    this.found = found;
    this.expected = expected;
  }
}

/** Not a vault: `identity.json` is missing or unreadable. */
export class NotAVaultError extends BaseVaultError {
  override readonly name = "NotAVaultError";
  readonly kind = "not-a-vault";
  constructor(url: string, found: string, options?: ErrorOptions) {
    super(`${url} is not a vault: ${found}`, "Is the shared area mounted? A new vault is made with `stead vault create`, never by itself.", options);
  }
}

/** Retention has deleted the next record: this reader must start again from the newest checkpoint. */
export class LeftBehindError extends BaseVaultError {
  override readonly name = "LeftBehindError";
  readonly kind = "left-behind";
  readonly position: Position;
  readonly boundary: Position;
  constructor(position: Position, boundary: Position) {
    super(`the log after position ${position} was removed by retention up to ${boundary}`, "None is needed: this host restores the newest checkpoint.");
    this.position = position;
    this.boundary = boundary;
  }
}

/** A checkpoint's manifest is not what was written. */
export class DamagedManifestError extends BaseVaultError {
  override readonly name = "DamagedManifestError";
  readonly kind = "damaged-manifest";
  readonly key: string;
  readonly position: Position;
  constructor(key: string, position: Position, found: string, expected: string) {
    super(`the checkpoint ${key} is damaged: found ${found}, expected ${expected}`, "An older checkpoint and the journal after it may still be whole: run `stead vault verify`.");
    this.key = key;
    this.position = position;
  }
}

/** A chunk of a checkpoint is missing or is not what was written. */
export class DamagedChunkError extends BaseVaultError {
  override readonly name = "DamagedChunkError";
  readonly kind = "damaged-chunk";
  readonly key: string;
  /** Which part of which database this is; undefined outside a restore. */
  readonly database: string | undefined;
  readonly found: string;
  constructor(key: string, found: string, expected: string, database?: string, options?: ErrorOptions) {
    const of = database === undefined ? "" : ` of database ${database}`;
    super(`the chunk ${key}${of} is damaged: found ${found}, expected ${expected}`, "An older checkpoint may not need this chunk: run `stead vault verify`.", options);
    this.key = key;
    this.database = database;
    this.found = found;
  }
}

/** A checkpoint at or after this position exists already (another host bootstrapped, or this one is behind). */
export class CheckpointExistsError extends BaseVaultError {
  override readonly name = "CheckpointExistsError";
  readonly kind = "checkpoint-exists";
  readonly position: Position;
  readonly existing: Position;
  constructor(position: Position, existing: Position) {
    super(`no checkpoint was made at position ${position}: there is one at ${existing}`, "None is needed: restore that one.");
    this.position = position;
    this.existing = existing;
  }
}

export type VaultError =
  | FencedError
  | WriterEndedError
  | CorruptRecordError
  | UnknownFormatError
  | ForeignVaultError
  | NotAVaultError
  | LeftBehindError
  | DamagedManifestError
  | DamagedChunkError
  | CheckpointExistsError;

/** For messages of errors and findings: what was found, shortened and printable. */
export function quoteFound(text: string): string {
  const printable = text.replace(/[^\x20-\x7e]/g, "?");
  return printable.length > 64 ? `"${printable.slice(0, 61)}..."` : `"${printable}"`;
}

export function isVaultError(error: unknown): error is VaultError {
  return error instanceof BaseVaultError;
}

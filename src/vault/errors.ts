/**
 * What can be wrong with a vault, apart from the store not answering (`StoreError`).
 *
 * Each error names the object, what was found and what to do. Each has a `kind`, so that callers can switch over
 * `VaultError` and the compiler reports a missing case.
 */
import { OperatorError, type OperatorErrorText } from "../runtime/operator-error.ts";
import { programVersion } from "../runtime/program-version.ts";
import type { Position } from "./record.ts";

abstract class BaseVaultError extends OperatorError {
  abstract readonly kind: string;
  constructor(text: OperatorErrorText, options?: ErrorOptions) {
    super("vault", text, options);
  }
}

/** R2: another host has written where only this writer may: it is no longer primary, and may release nothing more. */
export class FencedError extends BaseVaultError {
  readonly kind = "fenced";
  readonly position: Position;
  /** Epoch and host of the record found there; 0 and "" if retention has already deleted it. */
  readonly epoch: number;
  readonly host: string;
  constructor(position: Position, epoch: number, host: string) {
    const who = host === "" ? "another host" : `host ${host} with epoch ${epoch}`;
    super({
      found: `fenced: position ${position} of the log was taken by ${who}`,
      advice: "None needed: this host returns to restore mode by itself.",
    });
    this.position = position;
    this.epoch = epoch;
    this.host = host;
  }
}

/** The writer has stopped for good (fenced, aborted while a put was undecided, failed): it appends nothing more. */
export class WriterEndedError extends BaseVaultError {
  readonly kind = "writer-ended";
  constructor(position: Position, cause: unknown) {
    super(
      {
        found: `the log writer ended after position ${position}`,
        advice: "Claim again: an ended writer is never used again.",
      },
      { cause },
    );
  }
}

/** A record that differs from what was written, or does not continue the log. */
export class CorruptRecordError extends BaseVaultError {
  readonly kind = "corrupt-record";
  readonly position: Position;
  readonly key: string;
  constructor(position: Position, key: string, found: string, accepted: string) {
    super({
      found: `the record at position ${position} (${key}) is damaged: ${found}`,
      accepted,
      advice:
        "Everything before it is intact (`stead vault restore --last-whole`). Run `stead vault verify`; a copy of this file from a backup of the vault repairs it.",
    });
    this.position = position;
    this.key = key;
  }
}

/** The writer of an object, as far as the object names it. */
export interface WrittenBy {
  readonly host: string;
  /** Version of stead, as `0.1.0`. */
  readonly version: string;
}

/** An object in a format that this version does not know. It is refused, not guessed. */
export class UnknownFormatError extends BaseVaultError {
  readonly kind = "unknown-format";
  readonly key: string;
  /** Position of the record; undefined: it is not a record. */
  readonly position: Position | undefined;
  constructor(
    key: string,
    found: string,
    known: string,
    { position, by }: { readonly position?: Position; readonly by?: WrittenBy | undefined } = {},
  ) {
    super({
      found: `${key} has an unknown format: ${found}`,
      accepted: `what this version (stead ${programVersion}) knows: ${known}`,
      advice:
        by === undefined
          ? "Use a version of stead that is at least as new as the one that wrote it."
          : `Upgrade this host first: host ${by.host} wrote it with stead ${by.version}; install that version or a newer one.`,
    });
    this.key = key;
    this.position = position;
  }
}

/** The vault belongs to another service. */
export class ForeignVaultError extends BaseVaultError {
  readonly kind = "foreign-vault";
  constructor(url: string, service: string, expected: string) {
    super({
      found: `the vault ${url} belongs to the service "${service}"`,
      accepted: `the vault of "${expected}"`,
      advice: "Correct `service` or the vault's URL in the configuration; each service needs its own vault.",
    });
  }
}

/** Not a vault: `identity.json` is missing or unreadable. */
/** A copy of a vault in the place of the vault: a primary there would continue a history that may have gone on. */
export class CopyOfVaultError extends BaseVaultError {
  readonly kind = "copy-of-vault";
  constructor(url: string, vaultId: string) {
    super({
      found: `${url} is a copy of the vault ${vaultId}`,
      accepted: "a vault",
      advice:
        "Correct the vault's URL; if the vault is lost, `stead vault promote-copy` makes a new one from the copy.",
    });
  }
}

/** A copy that does not continue as its vault does: something else has written there, or the vault lost records. */
export class CopyDiffersError extends BaseVaultError {
  readonly kind = "copy-differs";
  constructor(url: string, found: string) {
    super({
      found: `the copy at ${url} differs from the vault: ${found}`,
      accepted: "a copy whose log continues in the vault",
      advice:
        "Nothing more is copied there. Run `stead vault verify` on both; to begin again, name another place in `to` of [[host.vault_copy]].",
    });
  }
}

/** The place for a copy has something else, or another copy. */
export class CopyPlaceError extends BaseVaultError {
  readonly kind = "copy-place";
  constructor(url: string, found: string, accepted: string) {
    super({
      found: `${url} has ${found}`,
      accepted,
      advice: "Name another place in `to` of [[host.vault_copy]], or move away what is there.",
    });
  }
}

export class NotAVaultError extends BaseVaultError {
  readonly kind = "not-a-vault";
  constructor(url: string, found: string, options?: ErrorOptions) {
    super(
      {
        found: `${url} is not a vault: ${found}`,
        advice: "Is the shared area mounted? Only `stead vault create` makes a new vault.",
      },
      options,
    );
  }
}

/** Retention has deleted the next record: this reader must restart from the newest checkpoint. */
export class LeftBehindError extends BaseVaultError {
  readonly kind = "left-behind";
  readonly position: Position;
  readonly boundary: Position;
  constructor(position: Position, boundary: Position) {
    super({
      found: `the log after position ${position} was removed by retention up to ${boundary}`,
      advice: "None needed: this host restores the newest checkpoint.",
    });
    this.position = position;
    this.boundary = boundary;
  }
}

/** Something else than an object of a vault is under the name of one. It is not opened, and nothing of it is read. */
export class StrangeObjectError extends BaseVaultError {
  readonly kind = "strange-object";
  readonly key: string;
  readonly what: string;
  override readonly accepted: string;
  constructor(key: string, what: string, accepted: string) {
    super({
      found: `${key} in the vault is ${what}`,
      accepted,
      advice: "No version of stead has put it there. Find out who can write into the vault's folder, and remove it.",
    });
    this.key = key;
    this.what = what;
    this.accepted = accepted;
  }
}

/** The vault's keys are missing, or do not open. */
export class KeyringError extends BaseVaultError {
  readonly kind = "keyring";
  constructor(found: string, accepted: string, advice: string) {
    super({ found, accepted, advice });
  }
}

/** The vault's keys are for another secret. */
export class WrongSecretError extends KeyringError {
  constructor(found: string, advice: string) {
    super(
      found,
      "the secret of the cluster that made it, or the vault's key if it has one of its own, or the one before",
      advice,
    );
  }
}

/** A checkpoint's manifest differs from what was written. */
export class DamagedManifestError extends BaseVaultError {
  readonly kind = "damaged-manifest";
  readonly key: string;
  readonly position: Position;
  constructor(key: string, position: Position, found: string, accepted: string) {
    super({
      found: `the checkpoint ${key} is damaged: ${found}`,
      accepted,
      advice: "An older checkpoint and the journal after it may still be whole: run `stead vault verify`.",
    });
    this.key = key;
    this.position = position;
  }
}

/** A chunk of a checkpoint is missing or differs from what was written. */
export class DamagedChunkError extends BaseVaultError {
  readonly kind = "damaged-chunk";
  readonly key: string;
  /** Which part of which database this is; undefined outside a restore. */
  readonly database: string | undefined;
  constructor(key: string, found: string, accepted: string, database?: string, options?: ErrorOptions) {
    const of = database === undefined ? "" : ` of database ${database}`;
    super(
      {
        found: `the chunk ${key}${of} is damaged: ${found}`,
        accepted,
        advice: "An older checkpoint may not need this chunk: run `stead vault verify`.",
      },
      options,
    );
    this.key = key;
    this.database = database;
  }
}

/** A checkpoint at or after this position exists already (another host bootstrapped, or this one is behind). */
export class CheckpointExistsError extends BaseVaultError {
  readonly kind = "checkpoint-exists";
  readonly position: Position;
  readonly existing: Position;
  constructor(position: Position, existing: Position) {
    super({
      found: `no checkpoint was made at position ${position}: there is one at ${existing}`,
      advice: "None needed: restore that one.",
    });
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
  | CopyOfVaultError
  | CopyDiffersError
  | CopyPlaceError
  | LeftBehindError
  | StrangeObjectError
  | KeyringError
  | DamagedManifestError
  | DamagedChunkError
  | CheckpointExistsError;

/** Shortens a found text and makes it printable, for errors and findings. */
export function quoteFound(text: string): string {
  const printable = text.replace(/[^\x20-\x7e]/g, "?");
  return printable.length > 64 ? `"${printable.slice(0, 61)}..."` : `"${printable}"`;
}

export function isVaultError(error: unknown): error is VaultError {
  return error instanceof BaseVaultError;
}

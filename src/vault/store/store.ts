/**
 * The vault's port: an object store with four operations. Nothing else in the vault decides anything.
 *
 * Every implementation passes the same contract suite (test/support/vault/store-contract.ts). Keys are relative paths
 * of `[a-z0-9._-]` segments joined by `/`, at most 200 bytes.
 */

import type { StagedBytes } from "../../core/delta.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { ChunkNames } from "./chunk-names.ts";
import type { LogService } from "./log-service.ts";
import type { SegmentFiles } from "./segment-files.ts";

/** The outcome of a put. `exists` says nothing about the content: the caller reads and compares. */
export type PutOutcome = { readonly kind: "created" } | { readonly kind: "exists" };

/** Of a put, what was staged: all of its bytes but for the first `headBytes`. */
export interface StagedPut {
  readonly staged: StagedBytes;
  readonly headBytes: number;
}

export interface Store {
  /** For messages: `file:///srv/vault`, `memory:`, `s3://bucket/prefix`. Never contains a secret. */
  readonly url: string;

  /** Files beside the objects, for a log in segments; undefined: this store has none. */
  readonly files: SegmentFiles | undefined;

  /** The log, if the store keeps it itself (a vault server's); undefined: it is in objects, or in the files. */
  readonly log?: LogService | undefined;

  /** How chunks are named; undefined: by the SHA-256 of their content. */
  readonly chunkNames?: ChunkNames | undefined;

  /**
   * Stores the whole content under a key that has none; durable when it resolves. Exactly one of several concurrent
   * writers gets `created`. Throws `StoreError`; with `kind: "ambiguous"` the put may or may not have happened, now or
   * later.
   */
  putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome>;

  /**
   * Announces that these bytes are put under this key next, and do not change until then, so that work before the name
   * appears can begin now. A hint: it stores nothing, promises nothing and never fails. With `ahead` the store has all
   * of them already but for the first `headBytes`.
   */
  prepare(key: string, bytes: Uint8Array, ahead?: StagedPut): void;

  /**
   * Writes bytes that may be put later under a key that is not known yet, so that little is left to be done then
   * (`prepare`). No reader can find them, and they go with this process. Undefined: nothing is gained by that here.
   * Throws StoreError.
   */
  stage(bytes: Uint8Array): Promise<StagedBytes | undefined>;

  /**
   * Returns the whole content, or undefined if there is none. Throws StoreError, and StrangeObjectError for what is
   * larger than `bytesMax` (default: `objectBytesMax`) or no object at all, before anything is allocated for it.
   */
  get(key: string, bytesMax?: number): Promise<Uint8Array | undefined>;

  /**
   * Returns the keys that start with `prefix` (which ends with `/`), ascending by code unit, only those > `after`.
   * Throws `StoreError`.
   */
  list(prefix: string, options?: { readonly after?: string; readonly limit?: number }): Promise<string[]>;

  /** Removes a key; a missing key is no error. Durable at some later time. Throws `StoreError`. */
  delete(key: string): Promise<void>;
}

/**
 * - `ambiguous`: the operation may have taken effect (time-out, lost reply). Only puts throw it; R3 applies.
 * - `full`: no space or quota; nothing was stored.
 * - `denied`: no permission, read-only; nothing was stored.
 * - `unavailable`: the store did not answer; nothing was stored; a retry may help.
 * - `unsuitable`: the store does not meet the contract (exclusive creation, durability); never retried.
 */
export type StoreErrorKind = "ambiguous" | "full" | "denied" | "unavailable" | "unsuitable";

export class StoreError extends OperatorError {
  readonly kind: StoreErrorKind;
  constructor(kind: StoreErrorKind, found: string, advice: string, options?: ErrorOptions) {
    super("vault", { found, advice }, options);
    this.kind = kind;
  }
}

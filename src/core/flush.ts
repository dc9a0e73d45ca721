/**
 * A flush: everything that one collection of a primary put into the log, whole, as its readers take it.
 *
 * It has the deltas of its databases, and what its records carry beside them: sections. A follower, a restore and a
 * restore to a moment hand the whole flush to what applies it, so a new kind of section needs a writer and a target,
 * and nothing in between.
 */
import type { DatabaseDelta } from "./delta.ts";

/**
 * Something that a record of format 2 carries beside its own fields, under the name of its kind. A reader that does not
 * know the kind skips the section when it is optional, and refuses the record when it is required
 * (src/vault/log/section-codec.ts).
 */
export interface Section {
  /** Lower-case letters, digits and hyphens, 1 to 32. */
  readonly kind: string;
  readonly isRequired: boolean;
  readonly content: Uint8Array;
}

export interface Flush {
  /** Position of its first record. */
  readonly from: number;
  /** Position of its last record. */
  readonly to: number;
  readonly epoch: number;
  /** Id of the host that wrote it. */
  readonly host: string;
  /** The writer's wall clock at its last record, milliseconds since 1970. */
  readonly wallTimeMs: number;
  /** In order; those of one database belong together. */
  readonly deltas: readonly DatabaseDelta[];
  /** Of all its records, in order; optional ones of unknown kinds too. */
  readonly sections: readonly Section[];
}

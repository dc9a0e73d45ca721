/**
 * A flush: everything that one collection of a primary put into the log, whole, as its readers take it.
 *
 * It has the deltas of its databases, and the sections of its records. Follower, restore and point-in-time restore pass
 * the whole flush to the part that applies it, so a new kind of section needs only a writer and a target.
 */
import type { DatabaseDelta } from "./delta.ts";

/**
 * A part of a format 2 record beside its own fields, under the name of its kind. A reader that does not know the kind
 * skips an optional section, and refuses a record with a required one (src/vault/log/section-codec.ts).
 */
export interface Section {
  /** Lower-case letters, digits and hyphens, 1 to 32. */
  readonly kind: string;
  readonly isRequired: boolean;
  readonly content: Uint8Array;
}

/** A section as it is written. Its content may be in parts, in order, which are joined in the record and not before. */
export interface SectionToWrite extends Omit<Section, "content"> {
  readonly content: Uint8Array | readonly Uint8Array[];
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
  /** Sections of all its records, in order, including optional ones of unknown kinds. */
  readonly sections: readonly Section[];
}

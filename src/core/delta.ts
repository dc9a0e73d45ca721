/**
 * The new content of whole database pages, on its way from capture through the log to a secondary.
 *
 * A delta is physical and idempotent: applying it twice, or applying it to a database that already has it, changes
 * nothing. Applying all deltas of the records 1..p in order to an empty folder gives exactly the databases at position
 * p.
 */

/** 16 bytes, XOR over all pages of the first 16 bytes of SHA-256(page number as u32 LE ‖ page content). */
export type DatabaseChecksum = Uint8Array;

export interface Page {
  /** 1-based page number. */
  readonly number: number;
  /** Exactly `pageSize` bytes. */
  readonly content: Uint8Array;
  /**
   * First 16 bytes of SHA-256(number ‖ content), if this process has computed them from the content. Never taken from a
   * record.
   */
  readonly hash?: Uint8Array | undefined;
}

/** Bytes that the vault has in its care without a name (`Store.stage`). */
export interface StagedBytes {
  /** Fills `into` with their beginning. Rejects when they are not there any more. */
  read(into: Uint8Array): Promise<void>;
  /** They are not put. Calling it again, or when they were put, does nothing. */
  drop(): void;
}

/** Pages as they will stand in their record. */
export interface LaidOutPages {
  /** `headBytes` of room for what comes before them, then number (u32 LE) and content of each. */
  readonly bytes: Uint8Array;
  readonly headBytes: number;
  /** The same bytes but for the room. */
  readonly staged: StagedBytes;
}

/** New page contents of one database, the state after one or more committed transactions. */
export interface DatabaseDelta {
  /** Path relative to the data folder, with forward slashes; never absolute, never with `..`. */
  readonly name: string;
  /** Bytes: a power of two, 512..65536. */
  readonly pageSize: number;
  /** Pages of the database after the commit; pages beyond it are cut off. 0 without pages: the database was removed. */
  readonly pageCount: number;
  /**
   * In the last delta of a database in its flush: the checksum of the whole database after it. In earlier ones it means
   * nothing (zeros, or the same).
   */
  readonly checksum: DatabaseChecksum;
  readonly pages: readonly Page[];
  /** The contents of `pages` are views into it. Only where it saves work; nothing of it is stored. */
  readonly laidOut?: LaidOutPages | undefined;
}

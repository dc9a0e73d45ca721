/** Every limit of the vault, with its unit. A limit that a format enforces is part of that format. */

/** A record of the log, header and payload. A longer one is refused before anything is allocated. */
export const recordBytesMax = 64 * 1024 * 1024;
/** An object whose reader names no smaller limit: the largest is a record with what surrounds it. */
export const objectBytesMax = recordBytesMax + 1024 * 1024;
/** A manifest: about 100 bytes per MiB of databases. */
export const manifestBytesMax = 256 * 1024 * 1024;
/** Objects that say one thing: identity, keys, claims. */
export const smallObjectBytesMax = 64 * 1024;
/** Host ids in record headers, UTF-8. */
export const hostIdBytesMax = 64;
/** Strings inside record payloads (names, URLs, reasons), UTF-8. */
export const recordStringBytesMax = 4096;
/** Databases in one commit record. */
export const recordDatabasesMax = 4096;
/** Sections in one record, beside its body. */
export const recordSectionsMax = 64;
/** The name of a section's kind, ASCII. */
export const sectionKindBytesMax = 32;
/** A checkpoint covers each database in chunks of this many bytes; a multiple of every page size. */
export const chunkBytes = 1024 * 1024;
/** Chunks of one checkpoint that are read, compressed and written at a time. */
export const checkpointConcurrency = 4;
/** Chunks that are read and proven while those before them are written. */
export const chunksReadAhead = 4;
/** Reused chunks that each checkpoint reads back and verifies, in rotation, against silent decay of the vault. */
export const checkpointScrubChunks = 8;
/** Newest boundary entries that are kept; `store-log.ts` says why more than one. */
export const boundaryEntriesKept = 8;
/** End-of-log polls between two boundary checks; the first poll always checks. */
export const endsOfLogPerBoundaryCheck = 64;
/** Records that a lagging reader looks up at the same time, as long as they seem to fit into the bytes. */
export const readAheadRecordsMax = 16;
export const readAheadBytesMax = 16 * 1024 * 1024;
/**
 * Bytes of pages of a flush that are kept in memory until its last part arrives; the rest goes into a file if there is
 * one.
 */
export const flushBytesInMemoryMax = 16 * 1024 * 1024;
/** Deletions of retention in flight. */
export const deletionsAtOnce = 8;
/** Records of a copy of the vault that are put at the same time, and their bytes. */
export const copiedRecordsMax = 16;
export const copiedBytesMax = 8 * 1024 * 1024;
/** Chunks that are copied at the same time. */
export const copiedChunksMax = 4;
/** Length of a store key, as in the store's contract. */
export const keyBytesMax = 200;
/** Temporary files of the fs store older than this, by the vault's own clock, are removed at open. */
export const staleTemporaryMs = 24 * 60 * 60 * 1000;
/** Service names in the identity. */
export const serviceNameBytesMax = 128;

/** Pauses between attempts of a failed store operation: doubling, with jitter, up to the maximum. */
export const retryPauseMsMin = 5;
export const retryPauseMsMax = 1000;

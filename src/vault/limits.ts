/** Every limit of the vault, with its unit. A value that a format refuses beyond is part of that format. */

/** A record of the log, header and payload. A length beyond it is refused before anything is allocated. */
export const recordBytesMax = 64 * 1024 * 1024;
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
/** Chunks of one checkpoint that are read, compressed and written at the same time. */
export const checkpointConcurrency = 2;
/** Reused chunks that each checkpoint reads back and verifies, rotating, against silent decay of the vault. */
export const checkpointScrubChunks = 8;
/** Newest boundary entries that are kept; older ones are removed. See `store-log.ts` for why more than one. */
export const boundaryEntriesKept = 8;
/** A reader looks for the boundary at the first end of the log it meets and then at every so many-th in a row. */
export const endsOfLogPerBoundaryCheck = 64;
/** A reader that is behind looks for so many records at the same time, as long as they seem to fit into the bytes. */
export const readAheadRecordsMax = 16;
export const readAheadBytesMax = 16 * 1024 * 1024;
/**
 * Pages of a flush that are kept in memory until its last part comes, bytes; what is beyond goes into a file where
 * there is one.
 */
export const flushBytesInMemoryMax = 16 * 1024 * 1024;
/** Deletions of retention in flight. */
export const deletionsAtOnce = 8;
/** Keys of the store, as its contract says. */
export const keyBytesMax = 200;
/** Temporary files of the fs store that are older than this, by the vault's own clock, are removed at open. */
export const staleTemporaryMs = 24 * 60 * 60 * 1000;
/** Service names in the identity. */
export const serviceNameBytesMax = 128;

/** Pauses between attempts of a store operation that failed: doubling, with jitter, up to the maximum. */
export const retryPauseMsMin = 5;
export const retryPauseMsMax = 1000;

/** Every bound of capture, in one place, with its unit in its name. */

export interface SourceLimits {
  /** Page content in one part of a batch (one commit record), bytes; a part holds at least one page. */
  readonly partBytesMax: number;
  /** Batches up to this size keep their pages in memory, so that they hold no pin while they are being journaled, bytes. */
  readonly eagerBytesMax: number;
  /** A write-ahead log longer than this is sealed when writers never leave a gap in which it could start over, bytes. */
  readonly walSealBytes: number;
  /** A seal is tried only when less than this is still to be captured, so that writers stall for milliseconds, bytes. */
  readonly sealBacklogBytesMax: number;
  /** Wait after a seal that application readers or writers did not let through; doubles up to the maximum, milliseconds. */
  readonly sealRetryMs: number;
  readonly sealRetryMsMax: number;
  /** A pin is taken anew at least this often, even when nothing seems to ask for it, milliseconds. */
  readonly pinAgeMsMax: number;
  /** How long a database that appears may stay locked (or outside WAL mode) before capture gives up, milliseconds. */
  readonly attachWaitMsMax: number;
  /** How long a WAL index may stay torn or a consistent cut fail before capture gives up, milliseconds. */
  readonly settleMsMax: number;
  /** Databases of one service. */
  readonly databasesMax: number;
}

export const defaultLimits: SourceLimits = {
  partBytesMax: 4 * 1024 * 1024,
  eagerBytesMax: 16 * 1024 * 1024,
  walSealBytes: 4 * 1024 * 1024,
  sealBacklogBytesMax: 1024 * 1024,
  sealRetryMs: 20,
  sealRetryMsMax: 1000,
  pinAgeMsMax: 250,
  attachWaitMsMax: 10_000,
  settleMsMax: 10_000,
  databasesMax: 1000,
};

/** Longest run on the event loop without a yield while large amounts are read, milliseconds. */
export const sliceMs = 4;
/** One read of WAL frames or database pages, bytes. */
export const readChunkBytes = 512 * 1024;

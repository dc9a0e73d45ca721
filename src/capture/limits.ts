/** Every bound of capture, in one place, with its unit in its name. */

export interface SourceLimits {
  /** Page content in one part of a batch (one commit record), bytes; a part holds at least one page. */
  readonly partBytesMax: number;
  /** Batches up to this size keep their pages in memory, so that they hold no pin while being journaled, bytes. */
  readonly eagerBytesMax: number;
  /** A transaction that has written so much is read while it continues, bytes of pages. */
  readonly readAheadBytesMin: number;
  /** One part of it that is staged, bytes of pages. */
  readonly stagedPartBytes: number;
  /**
   * A write-ahead log longer than this is backfilled, so that it starts over in the next gap between two writes, bytes.
   */
  readonly walTidyBytes: number;
  /**
   * A longer log whose writers leave no gap is sealed under the write lock, bytes. An application without a busy
   * timeout can then meet SQLITE_BUSY, so this is the last resort.
   */
  readonly walSealBytes: number;
  /** A seal leaves at most this much to capture, and as much to backfill, under the write lock, bytes. */
  readonly sealBacklogBytesMax: number;
  /** Bytes of frames that a collection before a seal may keep in memory. */
  readonly sealKeepBytesMax: number;
  /** How long the write lock is tried for, on the event loop, milliseconds. Trying delays no writer. */
  readonly sealLockMs: number;
  /** Pause after a seal that application readers prevented; doubles up to the maximum, milliseconds. */
  readonly sealRetryMs: number;
  readonly sealRetryMsMax: number;
  /** A pin is renewed at least this often, even without an apparent reason, milliseconds. */
  readonly pinAgeMsMax: number;
  /** How long a database that appears may stay locked (or outside WAL mode) before capture gives up, milliseconds. */
  readonly attachWaitMsMax: number;
  /** How long a database's `-wal` and `-shm` may be gone before the database itself is, milliseconds. */
  readonly deletionMsMax: number;
  /** How long a WAL index may stay torn or a consistent cut fail before capture gives up, milliseconds. */
  readonly settleMsMax: number;
  /** Databases of one service. */
  readonly databasesMax: number;
  /** Descriptors that this process may have open. */
  readonly descriptorsMax: number;
  /** Number of databases that each look of the gate checks; if there are more, idle ones are left out. */
  readonly lookedAtMax: number;
  /**
   * A database without activity for this long is quiet, milliseconds. Several times `pinAgeMsMax`: its pin was renewed
   * while no checkpoint ran, and lets later ones pass.
   */
  readonly quietAfterMs: number;
  /** A quiet database that no other process has open is closed after this long without activity, milliseconds. */
  readonly dormantAfterMs: number;
}

export const defaultLimits: SourceLimits = {
  partBytesMax: 4 * 1024 * 1024,
  eagerBytesMax: 16 * 1024 * 1024,
  readAheadBytesMin: 16 * 1024 * 1024,
  stagedPartBytes: 8 * 1024 * 1024,
  walTidyBytes: 4 * 1024 * 1024,
  walSealBytes: 64 * 1024 * 1024,
  sealBacklogBytesMax: 256 * 1024,
  sealKeepBytesMax: 64 * 1024 * 1024,
  sealLockMs: 2,
  sealRetryMs: 10,
  sealRetryMsMax: 320,
  pinAgeMsMax: 250,
  attachWaitMsMax: 10_000,
  deletionMsMax: 1_000,
  settleMsMax: 10_000,
  databasesMax: 10_000,
  descriptorsMax: Number.POSITIVE_INFINITY,
  lookedAtMax: 4,
  quietAfterMs: 1_000,
  dormantAfterMs: 3_000,
};

/**
 * SQLite's busy handler retries after at most this long (sqliteDefaultBusyCallback), plus some time for scheduling,
 * milliseconds.
 */
export const busyPollMsMax = 110;
/** Parts that are staged at the same time: each is in memory. */
export const stagingAtOnceMax = 3;
/** Staged parts of one transaction; what is beyond them is read after the commit. 4 GiB. */
export const stagedPartsMax = 512;
/** One read of WAL frames or database pages, bytes. */
export const readChunkBytes = 512 * 1024;
/**
 * How long the write lock is held, milliseconds: after this nothing more is begun under it, and each step takes well
 * under a millisecond per `sealBacklogBytesMax`.
 */
export const writeLockMsMax = 5;
/**
 * Collections in a row that try to catch up with writers before a seal: each leaves less, or the writers are too quick.
 */
export const sealRoundsMax = 6;
/** A longer backfill is not done on the event loop, bytes. About 6 ms of a page cache's time. */
export const backfillHereBytesMax = 8 * 1024 * 1024;
/**
 * Databases whose files are checked beside their WAL index at each look of the gate; with more, the next ones each
 * time.
 */
export const suspectsPerLook = 4;
/** How long a process may have a database locked before it uses its WAL index: it may be opening it, milliseconds. */
export const elsewhereMsMax = 1000;
/**
 * A database is audited (identity of its files, who uses it) at most this often while the service is idle,
 * milliseconds.
 */
export const auditMs = 100;
/** A longer list of locks (of some hundred open databases) is read less often, characters. */
export const longLockList = 64 * 1024;
/**
 * A log of this length that cannot start over is reported to operators, bytes; and how often that is checked,
 * milliseconds.
 */
export const longLogBytes = 64 * 1024 * 1024;
export const longLogLookMs = 500;
/** Folder entries that are looked through for the second name of a file. */
export const linkSearchEntriesMax = 20_000;
/** Folders that `**` goes down. */
export const folderDepthMax = 16;
/** Folders that the patterns lead through: each costs a descriptor. */
export const watchedFoldersMax = 2000;
/**
 * How often the list of locks is read in addition, for what it alone shows: all users of a database, and databases that
 * match no pattern, milliseconds.
 */
export const listMs = 2_000;
/**
 * Databases whose users the kernel is asked for every `auditMs`, two microseconds each; with more of them audits are
 * rarer.
 */
export const askedPerAudit = 250;
/** How long a process that held the writer's lock is assumed to be at work, milliseconds. */
export const writerTrustMs = 2;
/** Quiet databases checked by each tick, in turn, in case the kernel does not report a write. */
export const quietPerTick = 4;
/** How long a cut waits for a transaction that may have committed one of several databases, milliseconds. */
export const attachedWaitMsMax = 250;
/** The minimum after unnecessary waits. */
export const attachedWaitMsMin = 5;
/** Longest search without a pause for the gap between two transactions over several databases, milliseconds. */
export const attachedSpinMs = 4;
/** Unused databases that one tick closes: each takes a fraction of a millisecond. */
export const closedPerTick = 4;
/** Databases attached at the start before they are examined: those that no process has open are closed again then. */
export const openAtStartMax = 500;

/** Descriptors of an open, idle database: the file, its log and the log's index. */
const descriptorsPerDatabase = 3;
/** While it is written, a second connection also has the file and the log open; briefly there are two more. */
const descriptorsPerWritten = 5;

/**
 * Returns the descriptors for this many databases that an application keeps open at the same time; closed ones cost
 * none.
 */
export const descriptorsFor = (databases: number): number => databases * descriptorsPerDatabase;
/** Same while it writes to all of them. */
export const descriptorsInUse = (databases: number): number => databases * descriptorsPerWritten;
/** Descriptors of a host beside its databases: some 30 for itself, and for its clients' connections. */
export const hostDescriptors = 64;
/** Share of a limit from which on there is a warning. */
export const warnShare = 0.8;

/** Every bound of capture, in one place, with its unit in its name. */

export interface SourceLimits {
  /** Page content in one part of a batch (one commit record), bytes; a part holds at least one page. */
  readonly partBytesMax: number;
  /**
   * Batches up to this size keep their pages in memory, so that they hold no pin while they are being journaled, bytes.
   */
  readonly eagerBytesMax: number;
  /**
   * A write-ahead log longer than this is backfilled, so that it starts over in the next gap between two writes, bytes.
   */
  readonly walTidyBytes: number;
  /**
   * Longer than this, and writers leave no gap: it is sealed under the write lock, bytes. An application without a busy
   * timeout can meet SQLITE_BUSY then, so this is the last resort and not the rule.
   */
  readonly walSealBytes: number;
  /** A seal leaves at most this to be captured, and at most as much to be backfilled, under the write lock, bytes. */
  readonly sealBacklogBytesMax: number;
  /** What a collection before a seal may keep in memory, bytes of frames. */
  readonly sealKeepBytesMax: number;
  /** How long the write lock is tried for, on the event loop, milliseconds. Trying makes nobody wait. */
  readonly sealLockMs: number;
  /** Wait after a seal that application readers did not let through; doubles up to the maximum, milliseconds. */
  readonly sealRetryMs: number;
  readonly sealRetryMsMax: number;
  /** A pin is taken anew at least this often, even when nothing seems to ask for it, milliseconds. */
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
  /**
   * So many databases are looked at by each look of the gate; when there are more, those in which nothing happens are
   * left out.
   */
  readonly lookedAtMax: number;
  /**
   * A database in which nothing happened for so long is quiet, milliseconds. Several times `pinAgeMsMax`: its pin was
   * taken anew while nobody made a checkpoint, and lets those that come get through.
   */
  readonly quietAfterMs: number;
  /** One that is quiet and that nobody else has open is closed when nothing happened for so long, milliseconds. */
  readonly dormantAfterMs: number;
}

export const defaultLimits: SourceLimits = {
  partBytesMax: 4 * 1024 * 1024,
  eagerBytesMax: 16 * 1024 * 1024,
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
 * SQLite's busy handler asks again after so long at most (sqliteDefaultBusyCallback), with some time to be scheduled,
 * milliseconds.
 */
export const busyPollMsMax = 110;
/** Longest run on the event loop without a yield while large amounts are read, milliseconds. */
export const sliceMs = 4;
/** One read of WAL frames or database pages, bytes. */
export const readChunkBytes = 512 * 1024;
/**
 * How long the write lock is held, milliseconds: nothing is begun under it any more after this, and what is begun takes
 * well under a millisecond for each `sealBacklogBytesMax`.
 */
export const writeLockMsMax = 5;
/** Collections in a row that try to catch up with writers before a seal: each leaves less, or they are too quick. */
export const sealRoundsMax = 6;
/** A longer backfill is not done on the event loop, bytes. About 6 ms of a page cache's time. */
export const backfillHereBytesMax = 8 * 1024 * 1024;
/**
 * Databases whose files are looked at beside their WAL index at each look of the gate; of more, the next ones each
 * time.
 */
export const suspectsPerLook = 4;
/** How long a process may have a database locked before it uses its WAL index: it is opening it, milliseconds. */
export const elsewhereMsMax = 1000;
/**
 * A database is audited (identity of its files, who uses it) at most this often while the service is idle,
 * milliseconds.
 */
export const auditMs = 100;
/** A list of locks that is longer (that of some hundred open databases) is read less often, characters. */
export const longLockList = 64 * 1024;
/**
 * A log that is this long and cannot start over is told to operators, bytes; and how often that is looked for,
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
 * How often the list of locks is read besides, for what it alone tells: all users of a database, and databases that no
 * pattern matches, milliseconds.
 */
export const listMs = 2_000;
/**
 * Databases whose users the kernel is asked for every `auditMs`, two microseconds each; with more of them the audits
 * are rarer.
 */
export const askedPerAudit = 250;
/** A process that held the lock of the writer is believed to be at work for so long, milliseconds. */
export const writerTrustMs = 2;
/** Quiet databases that are looked at by each tick, in turn: a second look, should the kernel not tell of a write. */
export const quietPerTick = 4;
/** How long a cut waits for a transaction that may have committed one of several databases, milliseconds. */
export const attachedWaitMsMax = 250;
/** And after waits that were for nothing at least. */
export const attachedWaitMsMin = 5;
/** Longest look without a pause for the gap between two transactions over several databases, milliseconds. */
export const attachedSpinMs = 4;
/** Databases that are closed by one tick because nobody uses them: each takes a fraction of a millisecond. */
export const closedPerTick = 4;
/**
 * Databases that are attached before they are looked through, at the start: those that nobody has open are closed again
 * then.
 */
export const openAtStartMax = 500;

/** A database that is open and idle costs so many: the file, its log and the log's index. */
const descriptorsPerDatabase = 3;
/**
 * While something is written there, a second connection has the file and the log open too; for moments there are two
 * more.
 */
const descriptorsPerWritten = 5;

/**
 * Descriptors for so many databases that an application keeps open at the same time; those that nobody has open cost
 * none.
 */
export const descriptorsFor = (databases: number): number => databases * descriptorsPerDatabase;
/** The same while it writes into all of them. */
export const descriptorsInUse = (databases: number): number => databases * descriptorsPerWritten;
/** Descriptors of a host beside its databases: some 30 for itself, and for its clients' connections. */
export const hostDescriptors = 64;
/** From this share of a limit on there is a warning. */
export const warnShare = 0.8;

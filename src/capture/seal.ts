/**
 * Keeping the WAL short, and applications that checkpoint themselves moving.
 *
 * A writer starts the WAL over when everything is backfilled and no reader is on slots 1..4. Between two commits that
 * leave a gap, `tidy` (every few milliseconds) gets there without locks: move the pin, backfill, move the pin to slot
 * 0. Writers that never leave a gap append before that, so a WAL over its limit is sealed: under `BEGIN IMMEDIATE` no
 * other process commits, the little that is left is captured, the backfill completes, and the pin goes to slot 0.
 *
 * A writer without a busy timeout meets SQLITE_BUSY as long as that lock is held. The lock is therefore requested only
 * if the seal will succeed quickly: everything up to the last cut is captured and backfilled by then, without a lock,
 * and application readers did not hold that back. The remainder is checked again under the lock; if it is too much or
 * takes longer than `writeLockMsMax`, the lock is released and the seal waits. Trying for the lock delays no writer.
 *
 * Another thread does long backfills (backfiller.ts); nothing is sealed meanwhile.
 */
import type { Clock } from "../runtime/clock.ts";
import { messageOf } from "../runtime/operator-error.ts";
import type { Backfiller } from "./backfiller.ts";
import { faultOf } from "./fault.ts";
import { backfillHereBytesMax, type SourceLimits, writeLockMsMax } from "./limits.ts";
import type { TrackedDatabase } from "./tracked-database.ts";
import type { WalIndex } from "./wal-index.ts";

export interface Housekeeping {
  readonly limits: SourceLimits;
  readonly clock: Clock;
  readonly backfiller: Backfiller;
  readonly onWarning: (text: string) => void;
}

/**
 * Prepares the seal of a database whose WAL is over its limit: backfills what is captured. `ready`: the rest would take
 * only a moment, so its writers may be locked. `behind`: its writers were quicker; a further collection may help. Call
 * it after a collection, while nothing of it is read through the pin.
 */
export function prepareSeal(database: TrackedDatabase, house: Housekeeping): "ready" | "behind" | "no" {
  return orPostpone(database, house, () => prepare(database, house)) ?? "no";
}

/**
 * Keeping a log short is not needed for committed data: a disk error only postpones it. SQLite counts as backfilled
 * only what it could write.
 */
function orPostpone<T>(database: TrackedDatabase, house: Housekeeping, work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    return putOff(database, house, error);
  }
}

/** Postpones after a transient error; throws all others. */
export function putOff(
  database: TrackedDatabase,
  { clock, limits, onWarning }: Housekeeping,
  error: unknown,
): undefined {
  const fault = faultOf(error);
  if (fault === undefined) throw error;
  postpone(database, clock.now(), limits);
  onWarning(`${database.name}: its write-ahead log cannot be kept short now: ${messageOf(fault)}`);
}

function prepare(database: TrackedDatabase, house: Housekeeping): "ready" | "behind" | "no" {
  const { limits, clock } = house;
  if (!isOver(database, clock.now(), limits.walSealBytes)) return "no";
  for (let tries = 1; ; tries++) {
    const index = database.look();
    if (index === undefined || database.pin.letsRestart(index)) return "no";
    if (capturedToBackfill(database, index) <= limits.sealBacklogBytesMax)
      return database.backlogBytes(index) <= limits.sealBacklogBytesMax ? "ready" : "behind";
    if (tries > 1) {
      // Application readers hold it back, or another checkpoint is in progress.
      postpone(database, clock.now(), limits);
      return "no";
    }
    if (startBackfill(database, index, house) === "aside") return "no";
  }
}

/** True if collections of this database may keep more in memory, so that it can be sealed after them. */
export function isSealDue(database: TrackedDatabase, { clock, limits }: Housekeeping): boolean {
  // The length as captured: this is asked for each flush, and another look would cost more than it tells.
  return database.captured !== undefined && isOver(database, clock.now(), limits.walSealBytes, database.captured);
}

/** Locks the writers; retries for a moment, because the gaps that busy writers leave are microseconds long. */
export function lockForSeal(database: TrackedDatabase, house: Housekeeping): boolean {
  const giveUpMs = performance.now() + house.limits.sealLockMs;
  const lock = (): boolean => {
    do {
      if (database.files.tryLockWriters()) return true;
    } while (performance.now() < giveUpMs);
    return false;
  };
  return orPostpone(database, house, lock) ?? false;
}

/** Writers are locked and everything is captured: completes the backfill and pins slot 0. */
export function seal(database: TrackedDatabase, house: Housekeeping): void {
  if (!database.files.areWritersLocked) throw new Error("a seal needs the write lock");
  orPostpone(database, house, () => sealNow(database, house));
}

function sealNow(database: TrackedDatabase, { clock, limits }: Housekeeping): void {
  const { files, pin } = database;
  const isShort = files.lockedForMs < writeLockMsMax && !database.isAhead();
  // A complete checkpoint of ours held the checkpoint lock, so no other is about to let go of slot 0 when the pin is
  // taken.
  if (isShort && files.backfill().complete && pin.begin(clock.now())) {
    pin.advance();
    database.sealRetryMs = 0;
  } else postpone(database, clock.now(), limits);
}

/**
 * Housekeeping of one database; never passes anything that is not captured. Returns true if nothing happens in it and
 * nothing has for a while: it may rest.
 */
export function tidy(database: TrackedDatabase, house: Housekeeping): boolean {
  return orPostpone(database, house, () => keepShort(database, house)) ?? false;
}

function keepShort(database: TrackedDatabase, house: Housekeeping): boolean {
  const { limits, clock } = house;
  if (database.captured === undefined || database.holds > 0) return false;
  const nowMs = clock.now();
  let index = database.look();
  if (index === undefined) return false;
  if (index.nBackfill < index.mxFrame && isOver(database, nowMs, limits.walTidyBytes)) {
    movePin(database, nowMs);
    if (startBackfill(database, index, house) === "incomplete" && !database.isAhead())
      postpone(database, nowMs, limits);
    index = database.look();
  }
  if (index === undefined) return false;
  const isKeptOut = database.watch.isWriterKeptOut;
  const isStill = isKeptOut !== true && database.isStill(nowMs, limits.quietAfterMs);
  const mayGrowOld = isKeptOut === false && isStill;
  const ageMsMax = mayGrowOld ? Number.POSITIVE_INFINITY : limits.pinAgeMsMax;
  if (isPinDue(database, index, { nowMs, ageMsMax, isKeptOut })) movePin(database, nowMs);
  return isStill;
}

/**
 * A checkpoint of the application that keeps the writers out may be waiting for this very pin, wherever it is: one that
 * was just finishing pushes a reader from slot 0 to another slot, which nothing here shows. The pin is therefore moved
 * at each look for as long as there is such a checkpoint. If that is not reported, pins are renewed by age (while
 * frames remain to be copied, see `mayMovePin`); if it is, an idle database needs no second connection for its pin's
 * age.
 */
function isPinDue(database: TrackedDatabase, index: WalIndex, { nowMs, ageMsMax, isKeptOut }: PinLook): boolean {
  // Called at each look, so that it knows since when.
  const mayMove = database.mayMovePin(nowMs, isKeptOut);
  return isKeptOut === true ? mayMove : database.pin.isDue(index, nowMs, ageMsMax);
}

interface PinLook {
  readonly nowMs: number;
  readonly ageMsMax: number;
  /** `FileWatch.isWriterKeptOut`. */
  readonly isKeptOut: boolean | undefined;
}

/** Backfills here, or starts it in the other thread (`aside`). */
export function startBackfill(
  database: TrackedDatabase,
  index: WalIndex,
  { backfiller, clock, limits, onWarning }: Housekeeping,
): "complete" | "incomplete" | "aside" {
  if (capturedToBackfill(database, index) <= backfillHereBytesMax)
    return database.files.backfill().complete ? "complete" : "incomplete";
  const put = (): void => {
    database.backfilling = undefined;
  };
  const putOff = (error?: Error): void => {
    put();
    postpone(database, clock.now(), limits);
    if (error !== undefined)
      onWarning(`${database.name}: its write-ahead log could not be backfilled: ${error.message}`);
  };
  database.files.noteOther();
  database.backfilling = backfiller.backfill(database.files.place).then(({ ran }) => (ran ? put() : putOff()), putOff);
  return "aside";
}

/** True if its log is longer than this, and it is time to act. */
function isOver(database: TrackedDatabase, nowMs: number, bytesMax: number, at?: Pick<WalIndex, "mxFrame">): boolean {
  if (
    database.captured === undefined ||
    database.holds > 0 ||
    database.backfilling !== undefined ||
    nowMs < database.sealAfterMs
  )
    return false;
  const index = at ?? database.look();
  return index !== undefined && database.walBytes(index) > bytesMax;
}

/** Bytes of frames that are captured and not in the database file. */
function capturedToBackfill(database: TrackedDatabase, index: WalIndex): number {
  return Math.max(0, (index.mxFrame - index.nBackfill) * database.pageSize - database.backlogBytes(index));
}

/** Waits longer each time before the next try. */
function postpone(database: TrackedDatabase, nowMs: number, limits: SourceLimits): void {
  database.sealRetryMs = Math.min(limits.sealRetryMsMax, Math.max(limits.sealRetryMs, database.sealRetryMs * 2));
  database.sealAfterMs = nowMs + database.sealRetryMs;
}

/** Moves the pin to the newest state, if that is captured. */
function movePin(database: TrackedDatabase, nowMs: number): void {
  const { pin } = database;
  if (database.isAhead() || !database.mayMovePin(nowMs) || !pin.begin(nowMs)) return;
  // Checked after the new pin began: not ahead means that its state is captured.
  if (database.isAhead()) pin.cancel();
  else pin.advance();
}

/**
 * Closes what a database does not need while idle: one connection remains, with the pin. Returns false if not possible
 * now.
 */
export function rest(database: TrackedDatabase, nowMs: number): boolean {
  const { pin, files } = database;
  if (!pin.isAtHome) movePin(database, nowMs);
  if (!pin.isAtHome) return false;
  files.rest();
  return true;
}

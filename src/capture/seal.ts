/**
 * Keeping the WAL short, and applications that checkpoint themselves moving.
 *
 * A writer starts the WAL over when everything is backfilled and no reader is on slots 1..4. Between two commits that
 * leave a gap, `tidy` (every few milliseconds) gets there without locks: move the pin, backfill, move the pin to slot 0.
 * Writers that never leave a gap append before that, so a WAL over its limit is sealed: under `BEGIN IMMEDIATE` nobody
 * commits, the collection takes the little that is left, the backfill completes, and the pin goes to slot 0. The bulk of
 * the backfill was done before by `tidy`. When application readers hold the backfill back, nothing insists: later again.
 */
import type { Clock } from "../runtime/clock.ts";
import { sealBackfillTries, type SourceLimits } from "./limits.ts";
import type { TrackedDatabase } from "./tracked-database.ts";

/** The database's WAL is over its limit, and a seal would take only a moment. */
export function sealDue(database: TrackedDatabase, nowMs: number, limits: SourceLimits): boolean {
  if (database.captured === undefined || database.holds > 0 || nowMs < database.sealAfterMs) return false;
  const index = database.look();
  if (index === undefined || database.walBytes(index) <= limits.walSealBytes) return false;
  // A log that got much too long anyway is worth a longer stall: it slows down writers that outrun the capture.
  const backlogMax = Math.min(limits.sealBytesMax, Math.max(limits.sealBacklogBytesMax, database.walBytes(index) / 4));
  return !database.pin.letsRestart(index) && database.backlogBytes(index) <= backlogMax;
}

/**
 * Locks the writers of a database whose seal is due. Tried again and again for a moment, because the gaps that busy writers
 * leave are microseconds long; the longer the log, the longer the moment. False: at the next collection.
 */
export function lockForSeal(database: TrackedDatabase, limits: SourceLimits): boolean {
  const index = database.look();
  if (index === undefined) return false;
  const overLimit = database.walBytes(index) / limits.walSealBytes;
  const giveUpMs = performance.now() + Math.min(limits.sealLockMsMax, limits.sealLockMs * overLimit);
  do {
    if (database.files.tryLockWriters()) return true;
  } while (performance.now() < giveUpMs);
  return false;
}

/** Writers are locked and everything is captured: completes the backfill and pins slot 0. False: try later. */
export async function seal(database: TrackedDatabase, clock: Clock): Promise<boolean> {
  const { files, pin } = database;
  if (!files.writersLocked) throw new Error("a seal needs the write lock");
  if (database.holds > 0 || database.isAhead()) return false;
  for (let tries = 1; ; tries++) {
    const { ran, complete } = files.backfill();
    if (complete) break;
    // Application readers hold it back, or another checkpoint is under way and will be over soon.
    if (ran || tries === sealBackfillTries) return false;
    await clock.sleep(1);
  }
  // The checkpoint of ours held the checkpoint lock, so no other is about to let go of slot 0 when the pin is taken.
  if (!pin.begin(clock.now())) return false;
  pin.advance();
  return true;
}

/** Wait longer each time before the next try. */
export function postponeSeal(database: TrackedDatabase, nowMs: number, limits: SourceLimits): void {
  database.sealRetryMs = Math.min(limits.sealRetryMsMax, Math.max(limits.sealRetryMs, database.sealRetryMs * 2));
  database.sealAfterMs = nowMs + database.sealRetryMs;
}

/** Housekeeping of one database; never passes anything that is not captured. */
export function tidy(database: TrackedDatabase, nowMs: number, limits: SourceLimits): void {
  if (database.captured === undefined || database.holds > 0) return;
  let index = database.look();
  if (index === undefined) return;
  if (database.walBytes(index) > limits.walTidyBytes && index.nBackfill < index.mxFrame && nowMs >= database.sealAfterMs) {
    movePin(database, nowMs);
    const { complete } = database.files.backfill();
    if (!complete && !database.isAhead()) postponeSeal(database, nowMs, limits);
    index = database.look();
  }
  if (index !== undefined && database.pin.isDue(index, nowMs, limits.pinAgeMsMax)) movePin(database, nowMs);
}

/** Moves the pin to the newest state, if that is captured. */
function movePin(database: TrackedDatabase, nowMs: number): void {
  const { pin } = database;
  if (database.isAhead() || !pin.begin(nowMs)) return;
  // Looked at after the new pin began: not ahead means that its state is captured.
  if (database.isAhead()) pin.cancel();
  else pin.advance();
}

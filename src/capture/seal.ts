/**
 * Keeping the WAL short, and applications that checkpoint themselves moving.
 *
 * A writer starts the WAL over when everything is backfilled and no reader is on slots 1..4. Between two commits that
 * leave a gap, `tidy` (every few milliseconds) gets there without locks: move the pin, backfill, move the pin to slot 0.
 * Writers that never leave a gap append before that, so a WAL over its limit is sealed: under `BEGIN IMMEDIATE` nobody
 * commits, the collection takes the little that is left, the backfill completes, and the pin goes to slot 0. The bulk of
 * the backfill was done before by `tidy`. When application readers hold the backfill back, nothing insists: later again.
 */
import type { SourceLimits } from "./limits.ts";
import type { TrackedDatabase } from "./tracked-database.ts";

/** The database's WAL is over its limit, and a seal would take only a moment. */
export function sealDue(database: TrackedDatabase, nowMs: number, limits: SourceLimits): boolean {
  if (database.captured === undefined || database.holds > 0 || nowMs < database.sealAfterMs) return false;
  const index = database.look();
  if (index === undefined || database.walBytes(index) <= limits.walSealBytes) return false;
  return !database.pin.letsRestart(index) && database.backlogBytes(index) <= limits.sealBacklogBytesMax;
}

/** Those of the candidates whose writers could be locked just now; nobody waits. */
export function lockForSeal(candidates: readonly TrackedDatabase[]): TrackedDatabase[] {
  return candidates.filter(({ files }) => files.tryLockWriters());
}

/** Writers are locked and everything is captured: completes the backfill and pins slot 0. False: try later. */
export function seal(database: TrackedDatabase, nowMs: number): boolean {
  const { files, pin } = database;
  if (!files.writersLocked) throw new Error("a seal needs the write lock");
  if (database.holds > 0 || database.isAhead()) return false;
  // The checkpoint of ours held the checkpoint lock, so no other is about to let go of slot 0 when the pin is taken.
  if (!files.backfill().complete || !pin.begin(nowMs)) return false;
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
  if (database.walBytes(index) > limits.walSealBytes && index.nBackfill < index.mxFrame && nowMs >= database.sealAfterMs) {
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

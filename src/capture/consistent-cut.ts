/**
 * One instant over all databases of a service, without stopping writers.
 *
 * Every index is read, then every index again (double collect): if none changed, all had these values at the instant
 * between the two passes, because a position never returns once it was left. If writers are too quick for that, the
 * databases that keep changing are locked against commits one after the other (`BEGIN IMMEDIATE`, tried and never
 * waited for on the event loop) until a pass is quiet; for `writeLockMsMax` at most, then it starts over. `undisturbed`
 * joins the set of files to the same instant. That instant must not be in the middle of a commit over several
 * databases: attached-commits.ts.
 */
import type { Clock } from "../runtime/clock.ts";
import type { AttachedCommits } from "./attached-commits.ts";
import { CaptureError } from "./capture-error.ts";
import { naming } from "./fault.ts";
import { writeLockMsMax } from "./limits.ts";
import type { TrackedDatabase } from "./tracked-database.ts";
import type { WalIndex } from "./wal-index.ts";

export type Cut = ReadonlyMap<TrackedDatabase, WalIndex>;

const quickRounds = 20;

/** Undefined: the set of files changed; attach or drop, then try again. Throws `CaptureError` after `settleMsMax`. */
export async function consistentCut(
  databases: readonly TrackedDatabase[],
  commits: AttachedCommits,
  undisturbed: () => boolean,
  clock: Clock,
  settleMsMax: number,
): Promise<Cut | undefined> {
  const giveUpMs = clock.now() + settleMsMax;
  commits.forget();
  const locked: TrackedDatabase[] = [];
  try {
    for (let round = 1; ; round++) {
      const { cut, restless, areSettled } = collectTwice(databases, commits);
      if (!undisturbed()) return undefined;
      if (restless.length === 0 && (areSettled || commits.isOverdue(clock.now()))) return cut;
      if (restless.length === 0) {
        await clock.sleep(1);
        continue;
      }
      if (round % quickRounds !== 0) continue;
      if (clock.now() > giveUpMs) throw neverQuiet(restless, settleMsMax);
      if (locked.some(({ files }) => files.lockedForMs > writeLockMsMax)) unlock(locked);
      else if (quieten(restless, locked)) continue;
      await clock.sleep(1);
    }
  } finally {
    unlock(locked);
  }
}

/** Returns the cut if no commit is in progress; never waits. */
export function takeCutNow(
  databases: readonly TrackedDatabase[],
  commits: AttachedCommits,
  undisturbed: () => boolean,
): Cut | undefined {
  commits.forget();
  const { cut, restless, areSettled } = collectTwice(databases, commits);
  return restless.length === 0 && areSettled && undisturbed() ? cut : undefined;
}

function collectTwice(
  databases: readonly TrackedDatabase[],
  commits: AttachedCommits,
): { readonly cut: Cut; readonly restless: readonly TrackedDatabase[]; readonly areSettled: boolean } {
  const restless: TrackedDatabase[] = [];
  const cut = new Map<TrackedDatabase, WalIndex>();
  for (const database of databases) {
    const index = naming(database.name, () => database.look());
    if (index === undefined) restless.push(database);
    else cut.set(database, index);
  }
  const areSettled = commits.areSettled(cut);
  // What one index said was so at one instant; `undisturbed` is asked behind it.
  if (databases.length > 1)
    for (const [database, index] of cut) {
      if (!database.index.isAt(index.salt1, index.salt2, index.mxFrame)) restless.push(database);
    }
  return { cut, restless, areSettled };
}

/** Returns true if another one is now locked. */
function quieten(restless: readonly TrackedDatabase[], locked: TrackedDatabase[]): boolean {
  const before = locked.length;
  for (const database of restless) {
    // Any read repairs an index that a dead writer left torn; so does the attempt to lock.
    if (!database.files.areWritersLocked && database.files.tryLockWriters()) locked.push(database);
  }
  return locked.length > before;
}

function unlock(locked: TrackedDatabase[]): void {
  for (const { files } of locked.splice(0)) files.unlockWriters();
}

function neverQuiet(restless: readonly TrackedDatabase[], waitedMs: number): CaptureError {
  return new CaptureError({
    kind: "locked",
    database: restless.map(({ name }) => name).join(", "),
    found: `a WAL index that was torn or changing for ${waitedMs} ms, under a write lock that could not be had`,
    accepted: "a moment without commits",
    advice: "Look for a process that is stopped (SIGSTOP, debugger) in the middle of a write.",
  });
}

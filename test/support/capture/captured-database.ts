/** One database that is attached and captured, without the rest of a source. */
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { attach } from "../../../src/capture/attach.ts";
import { pathOf } from "../../../src/capture/data-path.ts";
import { DormantDatabase } from "../../../src/capture/dormant-database.ts";
import { identityAt } from "../../../src/capture/file-identity.ts";
import { FileLocks } from "../../../src/capture/file-locks.ts";
import type { TrackedDatabase } from "../../../src/capture/tracked-database.ts";
import { UnfinishedCommits } from "../../../src/capture/unfinished-commits.ts";
import { WriteLocks } from "../../../src/capture/write-locks.ts";
import { allRules } from "../../../src/core/rules.ts";
import { noMetrics } from "../../../src/metrics/metrics.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { EventLoopBudget } from "../../../src/runtime/event-loop-budget.ts";

/** A database that is captured, and that no other process has open. */
export async function captured(folder: string): Promise<TrackedDatabase> {
  const path = join(folder, "app.db");
  const made = new DatabaseSync(path);
  made.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  made.close();
  const file = pathOf(folder, "app.db");
  const identity = identityAt(file);
  if (identity === undefined) throw new Error("there is no file");
  let database: TrackedDatabase | undefined;
  attach({
    name: "app.db",
    file: { path: file, isLink: false, identity, size: 1 },
    writeLocks: new WriteLocks(noMetrics.histogram("stead_capture_lock_seconds", {})),
    unfinished: new UnfinishedCommits(),
    isAtStart: true,
    rules: allRules,
    clock: systemClock,
    onWarning: () => undefined,
    onAttached: (attached) => (database = attached),
  });
  const index = database?.look();
  if (database === undefined || index === undefined) throw new Error("it was not attached");
  const changes = await database.read(index, "again", new EventLoopBudget());
  if (changes === undefined) throw new Error("it is not whole");
  database.accept(changes);
  const locks = FileLocks.now();
  if (locks !== undefined) database.watch.audit(locks);
  // Until then its stamp could be that of a later write.
  while (DormantDatabase.of("app.db", file, database.pageHashes, systemClock.wallTime()) === undefined)
    await Bun.sleep(5);
  return database;
}

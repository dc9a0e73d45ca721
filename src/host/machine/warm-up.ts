/**
 * Opens capture on a database of this host's own before it is needed. The first time in a process loads and compiles
 * what a promotion uses and takes some twenty times as long as later ones. A host mostly becomes primary once in its
 * process's life, so the clients of each failover would wait for that.
 */
import { mkdir, rm } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { join } from "node:path";
import { Source } from "../../capture/source.ts";
import { allRules } from "../../core/rules.ts";
import type { Clock } from "../../runtime/clock.ts";
import { messageOf } from "../../runtime/operator-error.ts";

const folderName = "warm-up";
const databaseName = "warm-up.db";
/** The second one still compiles some. */
const openings = 3;

export interface WarmUpOptions {
  /** It has a folder there meanwhile. */
  readonly stateFolder: string;
  readonly clock: Clock;
  /** It failed. Nothing depends on it, but what failed is what a promotion does. */
  onWarning(text: string): void;
}

export async function warmUpCapture({ stateFolder, clock, onWarning }: WarmUpOptions): Promise<void> {
  const root = join(stateFolder, folderName);
  try {
    // A run that was killed may have left it.
    await rm(root, { recursive: true, force: true });
    await mkdir(root);
    for (let each = 0; each < openings; each++) await captureOnce(root, { clock, onWarning });
    await rm(root, { recursive: true });
  } catch (error) {
    onWarning(`capture could not be tried in ${root}: ${messageOf(error)}`);
  }
}

async function captureOnce(root: string, { clock, onWarning }: Omit<WarmUpOptions, "stateFolder">): Promise<void> {
  const application = new DatabaseSync(join(root, databaseName));
  try {
    application.exec("PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS tried (text TEXT)");
    const source = await Source.open({ root, databases: [databaseName], clock, rules: allRules, onWarning });
    try {
      application.exec("INSERT INTO tried VALUES ('once')");
      const batch = source.isAhead() ? await source.collect() : undefined;
      if (batch === undefined || [...batch.parts()].length === 0) throw new Error("a commit was not seen");
      batch.done();
      await source.tick();
    } finally {
      await source.close();
    }
  } finally {
    application.close();
  }
}

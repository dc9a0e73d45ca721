/** The check of what lies in the data folder before it becomes the first checkpoint, on this machine. */
import { statSync } from "node:fs";
import { pathOf } from "../../capture/data-path.ts";
import type { CheckDepth, CheckedDatabase } from "../../capture/integrity.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Warnings } from "../ports/warnings.ts";
import { checkBeforeBootstrap } from "./bootstrap-check.ts";
import { CheckProgress } from "./check-progress.ts";
import { checkDatabases } from "./integrity-check.ts";

export interface DatabaseCheckOptions {
  /** The data folder. */
  readonly root: string;
  readonly depth: CheckDepth;
  readonly acceptDamaged: boolean;
  /** Starts the process that checks. */
  readonly command: readonly [string, ...string[]];
  readonly find: () => Promise<readonly string[]>;
  readonly clock: Clock;
}

type DatabaseCheck = (
  tell: (text: string) => void,
  warnings: Pick<Warnings, "warn">,
  signal: AbortSignal,
) => Promise<void>;

export const databaseCheck =
  ({ root, depth, acceptDamaged, command, find, clock }: DatabaseCheckOptions): DatabaseCheck =>
  async (tell, warnings, signal) => {
    const names = await find();
    if (names.length === 0) return;
    const bytesOf = (name: string) => statSync(pathOf(root, name), { throwIfNoEntry: false })?.size;
    const progress = new CheckProgress({ names, bytesOf, clock, tell });
    const check = (): Promise<CheckedDatabase[]> =>
      checkDatabases({ command, root, depth, names, onProgress: progress.checked, signal });
    try {
      await checkBeforeBootstrap({ depth, acceptDamaged, check, onWarning: (text) => warnings.warn(text) });
    } finally {
      progress.close();
    }
  };

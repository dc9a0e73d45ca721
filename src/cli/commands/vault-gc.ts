/** `stead vault gc`: lists what is no longer needed in a vault, and removes it if that is asked for. */
import type { RetentionPolicy } from "../../core/retention.ts";
import { allRules } from "../../core/rules.ts";
import { newestAnnounced } from "../../vault/checkpoint/newest-announced.ts";
import { type Collected, collectGarbage } from "../../vault/checkpoint/retention.ts";
import { openLog } from "../../vault/log/open-log.ts";
import { readIdentity } from "../../vault/store/identity.ts";
import { type ExitCode, exitCodes } from "../output/exit-codes.ts";
import { unknownIdentity, type VaultCommand, withVault } from "./vault.ts";

export interface GcCommand extends VaultCommand {
  readonly policy: RetentionPolicy;
  /** Wall-clock time. */
  readonly nowMs: number;
  /** Default true: only list what would be removed. */
  readonly dryRun?: boolean;
}

/** Returns `refused` if nothing may be removed because there is no announced checkpoint. */
export async function vaultGc(command: GcCommand): Promise<{ exitCode: ExitCode; collected: Collected | undefined }> {
  const dryRun = command.dryRun ?? true;
  const collected = await withVault(command, async ({ store, keys }) => {
    const identity = await readIdentity(store);
    const log = openLog(store, identity ?? unknownIdentity, { keys });
    const announced = await newestAnnounced(store, log);
    if (announced === undefined) return undefined;
    const { policy, nowMs, signal } = command;
    return collectGarbage({
      store,
      log,
      newest: announced.manifest,
      logPosition: announced.logPosition,
      policy,
      nowMs,
      rules: allRules,
      dryRun,
      signal,
    });
  });
  if (command.json === true) command.out(JSON.stringify({ dryRun, collected: collected ?? null }));
  else printCollected(collected, dryRun, command.out);
  return { exitCode: collected === undefined ? exitCodes.refused : exitCodes.ok, collected };
}

function printCollected(collected: Collected | undefined, dryRun: boolean, out: (line: string) => void): void {
  if (collected === undefined) {
    out("nothing is removed: the log announces no checkpoint, so everything is needed");
    return;
  }
  const { plan, records, checkpoints, chunks, recordsKept } = collected;
  out(
    `kept         checkpoints ${plan.kept.join(", ")} and the journal after position ${plan.boundary}; ${recordsKept} claims before it`,
  );
  out(
    `${dryRun ? "would go    " : "removed     "} ${records.length} records, ${checkpoints.length} checkpoints, ${chunks.length} chunks`,
  );
  if (dryRun) out("Nothing was removed: this was a dry run.");
}

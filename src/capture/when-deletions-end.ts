/**
 * Deleting a database deletes three files, in any order: in between it looks like a database whose companions were
 * removed.
 */
import type { Clock } from "../runtime/clock.ts";
import type { ActiveDatabases } from "./active-databases.ts";
import type { Discovery } from "./discovery.ts";
import { sameFile } from "./file-identity.ts";
import type { SourceLimits } from "./limits.ts";
import { companionsGone } from "./refusals.ts";

const retryMs = 2;

/** Resolves once no database is half deleted. Throws `CaptureError` if one stays so, or has other companions. */
export async function whenDeletionsEnd(
  active: ActiveDatabases,
  discovery: Discovery,
  { clock, limits }: { readonly clock: Clock; readonly limits: SourceLimits },
): Promise<void> {
  const giveUpMs = clock.now() + limits.deletionMsMax;
  for (const { name, files } of active) {
    for (;;) {
      active.hear();
      const companions = files.companions();
      const file = discovery.refresh().get(name);
      if (companions === "same" || file === undefined || !sameFile(file.identity, files.identity)) break;
      if (companions === "replaced" || clock.now() > giveUpMs) throw companionsGone(name);
      await clock.sleep(retryMs);
    }
  }
}

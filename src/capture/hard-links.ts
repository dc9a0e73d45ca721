/** Finds the second name of a file with several (hard links), so that an operator need not search for it. */
import { lstatSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import type { DatabaseFiles } from "./database-files.ts";
import { identityOf, sameFile } from "./file-identity.ts";
import { linkSearchEntriesMax } from "./limits.ts";

/**
 * Searches the folder of the file, those below it and the one above; returns undefined if the other name is elsewhere.
 */
export function otherNameOf({ path: itself, identity }: Pick<DatabaseFiles, "path" | "identity">): string | undefined {
  const path = itself.toString();
  const folder = dirname(path);
  const folders = [folder, dirname(folder)];
  for (let looked = 0; folders.length > 0 && looked < linkSearchEntriesMax; ) {
    const next = folders.shift() ?? "";
    for (const entry of entriesOf(next)) {
      looked += 1;
      const candidate = join(next, entry);
      const stats = lstatSync(candidate, { bigint: true, throwIfNoEntry: false });
      if (stats === undefined || candidate === path) continue;
      if (stats.isDirectory() && candidate !== folder) folders.push(candidate);
      if (stats.isFile() && sameFile(identityOf(stats), identity)) return candidate;
    }
  }
  return undefined;
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

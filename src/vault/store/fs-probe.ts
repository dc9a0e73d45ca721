/**
 * Tests whether a folder offers what a vault needs, once, at open, by doing it: writing, fsync of file and folder, and
 * above all exclusive creation (the second link() to one name must fail and leave the first content).
 *
 * One process cannot prove that two machines exclude each other, but this finds the file systems that get it wrong (no
 * hard links, links that overwrite, links emulated by copying).
 */
import type { Stats } from "node:fs";
import fs from "node:fs/promises";
import { join } from "node:path";
import { errnoOf, storeErrorOf } from "./fs-error.ts";
import { temporaryFolder } from "./fs-temporaries.ts";
import { staleTemporaryMs } from "../limits.ts";
import { StoreError } from "./store.ts";

/** Types of file systems that no other machine can change under us (statfs(2)); any other may be shared. */
const localTypes = new Set([0xef53, 0x58465342, 0x9123683e, 0x01021994, 0x794c7630, 0x2fc12fc1, 0xf2f52010]);

export interface FolderProbe {
  /** It may be a network file system: a missing name may come from a cache. */
  readonly network: boolean;
}

/**
 * Throws StoreError with advice. `name` is unique to this probe. Leaves nothing behind, and removes stale temporaries.
 */
export async function probeFolder(folder: string, name: string): Promise<FolderProbe> {
  const temporaries = join(folder, temporaryFolder);
  const paths = [
    join(temporaries, `${name}-a`),
    join(temporaries, `${name}-b`),
    join(temporaries, `${name}-c`),
  ] as const;
  try {
    const now = await writeSynced(paths[0], "first");
    await writeSynced(paths[1], "second");
    await fs.link(paths[0], paths[2]);
    await assertSecondLinkFails(folder, paths[1], paths[2]);
    await syncFolder(temporaries);
    await syncFolder(folder); // And with it the names of the subfolders.
    await removeStale(temporaries, now);
    const { type } = await fs.statfs(folder);
    return { network: !localTypes.has(type) };
  } catch (error) {
    throw storeErrorOf(error, `the vault's folder ${folder} cannot be used`, "before");
  } finally {
    // The error above is what matters.
    for (const path of paths) await fs.rm(path, { force: true }).catch(() => undefined);
  }
}

async function assertSecondLinkFails(folder: string, second: string, target: string): Promise<void> {
  const advice =
    "Use a file system whose link() is exclusive (NFS, ext4, XFS, ...): without it two hosts could both be primary.";
  const refused = await fs.link(second, target).then(
    () => false,
    (error: unknown) => {
      if (errnoOf(error) === "EEXIST") return true;
      throw error;
    },
  );
  if (!refused || (await fs.readFile(target, "utf8")) !== "first") {
    throw new StoreError(
      "unsuitable",
      `${folder} does not give exclusive creation: a second link() to one name was accepted`,
      advice,
    );
  }
}

/** Returns the file system's own time, by which the ages of its files are measured. */
async function writeSynced(path: string, content: string): Promise<number> {
  const file = await fs.open(path, "wx");
  try {
    await file.writeFile(content);
    await file.sync();
    return (await file.stat()).mtimeMs;
  } finally {
    await file.close();
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await fs.open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function removeStale(temporaries: string, nowMs: number): Promise<void> {
  for (const name of await fs.readdir(temporaries)) {
    const path = join(temporaries, name);
    let found: Stats;
    try {
      found = await fs.lstat(path);
    } catch (error) {
      if (errnoOf(error) === "ENOENT") continue; // Its owner has just removed it.
      throw error;
    }
    if (found.isFile() && nowMs - found.mtimeMs > staleTemporaryMs) await fs.rm(path, { force: true });
  }
}

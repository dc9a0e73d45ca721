/**
 * Lists what is below a folder, whatever the bytes of its names: database names need not be text, and functions that
 * list whole folders as text miss such files or fail.
 */
import type { Stats } from "node:fs";
import { lstat, readdir } from "node:fs/promises";

export interface FolderEntry {
  readonly path: Buffer;
  /** Below the folder. */
  readonly name: Buffer;
  /** For a link, its own. */
  readonly stats: Stats;
}

/** A folder comes before its contents. */
export async function* entriesBelow(
  folder: string | Buffer,
  prefix: Buffer = Buffer.alloc(0),
): AsyncGenerator<FolderEntry> {
  const root = Buffer.from(folder);
  for (const entry of await readdir(root, { encoding: "buffer" })) {
    const path = joined(root, entry);
    const name = prefix.byteLength === 0 ? entry : joined(prefix, entry);
    const stats = await lstat(path);
    yield { path, name, stats };
    if (stats.isDirectory()) yield* entriesBelow(path, name);
  }
}

export const joined = (folder: string | Buffer, name: Buffer): Buffer =>
  Buffer.concat([Buffer.from(folder), Buffer.from("/"), name]);

/**
 * The patterns for `host.databases` that fit an existing data folder: every SQLite database in it and no other file.
 * `stead init` uses them, also while the application runs: files are only read, by a process without an SQLite
 * connection to them.
 */
import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { nameOfBytes } from "../../core/database-name.ts";
import { nameMatcher, ownerOf } from "../../core/database-pattern.ts";

const magic = Buffer.from("SQLite format 3\0", "latin1");
/** Largest number of files examined; for a larger folder there is no guess. */
const filesMax = 20_000;
const depthMax = 8;
/** With more patterns than an operator would read, `**` is used instead where it fits. */
const patternsMax = 8;

/** Returns undefined if there is no database, or too many files. */
export function fittingPatterns(folder: string): string[] | undefined {
  const files = filesIn(folder);
  if (files === undefined) return undefined;
  const databases = files.filter((file) => isDatabase(join(folder, file)));
  if (databases.length === 0) return undefined;
  const others = files.filter((file) => !databases.includes(file) && !databases.includes(ownerOf(file) ?? ""));
  const near = patternsFor(databases, others, (name) => join(dirname(name), `*${extname(name)}`));
  return near.length <= patternsMax ? near : patternsFor(databases, others, (name) => `**/*${extname(name)}`);
}

/** Returns one pattern for many databases if it matches no other file, else the names themselves. */
function patternsFor(
  databases: readonly string[],
  others: readonly string[],
  generalise: (name: string) => string,
): string[] {
  const patterns = databases.map((name) => {
    if (extname(basename(name)) === "") return name;
    const pattern = generalise(name);
    return others.some(nameMatcher([pattern])) ? name : pattern;
  });
  return [...new Set(patterns)].sort();
}

/** Returns paths below the folder, in the notation of database names; undefined if there are too many. */
function filesIn(folder: string): string[] | undefined {
  const files: string[] = [];
  const folders = [""];
  for (let next = folders.shift(); next !== undefined; next = folders.shift()) {
    for (const entry of entriesOf(join(folder, next))) {
      const name = join(next, nameOfBytes(Buffer.from(entry.name)));
      if (entry.isDirectory() && name.split("/").length <= depthMax) folders.push(name);
      if (entry.isFile()) files.push(name);
      if (files.length > filesMax) return undefined;
    }
  }
  return files.sort();
}

function entriesOf(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true });
  } catch {
    return [];
  }
}

function isDatabase(path: string): boolean {
  const bytes = Buffer.alloc(magic.length);
  let fd: number | undefined;
  try {
    fd = openSync(path, "r");
    return readSync(fd, bytes, 0, bytes.length, 0) === bytes.length && bytes.equals(magic);
  } catch {
    return false;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/**
 * The patterns for `host.databases` that fit an existing data folder: every SQLite database in it and no other file.
 * For `stead init`, while the application may run: files are only read, and by a process that has no SQLite connection
 * to them.
 */
import { closeSync, openSync, readdirSync, readSync } from "node:fs";
import { basename, dirname, extname, join } from "node:path";
import { nameOfBytes } from "../../core/database-name.ts";
import { nameMatcher, ownerOf } from "../../core/database-pattern.ts";

const magic = Buffer.from("SQLite format 3\0", "latin1");
/** Files looked at; of a larger folder nothing is guessed. */
const filesMax = 20_000;
const depthMax = 8;
/** More patterns than this are not read by a person: `**` instead, where it fits. */
const patternsMax = 8;

/** Undefined when there is no database, or too much to look at. */
export function fittingPatterns(folder: string): string[] | undefined {
  const files = filesIn(folder);
  if (files === undefined) return undefined;
  const databases = files.filter((file) => isDatabase(join(folder, file)));
  if (databases.length === 0) return undefined;
  const others = files.filter((file) => !databases.includes(file) && !databases.includes(ownerOf(file) ?? ""));
  const near = patternsFor(databases, others, (name) => join(dirname(name), `*${extname(name)}`));
  return near.length <= patternsMax ? near : patternsFor(databases, others, (name) => `**/*${extname(name)}`);
}

/** One pattern for many databases where it matches nothing else; the name itself where it would. */
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

/** Paths below the folder, as names of databases are written; undefined when there are too many. */
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

/**
 * libSQL's native module in the compiled program. It is a part of the executable, and the system loads a module only
 * from a file, in a folder that can be written and whose file system permits execution.
 *
 * The file is in the folder that STEAD_TMP names. Without it, it is beside the gateway's database, or where that is not
 * possible, in the system's folder for temporary files. It has a random name and the mode 0700, is created exclusively,
 * and is removed as soon as it is loaded, so that no other user's file is ever loaded in its place.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { randomBytes } from "node:crypto";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OperatorError } from "./operator-error.ts";

/** In which the file may be, in this order. */
export interface UnpackFolders {
  /** `STEAD_TMP`: then no other. */
  readonly named: string | undefined;
  /** Of the gateway's database; undefined: this process has none. */
  readonly database: string | undefined;
  readonly system: string;
}

let databaseFolder: string | undefined;

/** Call it before libSQL is imported for a database in this folder. */
export function unpackBeside(folder: string): void {
  databaseFolder = folder;
}

/** Loads the module whose bytes are in the executable at `embedded`. Throws an OperatorError with each folder tried. */
export function loadEmbedded(embedded: string): unknown {
  const folders = { named: process.env["STEAD_TMP"], database: databaseFolder, system: tmpdir() };
  return loadFrom(folders, readFileSync(embedded), (path) => {
    const module = { exports: {} };
    process.dlopen(module, path);
    return module.exports;
  });
}

/** `load` throws where the system refuses the file. */
export function loadFrom<T>(folders: UnpackFolders, bytes: Uint8Array, load: (path: string) => T): T {
  const failures: string[] = [];
  for (const folder of foldersOf(folders)) {
    const path = join(folder, `.stead-${randomBytes(8).toString("hex")}.node`);
    try {
      writeFileSync(path, bytes, { flag: "wx", mode: 0o700 });
    } catch (error) {
      removePart(path);
      failures.push(`${folder} (${reasonOf(error, path)})`);
      continue;
    }
    try {
      return load(path);
    } catch (error) {
      failures.push(`${folder} (${reasonOf(error, path)})`);
    } finally {
      rmSync(path);
    }
  }
  const isNamed = isSet(folders.named);
  throw new OperatorError("resource", {
    found: `libSQL's native module cannot be loaded from ${isNamed ? "the folder of STEAD_TMP, " : ""}${failures.join(", nor from ")}`,
    accepted:
      "a folder that this process may write to, with 16 MiB of space, on a file system that is mounted neither read-only nor noexec",
    advice: isNamed
      ? "name another folder in STEAD_TMP, or run without it: then it is the one of the gateway's database (gateway.database)"
      : "set STEAD_TMP to such a folder, or put the gateway's database (gateway.database) into one",
  });
}

/** Of a disk that was full. */
function removePart(path: string): void {
  if (existsSync(path)) rmSync(path);
}

const reasonOf = (error: unknown, path: string): string =>
  (error instanceof Error ? error.message : String(error)).replaceAll(path, "the file");

const isSet = (named: string | undefined): named is string => named !== undefined && named !== "";

const foldersOf = ({ named, database, system }: UnpackFolders): readonly string[] => {
  if (isSet(named)) return [named];
  return database === undefined ? [system] : [database, system];
};

/**
 * The first bytes of a file that may be a database. Only for files that no connection of this process has open (POSIX
 * locks).
 */
import { closeSync, openSync, readSync } from "node:fs";
import type { FilePath } from "./data-path.ts";
import { notADatabase } from "./refusals.ts";

const magic = Buffer.from("SQLite format 3\0", "latin1");

/** Throws `CaptureError` for bytes that no database begins with. */
export function inspectHeader(name: string, path: FilePath): "database" | "not-yet" {
  const bytes = firstBytes(path);
  if (bytes.subarray(0, 16).equals(magic)) return "database";
  // A first transaction in rollback mode may have written later pages before page 1.
  if (bytes.every((byte) => byte === 0)) return "not-yet";
  throw notADatabase(name, `a header that starts with ${bytes.subarray(0, 16).toString("hex")}`);
}

export const beginsAsDatabase = (path: FilePath): boolean => firstBytes(path).subarray(0, 16).equals(magic);

function firstBytes(path: FilePath): Buffer {
  const bytes = Buffer.alloc(100);
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return bytes; // Created and deleted in quick succession.
    throw error;
  }
  try {
    readSync(fd, bytes, 0, 100, 0);
    return bytes;
  } finally {
    closeSync(fd);
  }
}

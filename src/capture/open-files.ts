/**
 * The processes that have a file open, as Linux reports them (/proc/<pid>/fd). Takes milliseconds: for accusations, not
 * for each look.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { type FileIdentity, identityAt, sameFile } from "./file-identity.ts";

export interface OpenFile {
  readonly pid: number;
  /** Present path of the file, from the kernel; ends in " (deleted)" if it has none. */
  readonly path: string;
}

/** Returns other processes that have this file open; those of other users may be missing. */
export function processesWithOpen(file: FileIdentity): number[] {
  return processes().filter((pid) => openFilesOf(pid).some(({ entry }) => isFile(entry, file)));
}

/** Returns the open files of a process, as far as visible; none if it is gone or another user's. */
export function openFilesOf(pid: number): (OpenFile & { readonly entry: string })[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      const entry = `/proc/${pid}/fd/${fd}`;
      const path = linkOf(entry);
      return path === undefined || !path.startsWith("/") ? [] : [{ pid, path, entry }];
    });
  } catch {
    return [];
  }
}

/** `4711 (python3)`. */
export function processName(pid: number): string {
  try {
    return `${pid} (${readFileSync(`/proc/${pid}/comm`, "utf8").trim()})`;
  } catch {
    return String(pid);
  }
}

/** All others. */
function processes(): number[] {
  try {
    return readdirSync("/proc")
      .map(Number)
      .filter((pid) => Number.isInteger(pid) && pid !== process.pid);
  } catch {
    return [];
  }
}

function isFile(entry: string, file: FileIdentity): boolean {
  try {
    const found = identityAt(entry);
    return found !== undefined && sameFile(found, file);
  } catch {
    return false;
  }
}

function linkOf(entry: string): string | undefined {
  try {
    return readlinkSync(entry);
  } catch {
    return undefined;
  }
}

/**
 * The processes that have a file open, as Linux reports them (/proc/<pid>/fd). Takes milliseconds: for accusations, not
 * for each look.
 */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { type FileIdentity, fileIdentityKey, identityAt, sameFile } from "./file-identity.ts";
import type { EventLoopBudget } from "../runtime/event-loop-budget.ts";

const entriesPerSlice = 64;

export interface OpenFile {
  readonly pid: number;
  /** Present path of the file, from the kernel; ends in " (deleted)" if it has none. */
  readonly path: string;
}

/** Returns other processes that have this file open; those of other users may be missing. */
export function processesWithOpen(file: FileIdentity): number[] {
  return otherProcesses().filter((pid) => openFilesOf(pid).some(({ entry }) => leadsTo(entry, file)));
}

/**
 * Returns, for each of these files that another process has open, those processes. One pass for all files, in slices: a
 * process with thousands of open files takes tens of milliseconds.
 */
export async function holdersOf(
  files: readonly FileIdentity[],
  budget: EventLoopBudget,
): Promise<ReadonlyMap<string, ReadonlySet<number>>> {
  const holders = new Map(files.map((file) => [fileIdentityKey(file), new Set<number>()]));
  for (const pid of otherProcesses())
    for (const [at, entry] of entriesOf(pid).entries()) {
      if (at % entriesPerSlice === 0) await budget.yieldIfDue();
      const found = identityOfEntry(entry);
      if (found !== undefined) holders.get(fileIdentityKey(found))?.add(pid);
    }
  return holders;
}

/** Returns the open files of a process, as far as visible; none if it is gone or another user's. */
export function openFilesOf(pid: number): (OpenFile & { readonly entry: string })[] {
  return entriesOf(pid).flatMap((entry) => {
    const path = linkOf(entry);
    return path === undefined || !path.startsWith("/") ? [] : [{ pid, path, entry }];
  });
}

/** True if a process has one of these files open, as far as visible. */
export const hasOpen = (pid: number, files: readonly FileIdentity[]): boolean =>
  entriesOf(pid).some((entry) => files.some((file) => leadsTo(entry, file)));

/** `4711 (python3)`. */
export function processName(pid: number): string {
  try {
    return `${pid} (${readFileSync(`/proc/${pid}/comm`, "utf8").trim()})`;
  } catch {
    return String(pid);
  }
}

function entriesOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => `/proc/${pid}/fd/${fd}`);
  } catch {
    return [];
  }
}

/** All processes but this one. */
export function otherProcesses(): number[] {
  try {
    return readdirSync("/proc")
      .map(Number)
      .filter((pid) => Number.isInteger(pid) && pid !== process.pid);
  } catch {
    return [];
  }
}

/** True if the entry of a process's open file is this file; false also once it was closed. */
export function leadsTo(entry: string, file: FileIdentity): boolean {
  const found = identityOfEntry(entry);
  return found !== undefined && sameFile(found, file);
}

function identityOfEntry(entry: string): FileIdentity | undefined {
  try {
    return identityAt(entry);
  } catch {
    return undefined;
  }
}

function linkOf(entry: string): string | undefined {
  try {
    return readlinkSync(entry);
  } catch {
    return undefined;
  }
}

/**
 * The descriptors that SQLite itself has open for a connection: its database, its `-wal` and its `-shm`.
 *
 * Capture reads through them, so that a captured database costs no further descriptors, and there is no order of
 * closing to keep. SQLite does not report their numbers; they are found by identity (device and inode), starting where
 * the kernel puts new ones: at the lowest free number. They stay valid as long as the connection is open: SQLite
 * reopens none of the three within the life of a connection in WAL mode, and the `-shm` is shared by all connections of
 * a process until the last one is closed (os_unix.c, unixShmNode).
 *
 * The connection must be the first of this process on that database: a descriptor of another one would be closed with
 * that one.
 *
 * Deno reads only through descriptors that it opened itself. There the three files are opened once more, and must stay
 * open until the last connection of this process is closed: closing any descriptor of a file drops all POSIX locks that
 * the process has on it.
 */
import { closeSync, fstatSync, openSync, readdirSync } from "node:fs";
import { type FilePath, withSuffix } from "./data-path.ts";
import { type FileIdentity, identityAt, identityOf, sameFile } from "./file-identity.ts";

export interface SqliteDescriptors {
  readonly dbFd: number;
  readonly walFd: number;
  readonly shmFd: number;
}

/** Searched from the lowest free number on: three are new, and other threads may be opening files. */
const nearby = 16;

/** Returns the number that the kernel would give the next descriptor. */
export function lowestFreeDescriptor(): number {
  const fd = openSync("/dev/null", "r");
  closeSync(fd);
  return fd;
}

/**
 * `free`: the lowest free number before the connection was opened. `own` receives the descriptors opened here, for the
 * caller to close when no connection is left. Throws ENOENT if a file does not exist: SQLite then keeps its index in
 * its heap.
 */
export function sqliteDescriptors(path: FilePath, free: number, own: number[]): SqliteDescriptors {
  if ("Deno" in globalThis) return ownDescriptors(path, own);
  const wanted = ["", "-wal", "-shm"].map((suffix) => wantedAt(withSuffix(path, suffix)));
  const near = Array.from({ length: nearby }, (_, at) => free + at);
  const [dbFd, walFd, shmFd] = find(wanted, near) ?? find(wanted, allDescriptors()) ?? [];
  if (dbFd === undefined || walFd === undefined || shmFd === undefined)
    throw new Error(`SQLite has ${path.toString()} open, and its descriptors are not among those of this process`);
  return { dbFd, walFd, shmFd };
}

function ownDescriptors(path: FilePath, own: number[]): SqliteDescriptors {
  const open = (suffix: string): number => {
    const fd = openSync(withSuffix(path, suffix), "r");
    own.push(fd);
    return fd;
  };
  return { dbFd: open(""), walFd: open("-wal"), shmFd: open("-shm") };
}

function wantedAt(path: FilePath): FileIdentity {
  const identity = identityAt(path);
  if (identity === undefined) throw Object.assign(new Error(`ENOENT: ${path.toString()}`), { code: "ENOENT" });
  return identity;
}

function find(wanted: readonly FileIdentity[], numbers: readonly number[]): number[] | undefined {
  const found = wanted.map(() => -1);
  let missing = wanted.length;
  for (const fd of numbers) {
    const identity = identityOfOpen(fd);
    const at =
      identity === undefined ? -1 : wanted.findIndex((one, index) => found[index] === -1 && sameFile(one, identity));
    if (at < 0) continue;
    found[at] = fd;
    missing -= 1;
    if (missing === 0) return found;
  }
  return undefined;
}

/** Returns undefined also for a number that is no descriptor. */
function identityOfOpen(fd: number): FileIdentity | undefined {
  try {
    return identityOf(fstatSync(fd, { bigint: true }));
  } catch {
    return undefined;
  }
}

/** On Linux and macOS alike. */
const allDescriptors = (): number[] => readdirSync("/dev/fd").map(Number);

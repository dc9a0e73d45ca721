/**
 * The real `Processes`: the processes of this machine that an application of this host started, and those that have its
 * files.
 *
 * Two ways to recognise them, which complement each other:
 * - the cgroup (cgroup.ts): complete, whatever a process does to itself. Not allowed everywhere.
 * - the mark in the environment (mark.ts): also across a restart of the host. Blind for a process with an empty
 *   environment, or one that overwrites it with its title. Needs a look at every process, about 8 µs each, so `near`
 *   skips it if there is a cgroup.
 *
 * Without /proc (macOS) neither works, and only the signal to the process group remains.
 *
 * Files are recognised by path, and by device and inode if a process has another view of the disk (a container); only
 * processes of the same user, or all for root, can be examined. The kernel's table of locks has no such limit, and
 * SQLite holds a lock on the `-shm` file for as long as it has a database in WAL mode open.
 */
import { closeSync, openSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { type LockHolder, loadedLockHolder, loadLockHolder } from "../../runtime/posix-locks.ts";
import type { Cgroup } from "./cgroup.ts";
import type { ProcessIdentity, Processes, Reach, Sighting } from "./leftovers.ts";
import { markVariable } from "./mark.ts";
import {
  describeProcess,
  environmentOf,
  isOpenForWriting,
  lockTable,
  openFiles,
  pids,
  processRow,
} from "./process-table.ts";

export interface MachineProcessesOptions {
  readonly mark: string;
  /** Absolute. */
  readonly dataFolder: string;
  readonly cgroup: Cgroup | undefined;
  /** Names of the databases below the data folder. */
  readonly databases: () => Promise<readonly string[]>;
}

/** Processes examined between two turns of the event loop. */
const scanBatch = 16;
/**
 * A program is replaced within a moment, even on a busy machine; a process without an environment in this many looks
 * (about 100 ms) never had one.
 */
const blankLooks = 9;
/** Parent of the kernel's own threads, outside of a PID namespace. */
const kernelThreads = 2;
/** Up to this many databases are asked one by one. */
const askedMax = 64;
/** SQLite's files beside a database. */
const companions = ["", "-wal", "-shm", "-journal"] as const;

export class MachineProcesses implements Processes {
  readonly #options: MachineProcessesOptions;
  /** Of the last look: number and birth. */
  #seen: ReadonlyMap<number, string> = new Map();
  /** Processes without an environment, by number and birth, and in how many looks in a row. */
  #blank: ReadonlyMap<string, number> = new Map();

  constructor(options: MachineProcessesOptions) {
    this.#options = options;
  }

  ours(reach: Reach): Sighting {
    const { cgroup } = this.#options;
    const found = new Set(cgroup?.members());
    let isCertain = true;
    if (reach === "everywhere" || cgroup === undefined) isCertain = this.#addMarked(found);
    // A host that was started by its own application's shell is not part of the application.
    for (let pid = process.pid; pid > 1; pid = processRow(pid)?.parent ?? 0) found.delete(pid);
    // A process seen before that is just ending has no environment any more, but still its files.
    for (const [pid, born] of this.#seen) if (processRow(pid)?.born === born) found.add(pid);
    const sighted = [...found].flatMap(living);
    this.#seen = new Map(sighted.map(({ pid, born }) => [pid, born]));
    return { found: sighted, isCertain };
  }

  kill(found: readonly ProcessIdentity[]): void {
    this.#options.cgroup?.kill();
    for (const one of found) this.signal(one, "SIGKILL");
  }

  signal({ pid, born }: ProcessIdentity, signal: NodeJS.Signals): void {
    if (processRow(pid)?.born !== born) return;
    try {
      process.kill(pid, signal);
    } catch (error) {
      // Gone, or another user's: `ours` shows it again, and its name is reported.
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ESRCH" && code !== "EPERM") throw error;
    }
  }

  describe(pid: number): string {
    return describeProcess(pid);
  }

  async writers(): Promise<readonly string[]> {
    await loadLockHolder();
    const databases = await this.#options.databases();
    const files = this.#filesOf(databases);
    const found: string[] = [];
    let looked = 0;
    for (const pid of pids()) {
      looked += 1;
      if (looked % scanBatch === 0) await new Promise<void>((resolve) => setImmediate(resolve));
      if (pid === process.pid) continue;
      const file = openForWriting(pid, files);
      if (file !== undefined) found.push(`process ${describeProcess(pid)} has ${file} open for writing`);
    }
    return found.length > 0 ? found : this.lockers(databases);
  }

  lockers(databases: Iterable<string>): readonly string[] {
    // A database in WAL mode is never open without its `-shm` file, and a secondary normally has none.
    const opened = [...databases].filter(
      (name) => identityOf(join(this.#options.dataFolder, `${name}-shm`)) !== undefined,
    );
    if (opened.length === 0) return [];
    const holder = loadedLockHolder();
    const found =
      holder !== undefined && opened.length <= askedMax ? this.#holders(opened, holder) : this.#lockedInTable(opened);
    return [...found].map(
      ([pid, path]) =>
        `${pid > 0 ? `process ${describeProcess(pid)}` : "a process that the system does not name"} has a lock on ${path}`,
    );
  }

  /**
   * Asks for each file. Closing a descriptor drops this process's own locks on the file: a host has none on the
   * databases of a replica, which it writes without SQLite.
   */
  #holders(databases: readonly string[], holder: LockHolder): ReadonlyMap<number, string> {
    const found = new Map<number, string>();
    for (const path of databases
      .flatMap((name) => [name, `${name}-shm`])
      .map((name) => join(this.#options.dataFolder, name))) {
      const pid = holderOf(path, holder);
      if (pid !== undefined) found.set(pid, path);
    }
    return found;
  }

  /** Reads the whole table, for which the kernel takes 5 to 15 ms. */
  #lockedInTable(databases: readonly string[]): ReadonlyMap<number, string> {
    const files = this.#filesOf(databases);
    const found = new Map<number, string>();
    for (const { pid, inode } of lockTable()) {
      const path = pid === process.pid ? undefined : files.byInode.get(inode);
      // Inodes are unique within one file system only: if the process can be examined, its files decide.
      if (path !== undefined && mayHave(pid, files)) found.set(pid, path);
    }
    return found;
  }

  tidy(): void {
    this.#options.cgroup?.remove();
  }

  /** Returns false if a process had no environment at this moment, and has not been seen so for long. */
  #addMarked(found: Set<number>): boolean {
    const blank = new Map<string, number>();
    for (const pid of pids()) {
      const environment = environmentOf(pid);
      if (environment?.includes(`${markVariable}=${this.#options.mark}`)) found.add(pid);
      if (environment !== "") continue;
      const row = processRow(pid);
      if (row === undefined || row.isDefunct || row.parent === kernelThreads || pid === kernelThreads) continue;
      const key = `${pid} ${row.born}`;
      blank.set(key, (this.#blank.get(key) ?? 0) + 1);
    }
    this.#blank = blank;
    return [...blank.values()].every((looks) => looks >= blankLooks);
  }

  #filesOf(databases: Iterable<string>): Files {
    const byPath = new Set<string>();
    const byIdentity = new Map<string, string>();
    const byInode = new Map<string, string>();
    for (const name of databases) {
      for (const companion of companions) {
        const path = join(this.#options.dataFolder, name + companion);
        const file = identityOf(path);
        if (file === undefined) continue;
        byPath.add(path);
        byIdentity.set(file.identity, path);
        byInode.set(file.inode, path);
      }
    }
    return { byPath, byIdentity, byInode };
  }
}

/** The databases of this host, with their companions. */
interface Files {
  readonly byPath: ReadonlySet<string>;
  /** By device and inode: the same file, whatever its path is in another mount namespace. */
  readonly byIdentity: ReadonlyMap<string, string>;
  /** By inode alone, because the table of locks has other devices than stat(2) on some file systems (btrfs). */
  readonly byInode: ReadonlyMap<string, string>;
}

/** Returns a process with a lock on any byte; undefined also if the file has just vanished. */
function holderOf(path: string, holder: LockHolder): number | undefined {
  let fd: number | undefined;
  try {
    fd = openSync(path, "r");
    // A length of 0 goes to the end of the file, wherever that will be.
    return holder.userOf(fd, 0, 0);
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

function openForWriting(pid: number, files: Files): string | undefined {
  for (const { descriptor, target } of openFiles(pid)) {
    if (!target.startsWith("/")) continue;
    const path = fileAt(pid, descriptor, target, files);
    if (path !== undefined && isOpenForWriting(pid, descriptor)) return path;
  }
  return undefined;
}

/** Returns the host's path for a file that a process has open, if it is one of these. */
function fileAt(pid: number, descriptor: number, target: string, files: Files): string | undefined {
  if (files.byPath.has(target)) return target;
  if (isInOurNamespace(pid)) return undefined;
  const file = identityOf(`/proc/${pid}/fd/${descriptor}`);
  return file === undefined ? undefined : files.byIdentity.get(file.identity);
}

function isInOurNamespace(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/mnt`) === readlinkSync("/proc/self/ns/mnt");
  } catch {
    return true; // It may not be looked into, so that its files cannot be either.
  }
}

function living(pid: number): ProcessIdentity[] {
  const row = processRow(pid);
  return row === undefined || row.isDefunct ? [] : [row];
}

/** True also if that cannot be seen. */
function mayHave(pid: number, files: Files): boolean {
  const open = openFiles(pid);
  return (
    open.length === 0 ||
    open.some(
      ({ descriptor, target }) => target.startsWith("/") && fileAt(pid, descriptor, target, files) !== undefined,
    )
  );
}

/**
 * Two hosts with one volume each have files of the same inode number: only together with its device it identifies a
 * file.
 */
function identityOf(path: string): { readonly identity: string; readonly inode: string } | undefined {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return { identity: `${dev} ${ino}`, inode: String(ino) };
  } catch {
    return undefined;
  }
}

/**
 * The other processes with POSIX locks on a file, as Linux lists them (/proc/locks, proc_locks(5)). Reading the list
 * has no effect on others, unlike trying to take a lock, which a writer without a busy timeout would meet.
 *
 * A lock is listed with the inode and the device of its file system, and the device is not always the one that stat(2)
 * returns (btrfs, overlayfs). A file is therefore found by the lock that this process itself holds on it: the same
 * inode, and the device of that line. Without such a line nothing is known (another system, a /proc of another process
 * namespace): the result is undefined.
 *
 * The kernel returns the list in pieces of 4 kB and continues by line count, so a lock released between two pieces
 * hides another one that is held all the time: some 20 of 100,000 reads of a list of 10 kB missed one while three
 * processes took and released locks, none of a list of one piece. An absent lock is therefore looked for again before
 * it is evidence (`now` and `read` with more looks), or the kernel is asked for it (file-users.ts).
 *
 * Reading it makes the kernel wait until every processor has passed a quiet state (a per-CPU lock, `percpu_down_write`
 * in fs/locks.c): 5 to 15 ms, in which a synchronous read stops the event loop. Another read within about 15 ms costs
 * 10 µs. So the list is read in another thread (`read`), or made quick to read there first (`warm`), and `now` is for
 * the moments after that. Keeping it quick by reading it every few milliseconds was tried during promotions: the gap of
 * a kill grew by a third, since every lock on the machine is slower meanwhile.
 */
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { FileIdentity } from "./file-identity.ts";

/**
 * Bytes of the WAL index that SQLite locks (walformat.html, section 2.3): its writer, and every connection that uses
 * it.
 */
export const writerLockByte = 120;
/** Of its checkpointer. */
export const checkpointLockByte = 121;
export const connectionLockByte = 128;
/** The first of its five readers: slot 0, which needs no log. */
export const readerLockByte = 123;
/**
 * Of the database file: PENDING_BYTE and what follows (os_unix.c). Every connection in WAL mode has a shared lock
 * there.
 */
export const databaseLockByte = 0x4000_0000;
export const databaseLockBytesEnd = databaseLockByte + 511;

const line = /^\d+: POSIX\s+\S+\s+(READ|WRITE)\s+(-?\d+)\s+([0-9a-f]+:[0-9a-f]+):(\d+)\s+(\d+)\s+(\d+|EOF)/;

/** Up to this many files are searched in the text. */
const asksByText = 8;

const listPath = "/proc/locks";
/** Looks before an absent lock is evidence. */
export const looksForAbsence = 3;
/**
 * How long reads stay quick after a read. Measured on Linux 6.18: always after 10 ms, mostly after 15, never after 20.
 */
const warmMs = 10;
/** End of the last read by this process, on the clock of `performance.now`. */
let readAtMs = Number.NEGATIVE_INFINITY;

interface Lock {
  readonly isWrite: boolean;
  readonly pid: number;
  readonly device: string;
  readonly inode: bigint;
  readonly start: number;
  readonly end: number;
}

export class FileLocks {
  readonly #text: string;
  readonly #ownPid: number;
  #asked = 0;
  #byInode: ReadonlyMap<bigint, Lock[]> | undefined;

  constructor(text: string, ownPid: number) {
    this.#text = text;
    this.#ownPid = ownPid;
  }

  /** Length of the list. */
  get characters(): number {
    return this.#text.length;
  }

  /**
   * Returns the present locks, combined from several looks; undefined if they are not reported. Sync: stops the event
   * loop for 5 to 15 ms unless `isWarm`.
   */
  static now(looks = 1): FileLocks | undefined {
    try {
      let text = "";
      for (let look = 0; look < looks; look++) text += readFileSync(listPath, "latin1");
      readAtMs = performance.now();
      return new FileLocks(text, process.pid);
    } catch {
      return undefined;
    }
  }

  /**
   * Returns the locks at some moment since the call, combined from several looks; undefined if they are not reported.
   * Another thread reads.
   */
  static async read(looks = 1): Promise<FileLocks | undefined> {
    try {
      let text = "";
      for (let look = 0; look < looks; look++) text += await readFile(listPath, "latin1");
      readAtMs = performance.now();
      return new FileLocks(text, process.pid);
    } catch {
      return undefined;
    }
  }

  /** `now` takes microseconds at this moment. */
  static get isWarm(): boolean {
    return performance.now() - readAtMs < warmMs;
  }

  /** Resolves when `now` takes microseconds, or if there is no list. */
  static async warm(): Promise<void> {
    if (!FileLocks.isWarm) await FileLocks.read();
  }

  /**
   * Returns other processes with a lock on any byte from `start` to `end` of a file that this process has a lock on.
   * `writeOnly`: exclusive ones. Undefined: this process's own lock is not in the list, so the list cannot be trusted.
   */
  others(inode: bigint, start: number, end: number, writeOnly = false): ReadonlySet<number> | undefined {
    const locks = this.#of(inode);
    const device = locks.find(({ pid }) => pid === this.#ownPid)?.device;
    if (device === undefined) return undefined;
    const found = locks.filter(
      (lock) =>
        lock.device === device &&
        lock.pid !== this.#ownPid &&
        lock.start <= end &&
        lock.end >= start &&
        (lock.isWrite || !writeOnly),
    );
    return new Set(found.map(({ pid }) => pid));
  }

  /** Returns other processes that have this database open in WAL mode, or are in a transaction in another mode. */
  databaseUsers(database: FileIdentity): ReadonlySet<number> | undefined {
    return this.others(database.inode, databaseLockByte, databaseLockBytesEnd);
  }

  /**
   * Returns other processes with one of SQLite's locks on the database file with this inode. Without a lock of this
   * process the device is unknown: a database on another file system with the same inode can be taken for it.
   */
  databaseLockers(inode: bigint): number[] {
    const locks = this.#of(inode).filter(
      ({ pid, start, end }) => pid !== this.#ownPid && start <= databaseLockBytesEnd && end >= databaseLockByte,
    );
    return [...new Set(locks.map(({ pid }) => pid))];
  }

  /** Returns those that do not use this WAL index: they keep the database's log elsewhere. */
  usersElsewhere(database: FileIdentity, index: FileIdentity): number[] {
    const users = this.databaseUsers(database);
    if (users === undefined || users.size === 0) return [];
    const here = this.others(index.inode, connectionLockByte, connectionLockByte);
    return here === undefined ? [] : [...users].filter((pid) => !here.has(pid));
  }

  /** Returns other processes that use a WAL index, captured or not. */
  indexUsers(): { readonly pid: number; readonly inode: bigint }[] {
    return this.#text.split("\n").flatMap((text) => {
      const lock = parse(text);
      const isIndex = lock?.isWrite === false && lock.start === connectionLockByte && lock.end === connectionLockByte;
      return isIndex && lock.pid !== this.#ownPid ? [{ pid: lock.pid, inode: lock.inode }] : [];
    });
  }

  /** A machine may have thousands of locks: a few queries search the text without parsing, many use an index. */
  #of(inode: bigint): Lock[] {
    this.#asked += 1;
    if (this.#asked > asksByText) return (this.#byInode ??= indexed(this.#text)).get(inode) ?? [];
    const locks: Lock[] = [];
    const key = `:${inode} `;
    for (let at = this.#text.indexOf(key); at >= 0; at = this.#text.indexOf(key, at + 1)) {
      const start = this.#text.lastIndexOf("\n", at) + 1;
      const end = this.#text.indexOf("\n", at);
      const lock = parse(this.#text.slice(start, end < 0 ? undefined : end));
      if (lock !== undefined) locks.push(lock);
    }
    return locks;
  }
}

function indexed(text: string): Map<bigint, Lock[]> {
  const index = new Map<bigint, Lock[]>();
  for (const one of text.split("\n")) {
    const lock = parse(one);
    if (lock === undefined) continue;
    const known = index.get(lock.inode);
    if (known === undefined) index.set(lock.inode, [lock]);
    else known.push(lock);
  }
  return index;
}

/** Returns undefined for other kinds of locks, and for a process that waits for one. */
function parse(text: string): Lock | undefined {
  const [, kind, pid, device, inode, start, end] = line.exec(text) ?? [];
  if (kind === undefined || device === undefined || inode === undefined) return undefined;
  return {
    isWrite: kind === "WRITE",
    pid: Number(pid),
    device,
    inode: BigInt(inode),
    start: Number(start),
    end: end === "EOF" ? Number.POSITIVE_INFINITY : Number(end),
  };
}

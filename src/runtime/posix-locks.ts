/**
 * Finds the process that has a POSIX lock on a part of an open file: fcntl(2) with F_GETLK, which takes no lock and
 * does not wait. It takes about a microsecond however many locks the machine has, while reading /proc/locks costs time
 * for each of them. Of several processes it names one.
 */
import { openLibc } from "./libc.ts";

const getLock = 5;
const readLock = 0;
const writeLock = 1;
const unlocked = 2;
/**
 * `struct flock` on Linux with 64 bits: type and whence (u16 each), start and length (i64 at 8), process (i32 at 24).
 */
const structBytes = 32;

export interface LockHolder {
  /**
   * Returns the process (0 or less: of another namespace) with an exclusive lock on this byte; undefined: none other
   * than this one.
   */
  writerOf(fd: number, byte: number): number | undefined;
  /** Same for locks of either kind, on any byte of a range. */
  userOf(fd: number, start: number, bytes: number): number | undefined;
}

let loaded: LockHolder | undefined;

/** Returns the result of `loadLockHolder`; undefined before, and if there is none. */
export const loadedLockHolder = (): LockHolder | undefined => loaded;

/** Returns undefined if it is not available here. */
export async function loadLockHolder(): Promise<LockHolder | undefined> {
  return (loaded ??= await load());
}

async function load(): Promise<LockHolder | undefined> {
  const libc = await openLibc({ fcntl: { args: ["i32", "i32", "ptr"], returns: "i32" } });
  if (typeof libc === "string") return undefined;
  // A separate ArrayBuffer: memory that the kernel writes to must not be moved.
  const bytes = new Uint8Array(new ArrayBuffer(structBytes));
  // Little-endian, as all targets are; SQLite's bytes lie below 2^31, so the upper halves of start and length are 0.
  const words = new Int32Array(bytes.buffer);
  const into = libc.addressOf(bytes);
  const ask = (fd: number, wanted: number, start: number, length: number): number | undefined => {
    words[0] = wanted;
    words[2] = start;
    words[3] = 0;
    words[4] = length;
    words[5] = 0;
    words[6] = 0;
    if (libc.symbols.fcntl(fd, getLock, into) !== 0 || ((words[0] ?? 0) & 0xffff) === unlocked) return undefined;
    return words[6];
  };
  // A request for a read lock conflicts with writers only, a request for a write lock with every lock.
  return {
    writerOf: (fd, byte) => ask(fd, readLock, byte, 1),
    userOf: (fd, start, length) => ask(fd, writeLock, start, length),
  };
}

/**
 * The process that has a POSIX lock on a part of an open file: fcntl(2) with F_GETLK, which takes nothing and waits for
 * nothing. About a microsecond, however many locks the machine has; the list in /proc/locks costs each of them. Of
 * several processes it tells one.
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
   * The process (0 or less: of another namespace) with an exclusive lock on this byte; undefined: there is none but
   * this one.
   */
  writerOf(fd: number, byte: number): number | undefined;
  /** The same for locks of either kind, on any byte of a range. */
  userOf(fd: number, start: number, bytes: number): number | undefined;
}

let loaded: LockHolder | undefined;

/** What `loadLockHolder` has found; undefined before, and where there is none. */
export const loadedLockHolder = (): LockHolder | undefined => loaded;

/** Undefined: it cannot be asked here. */
export async function loadLockHolder(): Promise<LockHolder | undefined> {
  return (loaded ??= await load());
}

async function load(): Promise<LockHolder | undefined> {
  const libc = await openLibc({ fcntl: { args: ["i32", "i32", "ptr"], returns: "i32" } });
  if (typeof libc === "string") return undefined;
  // Memory of its own: what the kernel writes into must not be moved.
  const bytes = Buffer.from(new ArrayBuffer(structBytes));
  const into = libc.addressOf(bytes);
  const ask = (fd: number, wanted: number, start: number, length: number): number | undefined => {
    bytes.fill(0);
    bytes.writeInt16LE(wanted, 0);
    bytes.writeBigInt64LE(BigInt(start), 8);
    bytes.writeBigInt64LE(BigInt(length), 16);
    if (libc.symbols.fcntl(fd, getLock, into) !== 0 || bytes.readInt16LE(0) === unlocked) return undefined;
    return bytes.readInt32LE(24);
  };
  // A wish to read meets the locks of writers alone, a wish to write meets every lock.
  return {
    writerOf: (fd, byte) => ask(fd, readLock, byte, 1),
    userOf: (fd, start, length) => ask(fd, writeLock, start, length),
  };
}

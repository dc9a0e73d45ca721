/**
 * Who has an exclusive POSIX lock on a byte of an open file: fcntl(2) with F_GETLK, which takes nothing and waits for nobody. About
 * a microsecond, however many locks the machine has; the list in /proc/locks costs each of them.
 */
import { openLibc } from "./libc.ts";

const getLock = 5;
const readLock = 0;
const unlocked = 2;
/** `struct flock` on Linux with 64 bits: type and whence (u16 each), start and length (i64 at 8), process (i32 at 24). */
const structBytes = 32;

export type LockHolder = (fd: number, byte: number) => number | undefined;

let loaded: LockHolder | undefined;

/** The function that `lockHolderCall` has found; undefined before, and where there is none. */
export const loadedLockHolder = (): LockHolder | undefined => loaded;

/** Undefined: it cannot be asked here. The function gives the process (0 or less: of another namespace), or undefined when there is none but this one. */
export async function lockHolderCall(): Promise<LockHolder | undefined> {
  return (loaded ??= await load());
}

async function load(): Promise<LockHolder | undefined> {
  const libc = await openLibc({ fcntl: { args: ["i32", "i32", "ptr"], returns: "i32" } });
  if (typeof libc === "string") return undefined;
  // Memory of its own: what the kernel writes into must not be moved.
  const bytes = Buffer.from(new ArrayBuffer(structBytes));
  const into = libc.addressOf(bytes);
  return (fd, byte) => {
    bytes.fill(0);
    bytes.writeInt16LE(readLock, 0);
    bytes.writeBigInt64LE(BigInt(byte), 8);
    bytes.writeBigInt64LE(1n, 16);
    if (libc.symbols.fcntl(fd, getLock, into) !== 0 || bytes.readInt16LE(0) === unlocked) return undefined;
    return bytes.readInt32LE(24);
  };
}

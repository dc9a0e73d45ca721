/**
 * The file that a path or a descriptor leads to. Integers of any size: inodes of zfs, btrfs and overlayfs exceed what a
 * double holds exactly, and two files whose numbers round to the same value would be taken for one.
 */
import { type BigIntStats, fstatSync, lstatSync, type PathLike, type Stats, statSync } from "node:fs";

export interface FileIdentity {
  readonly device: bigint;
  readonly inode: bigint;
}

const exact = { bigint: true } as const;

export const identityOf = (stats: { readonly dev: bigint; readonly ino: bigint }): FileIdentity => ({
  device: stats.dev,
  inode: stats.ino,
});
export const sameFile = (a: FileIdentity, b: FileIdentity): boolean => a.inode === b.inode && a.device === b.device;

export const identityOfFd = (fd: number): FileIdentity => identityOf(fstatSync(fd, exact));

/** Returns undefined if nothing is there, or for links that lead in a circle. */
export function statAt(path: PathLike): BigIntStats | undefined {
  try {
    return statSync(path, { ...exact, throwIfNoEntry: false });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ELOOP") return undefined;
    throw error;
  }
}

/**
 * Returns the file, folder or link at a path; undefined: nothing is there, or what should be a folder on the way is a
 * file.
 */
export function entryAt(path: PathLike): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOTDIR") return undefined;
    throw error;
  }
}

/** Returns undefined if nothing is there. */
export function identityAt(path: PathLike): FileIdentity | undefined {
  const stats = statAt(path);
  return stats === undefined ? undefined : identityOf(stats);
}

/** For maps. */
export const fileIdentityKey = ({ device, inode }: FileIdentity): string => `${device} ${inode}`;

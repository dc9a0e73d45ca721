/**
 * The other processes that have a database open, for cases where none may be overlooked: a database that is captured
 * while a process keeps its log beside another name lacks that process's commits, and responses about them would leave.
 *
 * The list of locks may miss one (file-locks.ts). The kernel, asked for a single lock, does not, but names only one of
 * several processes. Both are therefore asked, the list in several looks together: a single process is always found,
 * and each of several unless all looks miss it.
 */
import { loadedLockHolder } from "../runtime/posix-locks.ts";
import { identityOfFd } from "./file-identity.ts";
import { connectionLockByte, databaseLockByte, databaseLockBytesEnd, type FileLocks } from "./file-locks.ts";

/** The open descriptors of the database and its WAL index in this process. */
export interface OpenDescriptors {
  readonly dbFd: number;
  readonly shmFd: number;
}

/** Undefined: locks are not reported. `list` is not called if the kernel says that there is no user. Sync. */
export function usersOf({ dbFd }: OpenDescriptors, list: () => FileLocks | undefined): readonly number[] | undefined {
  const holder = loadedLockHolder();
  const user = holder?.userOf(dbFd, databaseLockByte, databaseLockBytesEnd - databaseLockByte + 1);
  if (holder !== undefined && user === undefined) return [];
  const listed = list()?.databaseUsers(identityOfFd(dbFd));
  if (listed === undefined && user === undefined) return undefined;
  return [...new Set([...(listed ?? []), ...(user === undefined ? [] : [user])])];
}

/** Returns those that do not use this WAL index. Processes of another namespace (0 or less) are left out. Sync. */
export function usersElsewhere(files: OpenDescriptors, list: () => FileLocks | undefined): readonly number[] {
  let locks: FileLocks | undefined;
  const users = usersOf(files, () => (locks = list())) ?? [];
  if (users.length === 0 || locks === undefined) return [];
  const listed = locks.others(identityOfFd(files.shmFd).inode, connectionLockByte, connectionLockByte);
  // The list does not have this process's own locks: it belongs to another namespace. The kernel alone names one
  // process of each, perhaps not the same.
  if (listed === undefined) return [];
  const here = new Set(listed);
  const user = loadedLockHolder()?.userOf(files.shmFd, connectionLockByte, 1);
  if (user !== undefined) here.add(user);
  return users.filter((pid) => pid > 0 && !here.has(pid));
}

/**
 * Which other processes have a database open, where it matters that none is overlooked: a database that is captured
 * while a process keeps its log beside another name lacks what is committed there, and answers about it would leave.
 *
 * The list of locks may miss one (file-locks.ts). The kernel does not, asked for a lock by itself, but of several
 * processes it tells one. So both are asked, and of the list several looks together: one process is always found, and
 * of several each unless all looks miss it.
 */
import { loadedLockHolder } from "../runtime/posix-locks.ts";
import { identityOfFd } from "./file-identity.ts";
import { connectionLockByte, databaseLockByte, databaseLockBytesEnd, type FileLocks } from "./file-locks.ts";

/** Where this process has the database and its WAL index open. */
export interface OpenDescriptors {
  readonly dbFd: number;
  readonly shmFd: number;
}

/** Undefined: where locks are not told. `list` is not asked when the kernel says that there is none. Sync. */
export function usersOf({ dbFd }: OpenDescriptors, list: () => FileLocks | undefined): readonly number[] | undefined {
  const holder = loadedLockHolder();
  const user = holder?.userOf(dbFd, databaseLockByte, databaseLockBytesEnd - databaseLockByte + 1);
  if (holder !== undefined && user === undefined) return [];
  const listed = list()?.databaseUsers(identityOfFd(dbFd));
  if (listed === undefined && user === undefined) return undefined;
  return [...new Set([...(listed ?? []), ...(user === undefined ? [] : [user])])];
}

/** Those among them that do not use this WAL index. Of another namespace (0 or less) nothing is said. Sync. */
export function usersElsewhere(files: OpenDescriptors, list: () => FileLocks | undefined): readonly number[] {
  let locks: FileLocks | undefined;
  const users = usersOf(files, () => (locks = list())) ?? [];
  if (users.length === 0 || locks === undefined) return [];
  const listed = locks.others(identityOfFd(files.shmFd).inode, connectionLockByte, connectionLockByte);
  // The list does not have this process's own locks: it is that of another namespace. The kernel alone names one
  // process of each, perhaps not the same.
  if (listed === undefined) return [];
  const here = new Set(listed);
  const user = loadedLockHolder()?.userOf(files.shmFd, connectionLockByte, 1);
  if (user !== undefined) here.add(user);
  return users.filter((pid) => pid > 0 && !here.has(pid));
}

/**
 * One database file of a replica: created whole, or a former one taken over; written at offsets, without the companions
 * that SQLite would trust.
 *
 * A host that is root writes into a folder of the application's user, who could have left a link there to lead it
 * elsewhere. A file is created and not opened (O_EXCL follows no link); one that is taken over was moved before into a
 * folder of the host alone, and is not a link and has no other name. Links in place of the folders between are refused.
 * A folder that is replaced by a link just then is not seen.
 */
import {
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsync,
  ftruncateSync,
  openSync,
  renameSync,
  type Stats,
  statSync,
  write,
  writeSync,
} from "node:fs";
import { mkdir, rm, rmdir } from "node:fs/promises";
import { promisify } from "node:util";
import { writeBytesMax } from "../runtime/write-size.ts";
import { type FilePath, folderOf, pathOf, textOf, withSuffix } from "./data-path.ts";
import { entryAt, identityOf, identityOfFd, sameFile } from "./file-identity.ts";
import { ReplicaError } from "./replica-error.ts";
import { WriteBack } from "./write-back.ts";

/** Of a database's files, the main one first. */
export const databaseSuffixes = ["", "-wal", "-shm", "-journal"] as const;
/** Its owner may read and write. */
const ownerWrites = 0o600;
const fsyncAsync = promisify(fsync);
const writeAsync = promisify(write);

/** Who has a database file: what it had here before, or what its data folder suggests. */
export interface FileAccess {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export class ReplicaFile {
  readonly #path: FilePath;
  readonly #fd: number;
  #size = 0;
  /** Modification time after our last write, milliseconds since 1970. */
  #leftNs = 0n;
  #isOpen = true;
  readonly #writeBack: WriteBack;
  readonly #isSyncedLater: boolean;

  private constructor(path: FilePath, fd: number, isSyncedLater: boolean) {
    this.#path = path;
    this.#fd = fd;
    this.#writeBack = new WriteBack(() => fsyncAsync(fd));
    this.#isSyncedLater = isSyncedLater;
  }

  /** `isSyncedLater`: large pieces begin their way to the disk as soon as they are written, since `sync` will wait. */
  static async create(path: FilePath, access: FileAccess, isSyncedLater = false): Promise<ReplicaFile> {
    await makeFolders(folderOf(path), access);
    await removeFiles(path);
    const fd = openSync(path, "wx+", 0o600);
    give(fd, access);
    return new ReplicaFile(path, fd, isSyncedLater);
  }

  /**
   * Moves a former file of the database here with all it has, of which the caller proves what it keeps. Returns
   * undefined if there is none that can be taken over, or it is on another file system.
   */
  static async takeOver(
    former: FilePath,
    { path, access, isSyncedLater }: { readonly path: FilePath; readonly access: FileAccess; isSyncedLater?: boolean },
  ): Promise<ReplicaFile | undefined> {
    const fd = openFormer(former, access.uid);
    if (fd === undefined) return undefined;
    try {
      await makeFolders(folderOf(path), access);
      await removeFiles(path);
      renameSync(former, path);
      give(fd, access);
    } catch (error) {
      closeSync(fd);
      if ((error as NodeJS.ErrnoException).code === "EXDEV") return undefined;
      throw error;
    }
    const file = new ReplicaFile(path, fd, isSyncedLater === true);
    file.#size = fstatSync(fd).size;
    return file;
  }

  /** Bytes added read as zeros. */
  resize(size: number): void {
    if (size === this.#size) return;
    ftruncateSync(this.#fd, size);
    this.#size = size;
  }

  write(offset: number, bytes: Uint8Array): void {
    let done = 0;
    while (done < bytes.byteLength) done += writeSync(this.#fd, bytes, done, bytes.byteLength - done, offset + done);
    this.#size = Math.max(this.#size, offset + bytes.byteLength);
  }

  /** Same without holding up the event loop: for large pieces, one at a time. */
  async writeBeside(offset: number, bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.byteLength; ) {
      const length = Math.min(bytes.byteLength - done, writeBytesMax);
      const { bytesWritten } = await writeAsync(this.#fd, bytes, done, length, offset + done);
      done += bytesWritten;
    }
    this.#size = Math.max(this.#size, offset + bytes.byteLength);
    if (this.#isSyncedLater) this.#writeBack.wrote(bytes.byteLength);
  }

  /** A group of writes is complete: from here on any other change of the file is foreign. */
  rememberWrites(): void {
    this.#leftNs = fstatSync(this.#fd, { bigint: true }).mtimeNs;
  }

  /**
   * Returns false if another process wrote to the file since `rememberWrites`, or put another in its place: an
   * operator's SQL on a secondary, an application that escaped its process group. A write within the same tick of the
   * file system's clock as our last write shows only with our next one.
   */
  isAsLeft(): boolean {
    const stats = statSync(this.#path, { bigint: true, throwIfNoEntry: false });
    return (
      stats !== undefined &&
      stats.mtimeNs === this.#leftNs &&
      Number(stats.size) === this.#size &&
      sameFile(identityOf(stats), identityOfFd(this.#fd))
    );
  }

  sync(): Promise<void> {
    return this.#writeBack.sync();
  }

  async remove(): Promise<void> {
    await this.close();
    await removeFiles(this.#path);
  }

  async close(): Promise<void> {
    await this.#writeBack.settled();
    if (this.#isOpen) closeSync(this.#fd);
    this.#isOpen = false;
  }
}

/**
 * Returns the first folder between `root` and a file below it that is a link, if this process is root and another user
 * could have made it.
 */
export function linkOnTheWay(root: string, path: FilePath): FilePath | undefined {
  if (process.geteuid?.() !== 0 || statSync(root).uid === 0) return undefined;
  const folders: FilePath[] = [];
  for (let folder = folderOf(path); folder.length > root.length; folder = folderOf(folder)) folders.unshift(folder);
  return folders.find((folder) => entryAt(folder)?.isSymbolicLink() === true);
}

/** Throws `ReplicaError` if there is such a link on the way to a database. */
export function assertNoLink(root: string, name: string): void {
  const link = linkOnTheWay(root, pathOf(root, name));
  if (link !== undefined) throw new ReplicaError(name, `a link at ${textOf(link)}`, "a folder", "foreign");
}

/**
 * Returns a former file of a database that can be taken over. Undefined: there is none, writing would change it under
 * another name too, this process may not write to it or give it a mode, or `user` does not own it: its user may have
 * been able to move it there, and not to read it.
 */
export function formerAt(path: FilePath, user?: number): Stats | undefined {
  const stats = entryAt(path);
  if (stats?.isFile() !== true || stats.nlink !== 1) return undefined;
  const own = process.geteuid?.() ?? 0;
  const isOurs =
    own === 0 ? stats.uid === (user ?? stats.uid) : stats.uid === own && (stats.mode & ownerWrites) === ownerWrites;
  return isOurs ? stats : undefined;
}

function openFormer(path: FilePath, user: number): number | undefined {
  if (formerAt(path, user) === undefined) return undefined;
  try {
    return openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
  } catch {
    // The new file that is made instead tells what is wrong with the disk.
    return undefined;
  }
}

/** Also an empty folder of this name: the databases that were in it are gone. */
async function removeFiles(path: FilePath): Promise<void> {
  if (entryAt(path)?.isDirectory() === true) await rmdir(path);
  for (const suffix of databaseSuffixes) await rm(withSuffix(path, suffix), { force: true });
}

/** The owner first: a change of it clears bits of the mode. Only root can give a file away. */
function give(fd: number, { mode, uid, gid }: FileAccess): void {
  const now = fstatSync(fd);
  if (process.geteuid?.() === 0 && (now.uid !== uid || now.gid !== gid)) fchownSync(fd, uid, gid);
  fchmodSync(fd, mode);
}

/** Makes a folder with those above it; new ones belong to this owner. Only root can give them away. */
export async function makeFolders(path: FilePath, { uid, gid }: Omit<FileAccess, "mode">): Promise<void> {
  const first: FilePath | undefined = await mkdir(path, { recursive: true });
  if (first === undefined || process.geteuid?.() !== 0) return;
  for (let folder = path; folder.length >= first.length; folder = folderOf(folder)) chownSync(folder, uid, gid);
}

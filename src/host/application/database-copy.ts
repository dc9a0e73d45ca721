/**
 * Copies databases that are not written meanwhile: a clone if the file system shares blocks (XFS, btrfs), else piece by
 * piece.
 *
 * Piece by piece, so that the copy ends at once when it is given up: a host that is to become primary waits for the
 * reader of these files. The free space is checked before anything is written: the copy shares the disk with the
 * replica, which must continue.
 */
import { constants, copyFile, type FileHandle, mkdir, open, readlink, realpath, stat, statfs } from "node:fs/promises";
import { type FilePath, folderOf, pathOf } from "../../capture/data-path.ts";
import { OperatorError } from "../../runtime/operator-error.ts";

/** There is no room for the copy. */
export class NoSpaceError extends OperatorError {
  constructor(folder: string, neededBytes: number, freeBytes: number) {
    super("resource", {
      found: `the disk of ${folder} has ${megabytes(freeBytes)} free`,
      accepted: `${megabytes(neededBytes)} for the copy, and ${megabytes(spareBytesMin)} to spare`,
      advice: "free space there, or rehearse on another host",
    });
  }
}

const pieceBytes = 1024 * 1024;
/** Left free beside the copy: for records that arrive meanwhile, and for the application's writes. */
const spareBytesMin = 256 * 1024 * 1024;

/** Something that is not the file itself: the application's user may have put a link there. */
export class CopiedLinkError extends OperatorError {
  constructor(path: string) {
    super("resource", {
      found: `${path} is a link, or behind one`,
      accepted: "files as the journal has them",
      advice: "restart this host: it restores the files; nothing else may write to the files of a secondary",
    });
  }
}

/**
 * Copies files of which another user can write to the folders: a link there is not followed, since this host may be
 * root and the application can read the copy. Rejects with CopiedLinkError, and as `copyDatabases`.
 */
export async function copyFiles(
  paths: readonly string[],
  from: string,
  to: string,
  signal: AbortSignal,
): Promise<void> {
  const root = await realpath(from);
  let clones = true;
  for (const [at, path] of paths.entries()) {
    signal.throwIfAborted();
    const target = pathOf(to, path);
    await mkdir(folderOf(target), { recursive: true });
    const source = await openItself(pathOf(root, path), `${from}/${path}`);
    try {
      if (clones && (await clone(`/proc/self/fd/${source.fd}`, target))) continue;
      if (clones) await ensureSpace(paths.slice(at), from, to);
      clones = false;
      await copyFrom(source, target, signal);
    } finally {
      await source.close();
    }
  }
}

/** The kernel names the path that was opened, whatever is there by now. */
async function openItself(path: FilePath, name: string): Promise<FileHandle> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch((error: NodeJS.ErrnoException) => {
    throw error.code === "ELOOP" ? new CopiedLinkError(name) : error;
  });
  const opened = await readlink(`/proc/self/fd/${file.fd}`, { encoding: "buffer" });
  if (Buffer.compare(opened, Buffer.from(path)) === 0) return file;
  await file.close();
  throw new CopiedLinkError(name);
}

/** Rejects with `NoSpaceError`, with the signal's reason, or with the disk's error. What was copied by then stays. */
export async function copyDatabases(
  names: readonly string[],
  from: string,
  to: string,
  signal: AbortSignal,
): Promise<void> {
  const uncloned: string[] = [];
  for (const name of names) {
    signal.throwIfAborted();
    await mkdir(folderOf(pathOf(to, name)), { recursive: true });
    if (uncloned.length > 0 || !(await clone(pathOf(from, name), pathOf(to, name)))) uncloned.push(name);
  }
  if (uncloned.length === 0) return;
  await ensureSpace(uncloned, from, to);
  for (const name of uncloned) await copyInPieces(pathOf(from, name), pathOf(to, name), signal);
}

/** Returns false if this file system cannot clone. Any other cause of the failure shows when the file is copied. */
async function clone(from: FilePath, to: FilePath): Promise<boolean> {
  try {
    await copyFile(from, to, constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch {
    return false;
  }
}

async function ensureSpace(names: readonly string[], from: string, to: string): Promise<void> {
  let bytes = 0;
  for (const name of names) bytes += (await stat(pathOf(from, name))).size;
  const { bavail, bsize } = await statfs(to);
  const free = bavail * bsize;
  if (free >= bytes + spareBytesMin) return;
  throw new NoSpaceError(to, bytes, free);
}

const megabytes = (bytes: number): string => `${Math.ceil(bytes / 1_000_000)} MB`;

async function copyInPieces(from: FilePath, to: FilePath, signal: AbortSignal): Promise<void> {
  const source = await open(from, "r");
  try {
    await copyFrom(source, to, signal);
  } finally {
    await source.close();
  }
}

async function copyFrom(source: FileHandle, to: FilePath, signal: AbortSignal): Promise<void> {
  const target = await open(to, "w");
  await pipePieces(source, target, signal).finally(() => target.close());
}

async function pipePieces(source: FileHandle, target: FileHandle, signal: AbortSignal): Promise<void> {
  const piece = new Uint8Array(pieceBytes);
  for (let offset = 0; ; ) {
    signal.throwIfAborted();
    const { bytesRead } = await source.read(piece, 0, pieceBytes, offset);
    if (bytesRead === 0) return;
    for (let written = 0; written < bytesRead; ) {
      written += (await target.write(piece, written, bytesRead - written, offset + written)).bytesWritten;
    }
    offset += bytesRead;
  }
}

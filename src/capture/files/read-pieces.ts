/**
 * Reads a file in pieces, as it is now: up to the size that it has when it is opened, and tolerant of what happens to
 * it meanwhile. A file that changes while it is read is told again by the kernel, and read again.
 *
 * A small file is read in one turn; of a larger one each piece is read off the event loop.
 */
import { constants } from "node:fs";
import { type FileAttributes, filePieceBytes } from "../../core/files/file-entry.ts";
import { type FileSystem, systemFiles } from "../../runtime/file-system.ts";
import { sha256 } from "../../runtime/sha256.ts";
import type { FilePath } from "../data-path.ts";
import { EventLoopBudget } from "../../runtime/event-loop-budget.ts";
import type { PieceMemory } from "./piece-memory.ts";
import { attributesOf, type FileStamp, isAbsent, fileStampOf } from "./file-look.ts";

/** Read on the event loop: what a thread would cost is more. */
const readAtOnceBytesMax = 64 * 1024;
// Never waits for the other end of a pipe, and never follows a link.
const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

const freshMemory = { take: (length: number): Buffer => Buffer.allocUnsafeSlow(length) };

export interface ReadFile extends FileAttributes {
  /** Before the first piece was read. */
  readonly stamp: FileStamp;
  /** Bytes that were read. */
  readonly size: number;
}

/** Takes a piece with its SHA-256 in hex; the bytes are its own. */
export type TakePiece = (index: number, hash: string, bytes: Uint8Array) => Promise<void> | void;

/** Returns undefined if no file is there any more. Throws what the file system says otherwise. */
export async function readPieces(
  path: FilePath,
  take: TakePiece,
  memory: Pick<PieceMemory, "take"> = freshMemory,
  fs: FileSystem = systemFiles,
): Promise<ReadFile | undefined> {
  const fd = openAt(path, fs);
  if (fd === undefined) return undefined;
  try {
    const stats = fs.fstatSync(fd, { bigint: true });
    if (!stats.isFile()) return undefined;
    const size = await readAll({ fs, fd }, Number(stats.size), take, memory);
    return { ...attributesOf(stats), stamp: fileStampOf(stats), size };
  } finally {
    fs.closeSync(fd);
  }
}

/** Returns one piece, or what is there of it; undefined if no file is there any more. */
export async function readPieceAt(
  path: FilePath,
  index: number,
  length: number,
  fs: FileSystem = systemFiles,
): Promise<Uint8Array | undefined> {
  const fd = openAt(path, fs);
  if (fd === undefined) return undefined;
  try {
    const bytes = Buffer.allocUnsafe(length);
    return bytes.subarray(0, await fill({ fs, fd }, bytes, index * filePieceBytes, length <= readAtOnceBytesMax));
  } finally {
    fs.closeSync(fd);
  }
}

interface OpenFile {
  readonly fs: FileSystem;
  readonly fd: number;
}

async function readAll(
  file: OpenFile,
  size: number,
  take: TakePiece,
  memory: Pick<PieceMemory, "take">,
): Promise<number> {
  const budget = new EventLoopBudget();
  const isSmall = size <= filePieceBytes;
  for (let at = 0; at < size; ) {
    const bytes = memory.take(Math.min(filePieceBytes, size - at));
    const count = await fill(file, bytes, at, isSmall);
    if (count === 0) return at;
    const piece = bytes.subarray(0, count);
    await take(at / filePieceBytes, sha256(piece).toString("hex"), piece);
    if (count < bytes.length) return at + count;
    at += count;
    await budget.yieldIfDue();
  }
  return size;
}

/** Returns less than the length of `into` only at the end of the file. */
async function fill({ fs, fd }: OpenFile, into: Uint8Array, position: number, isSmall: boolean): Promise<number> {
  let done = 0;
  while (done < into.length) {
    const [rest, from] = [into.length - done, position + done];
    const count = isSmall ? fs.readSync(fd, into, done, rest, from) : await fs.readLater(fd, into, done, rest, from);
    if (count === 0) break;
    done += count;
  }
  return done;
}

function openAt(path: FilePath, fs: FileSystem): number | undefined {
  try {
    return fs.openSync(path, flags);
  } catch (error) {
    // A link, or the end of a pipe without a reader, took its place.
    if (isAbsent(error) || ["ELOOP", "ENXIO"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}

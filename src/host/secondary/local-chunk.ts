/** Reads a piece of a local database file, trusted only if it is the wanted one. */
import { constants, type FileHandle, open } from "node:fs/promises";
import { type FilePath, pathOf } from "../../capture/data-path.ts";
import type { ChunkNames } from "../../vault/store/chunk-names.ts";

export interface WantedChunk {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
  /** Of its content (vault/store/chunk-names.ts). */
  readonly chunk: string;
}

/**
 * Reads it in the first of these folders that has the file. Returns undefined if none has, or if it is too short or has
 * other bytes.
 */
export async function readLocalChunk(
  folders: readonly string[],
  wanted: WantedChunk,
  names: ChunkNames,
): Promise<Uint8Array | undefined> {
  const file = await openFirst(folders.map((folder) => pathOf(folder, wanted.name)));
  if (file === undefined) return undefined;
  try {
    const content = Buffer.allocUnsafeSlow(wanted.length);
    const { bytesRead } = await file.read(content, 0, wanted.length, wanted.offset);
    return bytesRead === wanted.length && names.of(content).includes(wanted.chunk) ? content : undefined;
  } finally {
    await file.close();
  }
}

async function openFirst(paths: readonly FilePath[]): Promise<FileHandle | undefined> {
  for (const path of paths) {
    const file = await openFile(path);
    if (file !== undefined) return file;
  }
  return undefined;
}

/** The application's user may have left something else there: a pipe would be waited for, and a link lead elsewhere. */
async function openFile(path: FilePath): Promise<FileHandle | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
  const file = await open(path, flags).catch(() => undefined);
  if (file === undefined || (await file.stat()).isFile()) return file;
  await file.close();
  return undefined;
}

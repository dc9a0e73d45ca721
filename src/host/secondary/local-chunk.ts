/** Reads a piece of a local database file, trusted only if it is the wanted one. */
import { open } from "node:fs/promises";
import { pathOf } from "../../capture/data-path.ts";
import type { ChunkNames } from "../../vault/store/chunk-names.ts";

export interface WantedChunk {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
  /** Of its content (vault/store/chunk-names.ts). */
  readonly chunk: string;
}

/** Returns undefined if the file does not exist, is too short, or has other bytes. */
export async function readLocalChunk(
  folder: string,
  wanted: WantedChunk,
  names: ChunkNames,
): Promise<Uint8Array | undefined> {
  const file = await open(pathOf(folder, wanted.name), "r").catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const content = Buffer.allocUnsafeSlow(wanted.length);
    const { bytesRead } = await file.read(content, 0, wanted.length, wanted.offset);
    return bytesRead === wanted.length && names.of(content).includes(wanted.chunk) ? content : undefined;
  } finally {
    await file.close();
  }
}

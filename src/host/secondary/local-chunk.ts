/** Reads a piece of a local database file, trusted only if its hash is the wanted one. */
import { open } from "node:fs/promises";
import { pathOf } from "../../capture/data-path.ts";

export interface WantedChunk {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
  /** SHA-256 of the content, hex. */
  readonly hash: string;
}

/** Returns undefined if the file does not exist, is too short, or has other bytes. */
export async function readLocalChunk(
  folder: string,
  wanted: WantedChunk,
  hashOf: (content: Uint8Array) => string,
): Promise<Uint8Array | undefined> {
  const file = await open(pathOf(folder, wanted.name), "r").catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    const content = Buffer.alloc(wanted.length);
    const { bytesRead } = await file.read(content, 0, wanted.length, wanted.offset);
    return bytesRead === wanted.length && hashOf(content) === wanted.hash ? content : undefined;
  } finally {
    await file.close();
  }
}

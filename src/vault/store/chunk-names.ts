/**
 * The names of chunks. A chunk is named by its content, so that what a checkpoint has in common with the one before is
 * found and not written again.
 *
 * Without encryption the name is the SHA-256 of the content, which proves it. In an encrypted vault that would confirm
 * guesses of contents to who can read the folder, so the name is an HMAC of it with a key of the vault
 * (vault-keys.ts). Equal contents have equal names within one vault, and only there.
 */
import { sha256 } from "../../runtime/sha256.ts";

export interface ChunkNames {
  /**
   * Returns the names by which a chunk with this content is known, in hex; the first is what a new one is called.
   * `known`: its SHA-256 in hex, if the caller has found it.
   */
  of(content: Uint8Array, known?: string): readonly string[];
  /** True if new checkpoints may refer to the chunk with this key. Others are written again. */
  mayStay(key: string): boolean;
}

const plainNames: ChunkNames = {
  of: (content, known) => [known ?? sha256(content).toString("hex")],
  mayStay: () => true,
};

export const chunkNamesOf = (store: { readonly chunkNames?: ChunkNames | undefined }): ChunkNames =>
  store.chunkNames ?? plainNames;

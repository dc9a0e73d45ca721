/**
 * The files beside the databases in a checkpoint: a tree of entries whose contents are in chunks. store-files.ts writes
 * them; what is read here is proven by checksums and hashes.
 */
import { FileTree } from "../../core/files/file-tree.ts";
import { EventLoopBudget } from "../../runtime/event-loop-budget.ts";
import { sha256 } from "../../runtime/sha256.ts";
import { DamagedChunkError, UnknownFormatError } from "../errors.ts";
import { MalformedBytes } from "../log/bytes.ts";
import type { Store } from "../store/store.ts";
import { type CheckpointManifest } from "./checkpoint-manifest.ts";
import { readChunkOf } from "./stored-chunk.ts";
import { decodeTree, joinEntries, type NamedEntry } from "./tree-codec.ts";

/** The files as they are at the checkpoint's position. */
export interface CheckpointFiles {
  /** Does not change while the checkpoint is written. */
  readonly tree: FileTree;
  /** Returns a piece of a file, as it is in the tree; called for what is in no chunk, or whose chunk is damaged. */
  read(path: string, index: number): Promise<Uint8Array>;
}

/** Returns the keys of the chunks with the contents of a tree. */
export async function keysOfPieces(tree: FileTree | undefined): Promise<Set<string>> {
  const budget = new EventLoopBudget();
  const keys = new Set<string>();
  for (const [, entry] of tree?.entries() ?? []) {
    if (entry.kind !== "file") continue;
    for (const { place } of entry.pieces) if (place.kind === "chunk") keys.add(place.key);
    await budget.yieldIfDue();
  }
  return keys;
}

/** Returns all keys that a manifest and its tree name for files. */
export async function chunksOfFiles(
  manifest: Pick<CheckpointManifest, "files"> | undefined,
  tree: FileTree | undefined,
): Promise<Set<string>> {
  const keys = await keysOfPieces(tree);
  for (const key of manifest?.files?.chunks ?? []) keys.add(key);
  return keys;
}

/**
 * Returns the files of a checkpoint; undefined: it has none. Throws DamagedChunkError, UnknownFormatError, StoreError.
 */
export async function readTree(
  store: Store,
  { files }: Pick<CheckpointManifest, "files">,
): Promise<FileTree | undefined> {
  if (files === undefined) return undefined;
  const entries: NamedEntry[] = [];
  for (const key of files.chunks) entries.push(...(await readTreePart(store, key)));
  const tree = await treeOf(entries, files.chunks[0] ?? "");
  const [found, expected] = [tree.checksum, files.checksum].map((sum) => Buffer.from(sum).toString("hex"));
  if (found !== expected)
    throw new DamagedChunkError(files.chunks[0] ?? "", `files with checksum ${found}`, `${expected}`, treeName);
  return tree;
}

async function treeOf(entries: readonly NamedEntry[], key: string): Promise<FileTree> {
  const tree = new FileTree(sha256);
  const budget = new EventLoopBudget();
  for (const [path, entry] of joined(entries, key)) {
    tree.add(path, entry);
    await budget.yieldIfDue();
  }
  return tree;
}

function joined(entries: readonly NamedEntry[], key: string): readonly NamedEntry[] {
  try {
    return joinEntries(entries);
  } catch (error) {
    if (error instanceof MalformedBytes) throw new DamagedChunkError(key, error.found, error.expected, treeName);
    throw error;
  }
}

/** In messages, of chunks with the tree. */
export const treeName = "the files' tree";

/** Returns the entries in one chunk of a tree. Throws as `readTree`. */
export async function readTreePart(store: Store, key: string): Promise<NamedEntry[]> {
  try {
    return decodeTree(await readChunkOf(store, key, treeName, undefined));
  } catch (error) {
    if (error instanceof MalformedBytes) throw new DamagedChunkError(key, error.found, error.expected, treeName);
    throw error;
  }
}

/**
 * The files of the checkpoint on which the next one builds. Damage there costs writing everything again; what the
 * checkpoint refers to is then only what exists and is read again.
 */
export async function treeBefore(
  store: Store,
  base: CheckpointManifest | undefined,
  given: FileTree | undefined,
): Promise<FileTree | undefined> {
  if (base?.files === undefined) return undefined;
  if (given !== undefined && Buffer.compare(given.checksum, base.files.checksum) === 0) return given;
  try {
    return await readTree(store, base);
  } catch (error) {
    if (error instanceof DamagedChunkError || error instanceof UnknownFormatError) return undefined;
    throw error;
  }
}

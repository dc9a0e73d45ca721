/** Reads every manifest and every chunk that one refers to, each chunk once, and reports what is not what was written. */
import { chunkCountOf, type CheckpointManifest, databaseBytes, listCheckpoints, readManifest } from "./checkpoint-manifest.ts";
import { readChunk } from "./checkpoint.ts";
import { DamagedChunkError, DamagedManifestError, UnknownFormatError } from "./errors.ts";
import { type CheckpointReport, damage, type Finding, notice } from "./finding.ts";
import { checkpointKey, chunkPrefix, parseChunkKey } from "./keys.ts";
import type { Store } from "./store.ts";

export interface CheckpointsReport {
  readonly findings: readonly Finding[];
  /** Ascending. */
  readonly checkpoints: readonly CheckpointReport[];
  readonly manifests: readonly CheckpointManifest[];
  readonly chunks: number;
  readonly leftOverChunks: number;
}

export async function verifyCheckpoints(store: Store, signal?: AbortSignal): Promise<CheckpointsReport> {
  const chunks = await store.list(chunkPrefix);
  const findings: Finding[] = [];
  const checkpoints: CheckpointReport[] = [];
  const manifests: CheckpointManifest[] = [];
  const verified = new Map<string, boolean>();
  for (const position of await listCheckpoints(store)) {
    const manifest = await readOrReport(store, position, findings);
    if (manifest === undefined) {
      checkpoints.push({ position, wallTimeMs: undefined, databases: 0, bytes: 0, whole: false });
      continue;
    }
    manifests.push(manifest);
    const whole = await verifyChunks(store, manifest, verified, findings, signal);
    const bytes = manifest.databases.reduce((sum, database) => sum + databaseBytes(database), 0);
    checkpoints.push({ position, wallTimeMs: manifest.wallTimeMs, databases: manifest.databases.length, bytes, whole });
  }
  const left = chunks.filter((key) => !verified.has(key) && parseChunkKey(key) !== undefined);
  if (left.length > 0) findings.push(notice("left-over-chunks", left[0] ?? "", `${left.length} chunks belong to no checkpoint; clean-up removes them`));
  for (const key of chunks) if (parseChunkKey(key) === undefined) findings.push(notice("strange-key", key, `${key} is not a chunk`));
  return { findings, checkpoints, manifests, chunks: chunks.length, leftOverChunks: left.length };
}

async function readOrReport(store: Store, position: number, findings: Finding[]): Promise<CheckpointManifest | undefined> {
  try {
    return await readManifest(store, position);
  } catch (error) {
    if (error instanceof DamagedManifestError) findings.push(damage("damaged-manifest", error.key, error.message));
    else if (error instanceof UnknownFormatError) findings.push(damage("unknown-format", checkpointKey(position), error.message));
    else throw error;
    return undefined;
  }
}

async function verifyChunks(store: Store, manifest: CheckpointManifest, verified: Map<string, boolean>, findings: Finding[], signal?: AbortSignal): Promise<boolean> {
  let whole = true;
  for (const database of manifest.databases) {
    for (let index = 0; index < chunkCountOf(database); index += 1) {
      signal?.throwIfAborted();
      const key = database.chunks[index] ?? "";
      if (!verified.has(key)) verified.set(key, await isWhole(store, manifest, database.name, index, findings));
      whole = whole && verified.get(key) === true;
    }
  }
  return whole;
}

async function isWhole(store: Store, manifest: CheckpointManifest, database: string, index: number, findings: Finding[]): Promise<boolean> {
  try {
    await readChunk(store, manifest, database, index);
    return true;
  } catch (error) {
    if (error instanceof DamagedChunkError) findings.push(damage("damaged-chunk", error.key, error.message));
    else if (error instanceof UnknownFormatError) findings.push(damage("unknown-format", error.key, error.message));
    else throw error;
    return false;
  }
}

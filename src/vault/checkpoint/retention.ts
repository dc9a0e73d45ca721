/**
 * Removes from the vault what `core/retention.ts` declares no longer needed.
 *
 * Order: the newest announced checkpoint is whole (R6) → boundary, durable (R4) → records up to it, `epoch` records
 * never → manifests → chunks. A run that is interrupted anywhere leaves only things that the next run removes.
 *
 * Its process may freeze in the middle and wake up much later; its deletions may also be delayed by the store. A
 * primary runs it, or an operator beside a running primary. Why it removes nothing that is needed:
 * - Let N be the newest announced checkpoint at the time of planning. It deletes chunks written for checkpoints at
 *   positions ≤ N that no kept checkpoint refers to; N is kept.
 * - Every other checkpoint at a position > N was begun after N's manifest existed: its writer is either the one of N,
 *   which makes one checkpoint at a time, or a successor, whose claim came after N's announcement. Its base is the
 *   newest manifest in the vault at its beginning (checkpoint.ts), which is N or later, and it names only chunks that
 *   its base refers to or that were written behind it (NameableChunks in reuse.ts). By induction it refers only to
 *   chunks that N refers to, and to chunks written for positions > N. Neither is in the plan, and since keys carry the
 *   position, no later chunk ever gets a key that is in the plan. (With the epoch in the keys instead, a late deletion
 *   could meet a chunk that the same primary has written again since.)
 * - A checkpoint of the history (core/checkpoint-history.ts) is kept with the chunks that it refers to, like any other.
 *   A rule that begins to hold while a plan without it is carried out may lose one of them, which verify then names.
 * - Chunks of files (core/files) are also referred to by records of the log. Let B be the kept checkpoint at the
 *   boundary. A primary refers only to chunks that its tree has at that moment, or that it wrote for the same flush,
 *   under a position that was not written yet. By induction over the records after B each of them refers to a chunk of
 *   B's tree, which is kept, or to one under a position > B. Therefore only chunks up to B are in the plan.
 * - Records up to N are not needed by N or anything after it, whenever they are removed. A claim that lands in the hole
 *   finds the boundary (log-writer.ts).
 * - A fenced primary may still write a manifest at a position < N, with chunks that were removed meanwhile. It is not
 *   the newest, was never announced, and is removed by the next run. The newest manifest in the vault is therefore
 *   whole at any moment, announced or not: its position p is ≥ N for every plan ever made; for p = N it is kept, for p
 *   > N the argument above holds.
 */
import { planRetention, type RetentionPlan, type RetentionPolicy } from "../../core/retention.ts";
import type { Rules } from "../../core/rules.ts";
import {
  type CheckpointManifest,
  type HistoryPoint,
  listCheckpoints,
  readWholeManifest,
} from "./checkpoint-manifest.ts";
import { HistoryChunks, piecesIn, piecesOfPart } from "./history-chunks.ts";
import { DamagedChunkError } from "../errors.ts";
import { checkpointKey, chunkPrefix, parseChunkKey } from "../keys.ts";
import type { Log } from "../log/log.ts";
import type { Position } from "../record.ts";
import { deleteAll } from "../store/delete-all.ts";
import type { Store } from "../store/store.ts";

export interface CollectOptions {
  readonly store: Store;
  readonly log: Log;
  /** The newest checkpoint that a `checkpoint` record of the log names (position 0 needs none). */
  readonly newest: CheckpointManifest;
  /** Position of the last record of the log. */
  readonly logPosition: Position;
  readonly policy: RetentionPolicy;
  /** Wall-clock time. */
  readonly nowMs: number;
  readonly rules: Rules;
  /** What former clean-ups of this process have read of older checkpoints; default: nothing. */
  readonly history?: HistoryChunks | undefined;
  /** As in `RemoveOptions`. */
  readonly noEpochAfter?: Position;
  /** Only list what would be removed. */
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal | undefined;
}

export interface Collected {
  readonly plan: RetentionPlan;
  /** Names and keys of what was removed (or would be), in order. */
  readonly records: readonly string[];
  readonly checkpoints: readonly string[];
  readonly chunks: readonly string[];
  /** Up to the boundary. */
  readonly recordsKept: number;
}

/**
 * Throws DamagedManifestError or DamagedChunkError (R6: the newest checkpoint is not whole; nothing is removed),
 * StoreError.
 */
export async function collectGarbage(options: CollectOptions): Promise<Collected> {
  const { store, log, dryRun, signal } = options;
  const chunks = await listChunks(store);
  const chain = await announcedChain(store, options.newest, await log.boundary());
  const older = await olderCheckpoints(options, chain);
  const plan = planRetention({ ...options, checkpoints: await describeCheckpoints(store, chain, older) });
  const kept = plan.kept.map((position) => chain.get(position)).filter((manifest) => manifest !== undefined);
  const referenced = new Set(kept.flatMap(({ databases }) => databases.flatMap((database) => database.chunks)));
  const present = new Set(chunks);
  assertNewestIsWhole(options.newest, present);
  const trees = options.rules.has("files-chunks-of-checkpoints") ? kept : [];
  for (const key of await chunksOfTrees(store, options.newest, trees, present)) referenced.add(key);
  for (const position of plan.kept) for (const key of older.get(position)?.keys ?? []) referenced.add(key);
  const { names: records, kept: recordsKept } = await log.removeUpTo(plan.boundary, options);
  const collected: Collected = {
    plan,
    records,
    checkpoints: plan.removed.map(checkpointKey),
    chunks: chunks.filter(
      (key) => !referenced.has(key) && (parseChunkKey(key)?.position ?? Infinity) <= plan.chunksUpTo,
    ),
    recordsKept,
  };
  if (dryRun !== true)
    for (const keys of [collected.checkpoints, collected.chunks]) await deleteAll(store, keys, signal);
  return collected;
}

/**
 * Returns the newest announced checkpoint and those it links back to down to the boundary, as far as they still exist
 * and are whole.
 */
async function announcedChain(
  store: Store,
  newest: CheckpointManifest,
  boundary: Position,
): Promise<Map<Position, CheckpointManifest>> {
  const chain = new Map<Position, CheckpointManifest>();
  for (let manifest: CheckpointManifest | undefined = newest; manifest !== undefined; ) {
    chain.set(manifest.position, manifest);
    const link: CheckpointManifest["previous"] = manifest.previous;
    if (link === null || link.position >= manifest.position || link.position < boundary) break;
    const found: CheckpointManifest | undefined = await readWholeManifest(store, link.position);
    manifest = found?.manifestHash === link.manifestHash ? found : undefined;
  }
  return chain;
}

/** A checkpoint of the history, with the chunks that it needs. */
interface OlderCheckpoint extends HistoryPoint {
  readonly keys: readonly string[];
}

/** Returns those that the newest checkpoint names besides, as far as they still exist and are whole. */
async function olderCheckpoints(
  { store, newest, policy, history = new HistoryChunks() }: CollectOptions,
  chain: ReadonlyMap<Position, CheckpointManifest>,
): Promise<Map<Position, OlderCheckpoint>> {
  // Without rules none of them stays.
  const named = policy.history === undefined || policy.history.length === 0 ? [] : (newest.history ?? []);
  await history.keepOnly(named);
  const older = new Map<Position, OlderCheckpoint>();
  for (const point of named) {
    const keys = chain.has(point.position) ? undefined : await history.of(store, point);
    if (keys !== undefined) older.set(point.position, { ...point, keys });
  }
  return older;
}

async function describeCheckpoints(
  store: Store,
  ...announced: readonly ReadonlyMap<Position, { readonly wallTimeMs: number }>[]
): Promise<{ position: Position; wallTimeMs: number; announced: boolean }[]> {
  const positions = await listCheckpoints(store);
  return positions.map((position) => {
    const found = announced.map((each) => each.get(position)).find((each) => each !== undefined);
    return { position, wallTimeMs: found?.wallTimeMs ?? 0, announced: found !== undefined };
  });
}

/**
 * R6. The writer's announcement says that each chunk was written and read back; that it still exists is checked again.
 */
function assertNewestIsWhole(newest: CheckpointManifest, present: ReadonlySet<string>): void {
  for (const database of newest.databases) {
    for (const key of database.chunks) {
      if (!present.has(key)) throw new DamagedChunkError(key, "nothing", "a chunk", database.name);
    }
  }
}

/**
 * Returns the chunks that the files of these checkpoints need. A tree that is damaged tells nothing about its contents:
 * of the newest checkpoint that is an error, and of an older one, which cannot be restored any more, it is left out.
 */
async function chunksOfTrees(
  store: Store,
  newest: CheckpointManifest,
  kept: readonly CheckpointManifest[],
  present: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  const needed = new Set<string>();
  // Checkpoints have most of these chunks in common: each is read once.
  for (const manifest of [newest, ...kept])
    for (const key of manifest.files?.chunks ?? []) {
      if (needed.has(key)) continue;
      needed.add(key);
      for (const piece of await (manifest === newest ? piecesOfPart : piecesIn)(store, key)) {
        if (manifest === newest && !present.has(piece.key))
          throw new DamagedChunkError(piece.key, "nothing", "a chunk", piece.path);
        needed.add(piece.key);
      }
    }
  return needed;
}

export const listChunks = async (store: Store): Promise<string[]> =>
  (await store.list(chunkPrefix)).filter((key) => parseChunkKey(key) !== undefined);

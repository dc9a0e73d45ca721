/**
 * A service's databases as they were at a moment of the past, from nothing but the vault (design, sections 2 and 4).
 *
 * The newest whole checkpoint at or before the moment, then the journal up to it. It only reads the vault, so it may run beside
 * a cluster. What it gives is proven: each flush, and so the end, has the whole-database checksum that its primary had.
 * A position between two parts of one flush has no state of its own: the state before that flush is taken.
 *
 * Time is that of the primaries' calendars, as it stands in the records: it says where to stop reading, in the order of the
 * log. Where a calendar was set back, the first record that is later than the moment ends it.
 */
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { pathOf } from "../capture/data-path.ts";
import { Replica } from "../capture/replica.ts";
import { ReplicaError } from "../capture/replica-error.ts";
import type { DatabaseDelta } from "../core/delta.ts";
import { allRules } from "../core/rules.ts";
import { type CheckpointManifest, listCheckpoints, readChunk, readManifest, startOf } from "../vault/checkpoint.ts";
import { DamagedChunkError, DamagedManifestError } from "../vault/errors.ts";
import { FlushAssembler } from "../vault/flush-assembler.ts";
import { LogReader } from "../vault/log-reader.ts";
import type { LogRecord, Position } from "../vault/record.ts";
import type { Store } from "../vault/store.ts";
import { EmptyVaultError } from "./restorer.ts";

export type Moment =
  | { readonly kind: "newest" }
  /** The state after this record of the log. */
  | { readonly kind: "position"; readonly position: Position }
  /** The state at this calendar time, in milliseconds since 1970. */
  | { readonly kind: "time"; readonly wallTimeMs: number };

export interface RestoredDatabase {
  readonly name: string;
  readonly bytes: number;
  /** Hex; as `stead status` and the log have it. */
  readonly checksum: string;
}

export interface PointInTime {
  /** Of the last record that the databases contain. */
  readonly position: Position;
  readonly epoch: number;
  /** Calendar time of that record, milliseconds since 1970. */
  readonly wallTimeMs: number;
  /** The checkpoint that it was built on. */
  readonly checkpoint: Position;
  readonly databases: readonly RestoredDatabase[];
}

export interface PointInTimeOptions {
  readonly store: Store;
  readonly service: string;
  readonly moment: Moment;
  /** Absolute path: a folder that is empty or not there yet. It gets all of the databases, or stays as it is. */
  readonly folder: string;
  readonly signal?: AbortSignal | undefined;
  /** A newer checkpoint is damaged, and an older one is used instead. */
  readonly onWarning: (text: string) => void;
}

/** The vault does not go back that far, or not up to there. */
export class MomentError extends Error {
  override readonly name = "MomentError";
  readonly accepted: string;
  readonly advice = "`stead vault ls --records` shows positions and times; how far back it goes is decided by host.checkpoint.keep and host.checkpoint.window";
  constructor(found: string, accepted: string) {
    super(`the vault does not have the state at ${found}`);
    this.accepted = accepted;
  }
}

/** The folder has something in it already: it would be mixed with what is restored. */
export class FolderInUseError extends Error {
  override readonly name = "FolderInUseError";
  readonly accepted = "a folder that is empty or does not exist yet";
  readonly advice = "name another folder, or move away what is in it";
  constructor(folder: string) {
    super(`${folder} is not empty`);
  }
}

/** Throws MomentError, FolderInUseError, EmptyVaultError, the vault's and the file system's errors, and the signal's reason. */
export async function restoreMoment(options: PointInTimeOptions): Promise<PointInTime> {
  const { folder } = options;
  await refuseFullFolder(folder);
  const partial = `${folder}.partial-${process.pid}`;
  try {
    const restored = await restoreInto(partial, options);
    await mkdir(folder, { recursive: true });
    await rename(partial, folder); // Onto an empty folder: all or nothing (rename(2)).
    return restored;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
}

async function refuseFullFolder(folder: string): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  if (names.length > 0) throw new FolderInUseError(folder);
}

async function restoreInto(root: string, options: PointInTimeOptions): Promise<PointInTime> {
  const { checkpoint, replica } = await loadCheckpoint(root, options);
  try {
    const last = await applyJournal(replica, checkpoint, options);
    await replica.sync();
    const databases: RestoredDatabase[] = [];
    for (const [name, checksum] of replica.checksums()) {
      databases.push({ name, bytes: (await stat(pathOf(root, name))).size, checksum: Buffer.from(checksum).toString("hex") });
    }
    const at = last ?? { position: checkpoint.position, epoch: checkpoint.epoch, wallTimeMs: checkpoint.wallTimeMs };
    return { ...at, checkpoint: checkpoint.position, databases };
  } finally {
    await replica.close();
  }
}

/** The newest one at or before the moment. Damage alone leads to an older one, and is told. */
async function loadCheckpoint(root: string, options: PointInTimeOptions): Promise<{ checkpoint: CheckpointManifest; replica: Replica }> {
  const { store, moment, signal, onWarning } = options;
  const positions = await listCheckpoints(store);
  if (positions.length === 0) throw new EmptyVaultError();
  let damage: Error | undefined;
  for (const position of positions.toReversed()) {
    signal?.throwIfAborted();
    if (moment.kind === "position" && position > moment.position) continue;
    const replica = await Replica.open({ root });
    try {
      const checkpoint = await readManifest(store, position);
      if (checkpoint !== undefined && isReached(moment, checkpoint)) {
        for (const database of checkpoint.databases) await replica.load({ ...database, chunks: chunksOf(options, checkpoint, database) });
        if (damage !== undefined) onWarning(`the checkpoint at position ${position} is used instead`);
        return { checkpoint, replica };
      }
    } catch (error) {
      await replica.close();
      if (!(error instanceof DamagedManifestError) && !(error instanceof DamagedChunkError)) throw error;
      damage ??= error;
      onWarning(error.message);
    }
    await replica.close();
    await rm(root, { recursive: true, force: true });
  }
  throw damage ?? (await tooEarly(store, moment, positions[0] ?? 0));
}

const isReached = (moment: Moment, at: { readonly position: Position; readonly wallTimeMs: number }): boolean =>
  moment.kind === "newest" || (moment.kind === "position" ? at.position <= moment.position : at.wallTimeMs <= moment.wallTimeMs);

async function* chunksOf({ store, signal }: PointInTimeOptions, manifest: CheckpointManifest, database: { readonly name: string; readonly chunks: readonly string[] }): AsyncGenerator<Uint8Array> {
  for (const index of database.chunks.keys()) {
    signal?.throwIfAborted();
    yield await readChunk(store, manifest, database.name, index);
  }
}

/** Applies whole flushes until the moment is passed. Returns the last record of the state; undefined: that of the checkpoint. */
async function applyJournal(replica: Replica, checkpoint: CheckpointManifest, options: PointInTimeOptions): Promise<Omit<PointInTime, "checkpoint" | "databases"> | undefined> {
  const { store, service, moment, signal } = options;
  const reader = new LogReader({ store, service, start: startOf(checkpoint), rules: allRules });
  const flush = new FlushAssembler();
  let last: LogRecord | undefined;
  for (let record = await reader.next(); record !== undefined; record = await reader.next()) {
    signal?.throwIfAborted();
    if (!isReached(moment, record.header)) break;
    const deltas = flush.push(record);
    if (deltas !== undefined) await applyOrSay(replica, deltas, record, last?.header.position ?? checkpoint.position);
    if (!flush.isOpen) last = record;
  }
  if (moment.kind === "position" && reader.position < moment.position) {
    throw new MomentError(`position ${moment.position}`, `up to ${reader.position}, the end of the log`);
  }
  return last === undefined ? undefined : { position: last.header.position, epoch: last.header.epoch, wallTimeMs: last.header.wallTimeMs };
}

/** A flush that its own checksum refuses: no host can apply it, nor what follows it. */
export class UnappliableFlushError extends Error {
  override readonly name = "UnappliableFlushError";
  readonly accepted: string;
  readonly advice: string;
  constructor(position: Position, whole: Position, cause: ReplicaError) {
    super(`the flush that ends at position ${position} cannot be applied: ${cause.message}`, { cause });
    this.accepted = `states up to position ${whole}`;
    this.advice = `restore the last state that is whole, at position ${whole}; a primary that still lives has the rest in its files: ask it for a checkpoint (stead checkpoint)`;
  }
}

async function applyOrSay(replica: Replica, deltas: readonly DatabaseDelta[], record: LogRecord, whole: Position): Promise<void> {
  try {
    await replica.apply([deltas]);
  } catch (error) {
    throw error instanceof ReplicaError ? new UnappliableFlushError(record.header.position, whole, error) : error;
  }
}

async function tooEarly(store: Store, moment: Moment, oldest: Position): Promise<MomentError> {
  const manifest = await readManifest(store, oldest);
  const since = manifest === undefined ? "" : ` (${new Date(manifest.wallTimeMs).toISOString()})`;
  const found = moment.kind === "time" ? new Date(moment.wallTimeMs).toISOString() : `position ${moment.kind === "position" ? moment.position : 0}`;
  return new MomentError(found, `from position ${oldest}${since} on`);
}

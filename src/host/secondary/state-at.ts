/**
 * Opens the state of a service at a moment in the past: its databases and files in a folder, from the vault alone.
 *
 * It loads the newest whole checkpoint at or before the moment, then the journal up to it, each flush proven by its
 * primary's checksum. Of a checkpoint below the retention boundary the journal is gone: it is one moment, by its
 * position or its exact time, and a moment between two of these is refused.
 *
 * What becomes of the state is up to the caller: `stead vault restore` gives the folder away (point-in-time.ts), a
 * rewind makes it the state of the service again (primary/prepared-rewind.ts).
 */
import { mkdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Replica } from "../../capture/replica.ts";
import { ReplicaError } from "../../capture/replica-error.ts";
import { fileUserOf } from "../../core/files/file-owner.ts";
import type { FileMatcher } from "../../core/files/file-pattern.ts";
import { allRules } from "../../core/rules.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import {
  type CheckpointManifest,
  listCheckpoints,
  readManifest,
  readWholeManifest,
  startOf,
} from "../../vault/checkpoint/checkpoint-manifest.ts";
import { PieceReader } from "../../vault/checkpoint/piece-reader.ts";
import { readTree } from "../../vault/checkpoint/checkpoint-files.ts";
import { CorruptRecordError, DamagedChunkError, DamagedManifestError } from "../../vault/errors.ts";
import { FlushAssembler } from "../../vault/log/flush-assembler.ts";
import type { Log } from "../../vault/log/log.ts";
import { LogReader, type LogStart } from "../../vault/log/log-reader.ts";
import type { LogRecord, Position } from "../../vault/record.ts";
import type { Store } from "../../vault/store/store.ts";
import { CheckpointLoading } from "./checkpoint-loading.ts";
import { type DiskSpace, mountPointOf, systemDiskSpace } from "./disk-space.ts";
import { Footprint } from "./restore-room.ts";
import { ReplicaWithFiles } from "./files/replica-with-files.ts";
import { EmptyVaultError } from "./restorer.ts";
import { applyFlush, UnappliableFlushError } from "./unappliable-flush.ts";

export type Moment =
  | { readonly kind: "newest" }
  /** The newest, or if a record is damaged or cannot be applied, the state before it. */
  | { readonly kind: "last-whole" }
  /** The state after this record of the log. */
  | { readonly kind: "position"; readonly position: Position }
  /** The state at this wall-clock time, in milliseconds since 1970. */
  | { readonly kind: "time"; readonly wallTimeMs: number };

export interface StateAtOptions {
  readonly store: Store;
  readonly log: Log;
  readonly moment: Moment;
  readonly signal?: AbortSignal | undefined;
  /** A newer checkpoint is damaged, and an older one is used instead. */
  readonly onWarning: (text: string) => void;
  /** Of loading the checkpoint, in bytes. */
  readonly onProgress?: ((bytes: number, totalBytes: number) => void) | undefined;
  readonly disk?: DiskSpace | undefined;
}

/** A state, open in its folder. The caller closes the replica. */
export interface StateAt {
  readonly replica: ReplicaWithFiles;
  /** The checkpoint that it was built on. */
  readonly checkpoint: CheckpointManifest;
  /** Of the last record that it has. */
  readonly wallTimeMs: number;
  /** Where a reader continues behind it. */
  readonly start: LogStart & { readonly epoch: number };
  /** Why nothing more could be applied, if that is no error. */
  readonly reason: string | undefined;
}

/** The vault does not go back that far, or does not reach that moment. */
export class MomentError extends OperatorError {
  constructor(moment: string, accepted: string) {
    const advice =
      "`stead vault ls --records` shows positions and times; host.checkpoint.keep, window and history decide how far back it goes";
    super("usage", { found: `the vault does not have the state at ${moment}`, accepted, advice });
  }
}

/** The databases do not fit there: a completely full disk would harm everything else on that machine. */
export class LittleRoomError extends OperatorError {
  constructor(disk: string, neededBytes: number, freeBytes: number) {
    super("resource", {
      found: `${freeBytes} bytes are free on the disk at ${disk}`,
      accepted: `${neededBytes} bytes or more, for the databases at that moment`,
      advice: `free ${neededBytes - freeBytes} bytes there, or name a folder on another disk`,
    });
  }
}

/** Where parts of a large flush wait for the last one: beside the databases, on the same disk. */
export const spoolFolderOf = (root: string): string => `${root}.spool`;

/**
 * `root`: a folder without databases. Throws MomentError, LittleRoomError, EmptyVaultError, UnappliableFlushError, the
 * vault's and the file system's errors, and the signal's reason.
 */
export async function openStateAt(root: string, options: StateAtOptions): Promise<StateAt> {
  const room = new Room(dirname(root), options.disk ?? systemDiskSpace);
  const { checkpoint, replica, isAlone } = await loadCheckpoint(root, room, options);
  try {
    const { last, reason } = isAlone ? nothingApplied : await applyJournal({ replica, checkpoint, room }, options);
    await replica.sync();
    const { position, epoch, hash, wallTimeMs } = last ?? checkpoint;
    return { replica, checkpoint, wallTimeMs, start: { position, epoch, hash }, reason };
  } catch (error) {
    await replica.close();
    throw error;
  }
}

/** A restore into a folder of its own writes all files that the vault has. */
const everything: FileMatcher = {
  covers: () => true,
  coversFolder: () => true,
  visits: () => true,
  excepts: () => false,
};

/** Loads the newest checkpoint at or before the moment. Only damage leads to an older one, and is reported. */
async function loadCheckpoint(
  root: string,
  room: Room,
  options: StateAtOptions,
): Promise<{ checkpoint: CheckpointManifest; replica: ReplicaWithFiles; isAlone: boolean }> {
  const { store, log, moment, signal, onWarning } = options;
  const boundary = await log.boundary();
  const positions = await listCheckpoints(store);
  if (positions.length === 0) throw new EmptyVaultError();
  let damage: Error | undefined;
  for (const position of positions.toReversed()) {
    signal?.throwIfAborted();
    if (moment.kind === "position" && position > moment.position) continue;
    // Nothing else below the boundary can be restored: it need not be loaded to find that out.
    if (position < boundary && !(await isMomentOf(store, position, moment))) continue;
    const spoolFolder = spoolFolderOf(root);
    await mkdir(spoolFolder, { recursive: true });
    const pieces = new PieceReader({ store, log });
    const replica = new ReplicaWithFiles(await Replica.open({ root, spoolFolder, isSyncedLater: true }), {
      ...{ root, matcher: everything, user: fileUserOf(process.geteuid?.() === 0, undefined) },
      ...{ fetch: (wanted) => pieces.read(wanted), isFresh: true },
    });
    try {
      const checkpoint = await readManifest(store, position);
      if (checkpoint !== undefined && isReached(moment, checkpoint)) {
        await room.ensure(new Footprint(checkpoint).total);
        const loading = new CheckpointLoading(options, checkpoint);
        for (const database of checkpoint.databases) await replica.load(loading.database(database));
        const tree = await readTree(store, checkpoint);
        if (tree !== undefined) await replica.loadFiles(tree, loading.onBytes, signal);
        if (damage !== undefined) onWarning(`the checkpoint at position ${position} is used instead`);
        return { checkpoint, replica, isAlone: position < boundary };
      }
    } catch (error) {
      await replica.close();
      if (
        !(error instanceof DamagedManifestError) &&
        !(error instanceof DamagedChunkError) &&
        !(error instanceof ReplicaError)
      )
        throw error;
      damage ??= error;
      onWarning(error.message);
    }
    await replica.close();
    await rm(root, { recursive: true, force: true });
  }
  throw damage ?? (await tooEarly(store, moment, boundary, "checkpoints"));
}

/** True if the checkpoint is the moment itself: nothing of the journal is needed. */
const isExactly = (moment: Moment, at: Point): boolean =>
  moment.kind === "position"
    ? at.position === moment.position
    : moment.kind === "time" && at.wallTimeMs === moment.wallTimeMs;

async function isMomentOf(store: Store, position: Position, moment: Moment): Promise<boolean> {
  if (moment.kind === "position") return position === moment.position;
  if (moment.kind !== "time") return false;
  // A damaged one is reported when it is loaded.
  const manifest = await readWholeManifest(store, position);
  return manifest !== undefined && isExactly(moment, manifest);
}

/** Checks for the space of a database's growth before it is written. */
class Room {
  readonly #folder: string;
  readonly #disk: DiskSpace;
  #ensuredBytes = 0;

  constructor(folder: string, disk: DiskSpace) {
    this.#folder = folder;
    this.#disk = disk;
  }

  /** Ensures room for this many bytes in all, including existing ones. Throws LittleRoomError. */
  async ensure(bytes: number): Promise<void> {
    if (bytes <= this.#ensuredBytes) return;
    const there = await this.#nearest(this.#folder);
    const freeBytes = this.#ensuredBytes + (await this.#disk.free(there));
    if (bytes > freeBytes) throw new LittleRoomError(await mountPointOf(there, this.#disk), bytes, freeBytes);
    this.#ensuredBytes = bytes;
  }

  /** Ensures room for this many more bytes, for a moment. Throws LittleRoomError. */
  async ensureFree(bytes: number): Promise<void> {
    const there = await this.#nearest(this.#folder);
    const freeBytes = await this.#disk.free(there);
    if (bytes > freeBytes) throw new LittleRoomError(await mountPointOf(there, this.#disk), bytes, freeBytes);
  }

  async #nearest(folder: string): Promise<string> {
    return (await this.#disk.device(folder)) !== undefined || dirname(folder) === folder
      ? folder
      : this.#nearest(dirname(folder));
  }
}

const contentBytes = ({ body }: LogRecord): number =>
  body.kind === "commit" ? body.databases.reduce((sum, { pages, pageSize }) => sum + pages.length * pageSize, 0) : 0;

interface Point {
  readonly position: Position;
  readonly wallTimeMs: number;
}

export function isReached(moment: Moment, at: Point): boolean {
  switch (moment.kind) {
    case "newest":
    case "last-whole":
      return true;
    case "position":
      return at.position <= moment.position;
    case "time":
      return at.wallTimeMs <= moment.wallTimeMs;
  }
}

interface Applied {
  /** The state's record; undefined: the state is that of the checkpoint. */
  readonly last: Pick<CheckpointManifest, "position" | "epoch" | "hash" | "wallTimeMs"> | undefined;
  /** Why nothing more could be applied, if that is no error. */
  readonly reason: string | undefined;
}

const nothingApplied: Applied = { last: undefined, reason: undefined };

/** Applies whole flushes until the moment is passed. */
async function applyJournal(
  {
    replica,
    checkpoint,
    room,
  }: { readonly replica: ReplicaWithFiles; readonly checkpoint: CheckpointManifest; readonly room: Room },
  options: StateAtOptions,
): Promise<Applied> {
  const { log, moment, signal } = options;
  const reader = new LogReader({ log, start: startOf(checkpoint), rules: allRules });
  const flushes = new FlushAssembler(replica.spool);
  const footprint = new Footprint(checkpoint);
  let last: Applied["last"];
  try {
    for (let record = await reader.next(); record !== undefined; record = await reader.next()) {
      signal?.throwIfAborted();
      const { position, epoch, wallTimeMs } = record.header;
      if (!isReached(moment, record.header)) break;
      if (flushes.isOpen) await room.ensureFree(contentBytes(record));
      const flush = flushes.push(record);
      if (flush !== undefined) {
        footprint.add(flush);
        await room.ensure(footprint.total);
        await applyFlush(replica, flush, last?.position ?? checkpoint.position);
      }
      if (!flushes.isOpen) last = { position, epoch, hash: record.hash, wallTimeMs };
    }
  } catch (error) {
    if (
      moment.kind !== "last-whole" ||
      !(error instanceof UnappliableFlushError || error instanceof CorruptRecordError)
    )
      throw error;
    return { last, reason: error.message };
  }
  if (moment.kind === "position" && reader.position < moment.position) {
    throw new MomentError(`position ${moment.position}`, `up to ${reader.position}, the end of the log`);
  }
  return { last, reason: undefined };
}

/** `boundary`: of the log. `reach`: a moment may be a state that the journal leads to, or any checkpoint too. */
export async function tooEarly(
  store: Store,
  moment: Moment,
  boundary: Position,
  reach: "journal" | "checkpoints",
): Promise<MomentError> {
  const found =
    moment.kind === "time"
      ? new Date(moment.wallTimeMs).toISOString()
      : `position ${moment.kind === "position" ? moment.position : 0}`;
  const alone: Point[] = [];
  let first: Point | undefined;
  for (const each of await listCheckpoints(store)) {
    if (each < boundary && reach === "journal") continue;
    const manifest = await readWholeManifest(store, each);
    if (manifest === undefined) continue;
    const { position, wallTimeMs } = manifest;
    if (position >= boundary) {
      first = { position, wallTimeMs };
      break;
    }
    alone.push({ position, wallTimeMs });
  }
  // The nearest ones on both sides.
  const near = [alone.findLast((each) => isReached(moment, each)), alone.find((each) => !isReached(moment, each))];
  const kept = near.filter((each) => each !== undefined).map(describePoint);
  const accepted = first === undefined ? [] : [`from ${describePoint(first)} on`];
  if (kept.length > 0)
    accepted.push(`exactly ${kept.join(" or ")}, where a checkpoint is kept without the log after it`);
  return new MomentError(found, accepted.length === 0 ? "nothing: no checkpoint is whole" : accepted.join("; "));
}

const describePoint = ({ position, wallTimeMs }: Point): string =>
  `position ${position} (${new Date(wallTimeMs).toISOString()})`;

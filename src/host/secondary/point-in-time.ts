/**
 * Restores a service's databases as of a moment in the past, from the vault alone.
 *
 * It loads the newest whole checkpoint at or before the moment, then the journal up to it. It only reads the vault, so
 * it may run beside a cluster. The result is proven: each flush, and so the end, has its primary's whole-database
 * checksum. A position between two parts of one flush has no state: the state before that flush is taken. An
 * unappliable flush ends a restore with an error that names it, unless the last whole state was requested.
 *
 * Time is the primaries' wall clock, as recorded: it determines where to stop reading, in the order of the log. If a
 * wall clock was set back, the first record later than the moment ends the restore.
 */
import { mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pathOf } from "../../capture/data-path.ts";
import { Replica } from "../../capture/replica.ts";
import { ReplicaError } from "../../capture/replica-error.ts";
import { fileUserOf } from "../../core/files/file-owner.ts";
import type { FileMatcher } from "../../core/files/file-pattern.ts";
import { allRules } from "../../core/rules.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import {
  type CheckpointManifest,
  listCheckpoints,
  readChunk,
  readManifest,
  startOf,
} from "../../vault/checkpoint/checkpoint.ts";
import { PieceReader } from "../../vault/checkpoint/piece-reader.ts";
import { readTree } from "../../vault/checkpoint/checkpoint-files.ts";
import { databaseBytes } from "../../vault/checkpoint/checkpoint-manifest.ts";
import { CorruptRecordError, DamagedChunkError, DamagedManifestError } from "../../vault/errors.ts";
import { FlushAssembler } from "../../vault/log/flush-assembler.ts";
import type { Log } from "../../vault/log/log.ts";
import { type LogRest, readRest } from "../../vault/log/log-rest.ts";
import { LogReader } from "../../vault/log/log-reader.ts";
import type { LogRecord, Position } from "../../vault/record.ts";
import type { Store } from "../../vault/store/store.ts";
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

export interface RestoredDatabase {
  readonly name: string;
  readonly bytes: number;
  /** Hex, as in `stead status` and the log. */
  readonly checksum: string;
}

export interface RestoredFiles {
  /** Files, links and folders. */
  readonly count: number;
  readonly bytes: number;
  /** Hex, as in the log. */
  readonly checksum: string;
}

export interface PointInTime {
  /** Position of the last record that the databases contain. */
  readonly position: Position;
  readonly epoch: number;
  /** Wall-clock time of that record, milliseconds since 1970. */
  readonly wallTimeMs: number;
  /** The checkpoint that it was built on. */
  readonly checkpoint: Position;
  readonly databases: readonly RestoredDatabase[];
  /** The files beside them; null: there are none. */
  readonly files: RestoredFiles | null;
  /** Why the last whole state is not the end of the log, and what is not in it; null: nothing was left out for that. */
  readonly leftOut: LeftOut | null;
}

export interface LeftOut extends LogRest {
  readonly reason: string;
}

export interface PointInTimeOptions {
  readonly store: Store;
  readonly log: Log;
  readonly moment: Moment;
  /** Absolute path of a folder that is empty or does not exist. It gets all of the databases, or stays unchanged. */
  readonly folder: string;
  readonly signal?: AbortSignal | undefined;
  /** A newer checkpoint is damaged, and an older one is used instead. */
  readonly onWarning: (text: string) => void;
  /** Of loading the checkpoint, in bytes. */
  readonly onProgress?: (bytes: number, totalBytes: number) => void;
  readonly disk?: DiskSpace;
}

/** The vault does not go back that far, or does not reach that moment. */
export class MomentError extends OperatorError {
  constructor(moment: string, accepted: string) {
    const advice =
      "`stead vault ls --records` shows positions and times; host.checkpoint.keep and host.checkpoint.window decide how far back it goes";
    super("usage", { found: `the vault does not have the state at ${moment}`, accepted, advice });
  }
}

/** The folder is not empty: its contents would be mixed with the restored files. */
export class FolderInUseError extends OperatorError {
  constructor(folder: string) {
    super("resource", {
      found: `${folder} is not empty`,
      accepted: "a folder that is empty or does not exist",
      advice: "name another folder, or move away what is in it",
    });
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

/**
 * Throws MomentError, FolderInUseError, LittleRoomError, EmptyVaultError, UnappliableFlushError, the vault's and the
 * file system's errors, and the signal's reason.
 */
export async function restoreMoment(options: PointInTimeOptions): Promise<PointInTime> {
  const { folder, disk = systemDiskSpace } = options;
  const device = await disk.device(folder);
  const isMountPoint = device !== undefined && device !== (await disk.device(dirname(folder)));
  await refuseFullFolder(folder, isMountPoint ? "lost+found" : undefined);
  const name = `.partial-${process.pid}`;
  const partial = isMountPoint ? join(folder, name) : `${folder}${name}`;
  try {
    const restored = await restoreInto(partial, options);
    if (isMountPoint) {
      // Nothing can be renamed onto it. A failure in between leaves some files there, which makes the next restore
      // refuse.
      for (const entry of await readdir(partial)) await rename(join(partial, entry), join(folder, entry));
      await rm(partial, { recursive: true });
    } else {
      await mkdir(folder, { recursive: true });
      await rename(partial, folder); // Onto an empty folder: all or nothing (rename(2)).
    }
    return restored;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  } finally {
    await rm(spoolFolderOf(partial), { recursive: true, force: true });
  }
}

/** Where parts of a large flush wait for the last one: beside the databases, on the same disk. */
const spoolFolderOf = (root: string): string => `${root}.spool`;

/** `system`: a folder that the file system itself has at its root. */
async function refuseFullFolder(folder: string, system: string | undefined): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  if (names.some((name) => name !== system)) throw new FolderInUseError(folder);
}

async function restoreInto(root: string, options: PointInTimeOptions): Promise<PointInTime> {
  const room = new Room(dirname(root), options.disk ?? systemDiskSpace);
  const { checkpoint, replica } = await loadCheckpoint(root, room, options);
  try {
    const { last, reason } = await applyJournal({ replica, checkpoint, room }, options);
    await replica.sync();
    const databases: RestoredDatabase[] = [];
    for (const [name, checksum] of replica.checksums()) {
      databases.push({
        name,
        bytes: (await stat(pathOf(root, name))).size,
        checksum: Buffer.from(checksum).toString("hex"),
      });
    }
    const at = last ?? { position: checkpoint.position, epoch: checkpoint.epoch, wallTimeMs: checkpoint.wallTimeMs };
    const rest = reason === undefined ? undefined : await readRest(options.log, at.position, options.signal);
    return {
      ...at,
      checkpoint: checkpoint.position,
      databases,
      files: filesIn(replica),
      leftOut: rest === undefined || reason === undefined ? null : { ...rest, reason },
    };
  } finally {
    await replica.close();
  }
}

function filesIn(replica: ReplicaWithFiles): RestoredFiles | null {
  const state = replica.filesState();
  return state === undefined ? null : { ...state, checksum: Buffer.from(state.checksum).toString("hex") };
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
  options: PointInTimeOptions,
): Promise<{ checkpoint: CheckpointManifest; replica: ReplicaWithFiles }> {
  const { store, log, moment, signal, onWarning } = options;
  const positions = await listCheckpoints(store);
  if (positions.length === 0) throw new EmptyVaultError();
  let damage: Error | undefined;
  for (const position of positions.toReversed()) {
    signal?.throwIfAborted();
    if (moment.kind === "position" && position > moment.position) continue;
    const spoolFolder = spoolFolderOf(root);
    await mkdir(spoolFolder, { recursive: true });
    const pieces = new PieceReader({ store, log });
    const replica = new ReplicaWithFiles(await Replica.open({ root, spoolFolder }), {
      ...{ root, matcher: everything, user: fileUserOf(process.geteuid?.() === 0, undefined) },
      ...{ fetch: (wanted) => pieces.read(wanted), isDurable: true },
    });
    try {
      const checkpoint = await readManifest(store, position);
      if (checkpoint !== undefined && isReached(moment, checkpoint)) {
        await room.ensure(new Footprint(checkpoint).total);
        const ofFiles = checkpoint.files?.bytes ?? 0;
        const total = checkpoint.databases.reduce((sum, database) => sum + databaseBytes(database), ofFiles);
        let done = 0;
        const onChunk = ({ length }: Uint8Array): void => options.onProgress?.((done += length), total);
        for (const database of checkpoint.databases)
          await replica.load({ ...database, chunks: chunksOf(options, checkpoint, database, onChunk) });
        const tree = await readTree(store, checkpoint);
        if (tree !== undefined)
          await replica.loadFiles(tree, (bytes) => options.onProgress?.((done += bytes), total), signal);
        if (damage !== undefined) onWarning(`the checkpoint at position ${position} is used instead`);
        return { checkpoint, replica };
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
  throw damage ?? (await tooEarly(store, moment, positions[0] ?? 0));
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

function isReached(moment: Moment, at: { readonly position: Position; readonly wallTimeMs: number }): boolean {
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

async function* chunksOf(
  { store, signal }: PointInTimeOptions,
  manifest: CheckpointManifest,
  database: { readonly name: string; readonly chunks: readonly string[] },
  onChunk: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  for (const index of database.chunks.keys()) {
    signal?.throwIfAborted();
    const chunk = await readChunk(store, manifest, database.name, index);
    yield chunk;
    onChunk(chunk);
  }
}

interface Applied {
  /** The state's record; undefined: the state is that of the checkpoint. */
  readonly last: Pick<PointInTime, "position" | "epoch" | "wallTimeMs"> | undefined;
  /** Why nothing more could be applied, if that is no error. */
  readonly reason: string | undefined;
}

/** Applies whole flushes until the moment is passed. */
async function applyJournal(
  {
    replica,
    checkpoint,
    room,
  }: { readonly replica: ReplicaWithFiles; readonly checkpoint: CheckpointManifest; readonly room: Room },
  options: PointInTimeOptions,
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
      if (!flushes.isOpen) last = { position, epoch, wallTimeMs };
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

async function tooEarly(store: Store, moment: Moment, oldest: Position): Promise<MomentError> {
  const manifest = await readManifest(store, oldest);
  const since = manifest === undefined ? "" : ` (${new Date(manifest.wallTimeMs).toISOString()})`;
  const found =
    moment.kind === "time"
      ? new Date(moment.wallTimeMs).toISOString()
      : `position ${moment.kind === "position" ? moment.position : 0}`;
  return new MomentError(found, `from position ${oldest}${since} on`);
}

/**
 * The restorer: brings the local databases to the end of the log, from the vault alone.
 *
 * It loads the newest checkpoint whose manifest and chunks verify, then the journal after it. If the newest is damaged
 * an older one is used and the damage is reported; retention keeps the journal that an older checkpoint needs. Chunks
 * that the old local files still have are taken from there, compared by hash, so that a returning host does not load
 * what it already has. If the old files are all in the journal they are not copied either, but taken over; so are those
 * of a restore that was interrupted.
 *
 * Moved data is removed only once it is proven to be in the journal: a secondary's files always are; a primary's are if
 * their exact state occurs in it (divergence.ts).
 */
import type { LoadedDatabase } from "../../capture/page-tables.ts";
import { ReplicaError } from "../../capture/replica-error.ts";
import type { FileTree } from "../../core/files/file-tree.ts";
import { wholeState } from "../../core/files/whole-state.ts";
import type { Clock } from "../../runtime/clock.ts";
import { messageOf, OperatorError } from "../../runtime/operator-error.ts";
import type { Rules } from "../../core/rules.ts";
import { type CheckpointManifest, listCheckpoints, readManifest, startOf } from "../../vault/checkpoint/checkpoint.ts";
import { readTree } from "../../vault/checkpoint/checkpoint-files.ts";
import { type Log, readEpochRecord } from "../../vault/log/log.ts";
import { LogReader } from "../../vault/log/log-reader.ts";
import type { LogRecord, Position } from "../../vault/record.ts";
import type { Store } from "../../vault/store/store.ts";
import { isVaultError } from "../../vault/errors.ts";
import { isTransient } from "../../vault/store/retry.ts";
import { CheckpointLoading, type LoadingOptions } from "./checkpoint-loading.ts";
import { Divergence } from "./divergence.ts";
import { type ApplyTarget, type EpochSeen, Follower } from "./follower.ts";
import { FilesBeganError } from "./files/file-replica.ts";
import type { LocalPort } from "./local-data.ts";
import { Footprint, freshMemory, FullDiskError, isFullDisk, RestoreRoom, type RoomMemory } from "./restore-room.ts";

/** Pause between two reads of a vault that does not answer. */
const readRetryMs = 500;

/** The local databases of a secondary, with what a restore needs beyond applying. */
export interface RestoreTarget extends ApplyTarget {
  load(database: LoadedDatabase): Promise<void>;
  /** Writes the files beside the databases; left out: this target has none. */
  loadFiles?(tree: FileTree, onBytes: (bytes: number) => void, signal?: AbortSignal): Promise<void>;
  /** Of the files as of the last flush. */
  filesChecksum?(): Uint8Array | undefined;
  /** True if the journal has a file of this path, or had it since the checkpoint. */
  knowsFile?(path: string): boolean;
  /** The restore is over: `knowsFile` is not asked any more. */
  restored?(): void;
  close(): Promise<void>;
}

export interface RestoreOptions<Target extends RestoreTarget> extends LoadingOptions {
  readonly log: Log;
  readonly clock: Clock;
  readonly rules: Rules;
  readonly local: LocalPort;
  /** A fresh target over the (cleared) data folder. */
  readonly openTarget: () => Promise<Target>;
  /** The vault does not answer and is retried; the warning is over with the next record. */
  readonly onVaultFailure: (text: string) => void;
  readonly onWarning: (text: string) => void;
  readonly onRecord: (record: LogRecord) => void;
  readonly signal: AbortSignal;
  /** Kept between tries; default: this is the only try. */
  readonly memory?: RoomMemory | undefined;
}

export interface Restored<Target extends RestoreTarget> {
  readonly target: Target;
  readonly follower: Follower;
  readonly checkpoint: CheckpointManifest;
  /** Where data was kept, if any. */
  readonly setAside: SetAsideData | undefined;
}

export interface SetAsideData {
  readonly folder: string;
  /** `state`: of a former primary, committed and never acknowledged. `files`: of whose paths the journal has none. */
  readonly what: "state" | "files";
}

/** There is no checkpoint yet: no host has been told to bootstrap this vault. */
export class EmptyVaultError extends OperatorError {
  constructor() {
    super("vault", {
      found: "the vault is empty: no host has written the first checkpoint yet",
      advice: "start a host with `bootstrap = true` to write it",
    });
  }
}

/** Runs one restore; throws what makes it impossible now. The caller retries later. */
export async function restore<Target extends RestoreTarget>(
  options: RestoreOptions<Target>,
): Promise<Restored<Target>> {
  const { local, memory = freshMemory(), onWarning } = options;
  // Before a file is moved: this host may be told to begin the vault with them.
  if ((await listCheckpoints(options.store)).length === 0) throw new EmptyVaultError();
  const isPreviousJournaled = async (): Promise<boolean> => {
    const divergence = new Divergence(await local.previousChecksums(), options.rules);
    await divergence.searchBefore(Infinity, options);
    return divergence.isRefuted;
  };
  let hasFiles: boolean | undefined;
  const previous = await local.moveAway(async () => (hasFiles = await hasFilesInJournal(options.store, memory)));
  const room = new RestoreRoom({ local, previous, memory, isPreviousJournaled, onWarning });
  const failed = async (error: unknown): Promise<unknown> => {
    if (error instanceof FilesBeganError) memory.hasJournalFiles = true;
    return room.after(error);
  };
  const { target, checkpoint } = await loadNewest(options, room, hasFiles === false).catch(async (error: unknown) => {
    throw await failed(error);
  });
  try {
    const divergence =
      room.previous.kind === "secondary" ? undefined : new Divergence(await local.previousChecksums(), options.rules);
    const compare = (): void => divergence?.compare(wholeState(target.checksums(), target.filesChecksum?.()));
    compare();
    const follower = new Follower({
      reader: new LogReader({
        log: options.log,
        start: startOf(checkpoint),
        rules: options.rules,
      }),
      target: watched(target, new Footprint(checkpoint), memory, compare),
      clock: options.clock,
      onRecord: options.onRecord,
      epochAtStart: await epochAt(options.log, checkpoint),
    });
    await catchUpPatiently(follower, options);
    if (divergence?.isRefuted === false) await divergence.searchBefore(checkpoint.position, options);
    const setAside = await setAsideFrom(local, divergence, target, options.clock.wallTime());
    target.restored?.();
    if (setAside === undefined) await local.forgetPrevious();
    await local.mark({ kind: "secondary" });
    return { target, follower, checkpoint, setAside };
  } catch (error) {
    await target.close();
    throw await failed(error);
  }
}

async function setAsideFrom(
  local: LocalPort,
  divergence: Divergence | undefined,
  target: RestoreTarget,
  wallTimeMs: number,
): Promise<SetAsideData | undefined> {
  if (divergence?.isRefuted === false) return { folder: await local.setAsidePrevious(wallTimeMs), what: "state" };
  const isKnown = (path: string): boolean => target.knowsFile?.(path) !== false;
  const folder = await local.setAsideUnknownFiles?.(isKnown, wallTimeMs);
  return folder === undefined ? undefined : { folder, what: "files" };
}

/** True if the newest checkpoint has files, or the journal after it was found to have them. */
async function hasFilesInJournal(store: Store, memory: RoomMemory): Promise<boolean> {
  if (memory.hasJournalFiles) return true;
  for (const position of (await listCheckpoints(store)).toReversed()) {
    try {
      const manifest = await readManifest(store, position);
      if (manifest !== undefined) return manifest.files !== undefined;
    } catch (error) {
      // A damaged one: the restore reports it, and takes an older one too.
      if (!isVaultError(error) || isTransient(error)) throw error;
    }
  }
  return false;
}

/** Retries a vault that does not answer for a moment: starting over would load every database again. */
async function catchUpPatiently(
  follower: Follower,
  { clock, signal, onVaultFailure }: Pick<RestoreOptions<never>, "clock" | "signal" | "onVaultFailure">,
): Promise<void> {
  for (;;) {
    try {
      await follower.catchUp(signal);
      return;
    } catch (error) {
      if (!isTransient(error)) throw error;
      onVaultFailure(`the vault cannot be read: ${messageOf(error)}`);
      await clock.sleep(readRetryMs, signal);
    }
  }
}

/** `haveFilesStayed`: those of this host are in the data folder, because no checkpoint had files until now. */
async function loadNewest<Target extends RestoreTarget>(
  options: RestoreOptions<Target>,
  room: RestoreRoom,
  haveFilesStayed: boolean,
): Promise<{ target: Target; checkpoint: CheckpointManifest }> {
  const positions = await listCheckpoints(options.store);
  if (positions.length === 0) throw new EmptyVaultError();
  let failure: unknown;
  let boundary: Position | undefined;
  for (const position of positions.toReversed()) {
    options.signal.throwIfAborted();
    // Older ones are kept without the log after them: a host cannot follow from there.
    if (failure !== undefined && position < (boundary ??= await options.log.boundary())) break;
    const target = await options.openTarget();
    try {
      const checkpoint = await readManifest(options.store, position);
      if (checkpoint === undefined) throw new Error("it was removed meanwhile: there is a newer one");
      const tree = await readTree(options.store, checkpoint);
      // It was written since the look before: files may not be mixed with others.
      if (tree !== undefined && haveFilesStayed) throw new FilesBeganError();
      // Later ones find what the previous one left, and overwrite it.
      if (failure === undefined) await room.ensure(new Footprint(checkpoint), tree);
      const loading = new CheckpointLoading(options, checkpoint);
      for (const database of checkpoint.databases) await target.load(loading.database(database));
      if (tree !== undefined) await target.loadFiles?.(tree, loading.onBytes, options.signal);
      if (failure !== undefined) options.onWarning(`restored from the older checkpoint at position ${position}`);
      return { target, checkpoint };
    } catch (error) {
      await target.close();
      // Only damage justifies an older checkpoint: a vault that does not answer and causes on this machine do not.
      if (options.signal.aborted || isTransient(error) || isLocalFailure(error)) throw error;
      if (error instanceof FilesBeganError) throw error;
      failure ??= error;
      options.onWarning(`checkpoint at position ${position} cannot be used: ${messageOf(error)}`);
    }
  }
  throw failure;
}

/** The local disk's own errors carry an errno. */
const isLocalFailure = (error: unknown): boolean =>
  error instanceof FullDiskError ||
  (error instanceof ReplicaError && error.kind === "foreign") ||
  (error instanceof Error && !isVaultError(error) && typeof (error as NodeJS.ErrnoException).errno === "number");

/** Calls `then` after each applied flush, and notes the needs of a flush that could not be written. */
function watched(target: ApplyTarget, footprint: Footprint, memory: RoomMemory, then: () => void): ApplyTarget {
  return {
    apply: async (flush) => {
      footprint.add(flush);
      try {
        await target.apply(flush);
      } catch (error) {
        if (isFullDisk(error)) memory.neededBytes = Math.max(memory.neededBytes, footprint.total);
        throw error;
      }
      then();
    },
    checksums: () => target.checksums(),
    spool: target.spool,
    look: () => target.look?.(),
  };
}

/** Returns the epoch in force at a checkpoint; its record is never deleted (R4). */
async function epochAt(log: Log, checkpoint: CheckpointManifest): Promise<EpochSeen | undefined> {
  if (checkpoint.epochPosition === 0) return undefined;
  const { header, body } = await readEpochRecord(log, checkpoint.epochPosition);
  return {
    epoch: header.epoch,
    host: header.host,
    vacated: false,
    leaseMs: body.leaseMs,
    controlUrl: body.controlUrl,
    instance: body.instance,
  };
}

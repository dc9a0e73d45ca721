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
import { readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pathOf } from "../../capture/data-path.ts";
import type { FileTree } from "../../core/files/file-tree.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { type LogRest, readRest } from "../../vault/log/log-rest.ts";
import type { Position } from "../../vault/record.ts";
import { type DiskSpace, systemDiskSpace } from "./disk-space.ts";
import type { ReplicaWithFiles } from "./files/replica-with-files.ts";
import { openStateAt, spoolFolderOf, type StateAtOptions } from "./state-at.ts";

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

export interface PointInTimeOptions extends StateAtOptions {
  /** Absolute path of a folder that is empty or does not exist. It gets all of the databases, or stays unchanged. */
  readonly folder: string;
  readonly disk?: DiskSpace;
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
/**
 * Throws MomentError, FolderInUseError, LittleRoomError, EmptyVaultError, UnappliableFlushError, the vault's and the
 * file system's errors, and the signal's reason.
 */
export const restoreMoment = async (options: PointInTimeOptions): Promise<PointInTime> =>
  (await restoreState(options)).restored;

export interface RestoredState {
  readonly restored: PointInTime;
  /** The files beside the databases, with where the vault has their contents; undefined: there are none. */
  readonly tree: FileTree | undefined;
}

/** The same, with the tree of the files. */
export async function restoreState(options: PointInTimeOptions): Promise<RestoredState> {
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
      await rename(partial, folder); // Onto an empty folder, or none: all or nothing (rename(2)).
    }
    return restored;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  } finally {
    await rm(spoolFolderOf(partial), { recursive: true, force: true });
  }
}

/** `system`: a folder that the file system itself has at its root. */
async function refuseFullFolder(folder: string, system: string | undefined): Promise<void> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  if (names.some((name) => name !== system)) throw new FolderInUseError(folder);
}

async function restoreInto(root: string, options: PointInTimeOptions): Promise<RestoredState> {
  const { replica, checkpoint, start, wallTimeMs, reason } = await openStateAt(root, options);
  try {
    const databases: RestoredDatabase[] = [];
    for (const [name, checksum] of replica.checksums()) {
      databases.push({
        name,
        bytes: (await stat(pathOf(root, name))).size,
        checksum: Buffer.from(checksum).toString("hex"),
      });
    }
    const { position, epoch } = start;
    const rest = reason === undefined ? undefined : await readRest(options.log, position, options.signal);
    const restored = {
      ...{ position, epoch, wallTimeMs },
      checkpoint: checkpoint.position,
      databases,
      files: filesIn(replica),
      leftOut: rest === undefined || reason === undefined ? null : { ...rest, reason },
    };
    return { restored, tree: restored.files === null ? undefined : replica.files };
  } finally {
    await replica.close();
  }
}

function filesIn(replica: ReplicaWithFiles): RestoredFiles | null {
  const state = replica.filesState();
  return state === undefined ? null : { ...state, checksum: Buffer.from(state.checksum).toString("hex") };
}

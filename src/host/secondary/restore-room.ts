/**
 * Checks the room for the databases of a restore before they are loaded: a completely full disk would harm everything
 * on that machine, and `ENOSPC` does not say what to do.
 *
 * A secondary's databases, which are in the journal, are taken over where they are, so only what they lack needs room.
 *
 * Data is removed in this order, and only on the disk that lacks the room:
 *
 * 1. Moved data that is in the journal, if that frees more than taking it over saves: it only speeds up the restore. A
 *    secondary's always is; a primary's is if its state occurs in the journal (divergence.ts), which is checked now and
 *    not at the end.
 * 2. Set-aside folders, oldest first, if that frees enough; never the newest (core/host/set-aside-bounds.ts).
 *
 * Data that may exist nowhere else stays, and is named with its size. The restore is retried automatically, at the cost
 * of a look, until there is room.
 */
import type { FileTree } from "../../core/files/file-tree.ts";
import type { Flush } from "../../core/flush.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { CheckpointManifest } from "../../vault/checkpoint/checkpoint.ts";
import { databaseBytes } from "../../vault/checkpoint/checkpoint-manifest.ts";
import type { LocalPort, Marker } from "./local-data.ts";
import type { Shortage } from "./local-room.ts";

/** The databases do not fit on the disk. */
export class FullDiskError extends OperatorError {
  constructor(found: string, advice: string) {
    super("resource", { found, advice });
  }
}

export const isFullDisk = (error: unknown): error is Error =>
  error instanceof Error && ["ENOSPC", "EDQUOT"].includes((error as NodeJS.ErrnoException).code ?? "");

/** What one try to restore learnt for the next ones. */
export interface RoomMemory {
  /** The bytes that the databases had grown to in the journal when the disk was full. */
  neededBytes: number;
  /** The moved data was searched for in the journal and not found. */
  isPreviousUnproven: boolean;
  /** A flush of the journal has files, though the checkpoint before it has none. */
  hasJournalFiles: boolean;
}

export const freshMemory = (): RoomMemory => ({ neededBytes: 0, isPreviousUnproven: false, hasJournalFiles: false });

export interface RestoreRoomOptions {
  readonly local: LocalPort;
  /** The moved data. */
  readonly previous: Marker;
  readonly memory: RoomMemory;
  /** Returns whether the moved state occurs in the journal. */
  readonly isPreviousJournaled: () => Promise<boolean>;
  readonly onWarning: (text: string) => void;
}

type Room = NonNullable<LocalPort["room"]>;

/** A shortage beside which so many bytes of moved databases are taken over. */
interface Lack extends Shortage {
  readonly takenOverBytes: number;
}

export class RestoreRoom {
  readonly #options: RestoreRoomOptions;
  #previous: Marker;
  #tree: FileTree | undefined;

  constructor(options: RestoreRoomOptions) {
    this.#options = options;
    this.#previous = options.previous;
  }

  /** The moved data, as far as known now: `secondary` if it was found in the journal. */
  get previous(): Marker {
    return this.#previous;
  }

  /**
   * Makes room for these bytes in the data folder; databases and files that were moved away count as nothing if they
   * are taken over or moved back. Throws FullDiskError.
   */
  async ensure(wanted: Pick<Footprint, "total" | "databases">, tree?: FileTree): Promise<void> {
    this.#tree = tree;
    const { local, onWarning } = this.#options;
    const { room } = local;
    if (room === undefined) return;
    let lack = await this.#lack(room, wanted);
    if (lack === undefined) return;
    // Data whose removal would not be enough stays: it helps once there is room.
    const gainedBytes = lack.removableBytes - lack.takenOverBytes;
    const mayBeEnough = gainedBytes + lack.setAsideBytes >= lack.neededBytes - lack.freeBytes;
    if (mayBeEnough && gainedBytes > 0 && (await this.#mayForgetPrevious())) {
      await room.makeRoom(tree);
      lack = await this.#lack(room, wanted);
    }
    if (lack === undefined) return;
    for (const folder of await room.makeRoomOfSetAsides(lack))
      onWarning(`set-aside data was removed because the restore needed the space: ${folder}`);
    lack = await this.#lack(room, wanted);
    if (lack !== undefined) throw fullDisk(this.#previous.kind === "secondary", lack);
  }

  async #lack(room: Room, { total, databases }: Pick<Footprint, "total" | "databases">): Promise<Lack | undefined> {
    const { neededBytes } = this.#options.memory;
    const tree = this.#tree;
    const takenOverBytes = this.#previous.kind === "secondary" ? await room.reusableBytes({ databases }) : 0;
    const movedBackBytes = tree === undefined ? 0 : await room.reusableBytes({ tree });
    const shortage = await room.shortageOf(Math.max(total, neededBytes) - movedBackBytes - takenOverBytes, tree);
    return shortage === undefined ? undefined : { ...shortage, takenOverBytes };
  }

  /**
   * Handles a failed try. Returns the error to throw instead; if the disk was full, what only helps the next try is
   * removed, so that other applications of this machine have room.
   */
  async after(error: unknown): Promise<unknown> {
    if (!isFullDisk(error)) return error;
    const { room } = this.#options.local;
    await room?.removeCopies();
    if (this.#previous.kind === "secondary") await room?.makeRoom(this.#tree);
    return new FullDiskError(
      `the databases could not be written: ${error.message}`,
      "free space, or raise the quota, on the disk of host.data; this host retries by itself",
    );
  }

  async #mayForgetPrevious(): Promise<boolean> {
    if (this.#previous.kind === "secondary") return true;
    const { local, memory, isPreviousJournaled } = this.#options;
    if (memory.isPreviousUnproven) return false;
    if (!(await isPreviousJournaled())) {
      memory.isPreviousUnproven = true;
      return false;
    }
    // Durable before anything is removed: the remains must not look like an unknown state.
    await local.provePrevious?.();
    this.#previous = { kind: "secondary" };
    return true;
  }
}

function fullDisk(
  isHelp: boolean,
  {
    disk,
    neededBytes,
    freeBytes,
    previousFolder,
    previousBytes,
    removableBytes,
    setAsideFolder,
    setAsideBytes,
    takenOverBytes,
  }: Lack,
): FullDiskError {
  const movableBytes = previousBytes - takenOverBytes;
  const here = takenOverBytes === 0 ? "" : `${takenOverBytes} of them are here already, `;
  const inTheWay = [
    ...(movableBytes > 0
      ? [`${previousFolder} (${previousBytes} bytes ${wordsOf(isHelp, removableBytes === previousBytes)})`]
      : []),
    ...(setAsideBytes > 0 ? [`${setAsideFolder} (${setAsideBytes} bytes set aside)`] : []),
  ];
  const move = inTheWay.length === 0 ? "" : `; moving ${inTheWay.join(" and ")} to another disk makes room`;
  return new FullDiskError(
    `the disk at ${disk} is too full to restore: the databases need ${neededBytes + takenOverBytes} bytes, ${here}${freeBytes} are free, ${neededBytes - freeBytes} are missing`,
    `free that much there, and this host continues by itself${move}`,
  );
}

function wordsOf(isJournaled: boolean, isAllRemovable: boolean): string {
  if (!isJournaled) return "that this host had as primary, and that may exist nowhere else";
  return isAllRemovable
    ? "that only speed up the restore"
    : "that speed up the restore, and files among them that may exist nowhere else";
}

/** The size of a restore's databases, now and after the next flush. */
export class Footprint {
  readonly #bytes: Map<string, number>;
  readonly #filesBytes: number;

  constructor({ databases, files }: CheckpointManifest) {
    this.#filesBytes = files?.bytes ?? 0;
    this.#bytes = new Map(databases.map((database) => [database.name, databaseBytes(database)]));
  }

  add(flush: Pick<Flush, "deltas">): void {
    for (const delta of flush.deltas) this.#bytes.set(delta.name, databaseBytes(delta));
  }

  get databases(): ReadonlyMap<string, number> {
    return this.#bytes;
  }

  get total(): number {
    return [...this.#bytes.values()].reduce((sum, bytes) => sum + bytes, this.#filesBytes);
  }
}

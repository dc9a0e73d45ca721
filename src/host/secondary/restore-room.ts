/**
 * Room for the databases of a restore, looked at before they are loaded: a disk that is filled to the last byte serves
 * nobody on that machine, and `ENOSPC` tells nobody what to do.
 *
 * What is in the way goes in this order, and only where it is on the disk that lacks the room:
 *
 * 1. What was moved away and is in the journal: it only makes the restore faster. That of a secondary always is; that
 *    of a primary is, when its state occurs in the journal (divergence.ts), which is asked now and not at the end.
 * 2. Set-aside folders, oldest first, when that gives enough; never the newest (core/host/set-aside-bounds.ts).
 *
 * What may be nowhere else stays, and is named with its size. The restore is tried again by itself, at the cost of a
 * look, until there is room.
 */
import type { Flush } from "../../core/flush.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { CheckpointManifest } from "../../vault/checkpoint/checkpoint.ts";
import { databaseBytes } from "../../vault/checkpoint/checkpoint-manifest.ts";
import type { LocalPort, Marker, Shortage } from "./local-data.ts";

/** The databases do not fit on the disk. */
export class FullDiskError extends OperatorError {
  constructor(found: string, advice: string) {
    super("resource", { found, advice });
  }
}

export const isFullDisk = (error: unknown): error is Error =>
  error instanceof Error && ["ENOSPC", "EDQUOT"].includes((error as NodeJS.ErrnoException).code ?? "");

/** What one try to restore found out for the next ones. */
export interface RoomMemory {
  /** The databases had grown to so many bytes in the journal, and the disk was full. */
  neededBytes: number;
  /** What was moved away was looked for in the journal and not found. */
  isPreviousUnproven: boolean;
}

export const freshMemory = (): RoomMemory => ({ neededBytes: 0, isPreviousUnproven: false });

export interface RestoreRoomOptions {
  readonly local: LocalPort;
  /** What was moved away. */
  readonly previous: Marker;
  readonly memory: RoomMemory;
  /** Whether the state that was moved away occurs in the journal. */
  readonly isPreviousJournaled: () => Promise<boolean>;
  readonly onWarning: (text: string) => void;
}

export class RestoreRoom {
  readonly #options: RestoreRoomOptions;
  #previous: Marker;

  constructor(options: RestoreRoomOptions) {
    this.#options = options;
    this.#previous = options.previous;
  }

  /** What was moved away, as far as it is known now: `secondary` when it was found in the journal. */
  get previous(): Marker {
    return this.#previous;
  }

  /** Makes room for so many bytes in the data folder. Throws FullDiskError. */
  async ensure(bytes: number): Promise<void> {
    const { local, memory, onWarning } = this.#options;
    if (local.shortageOf === undefined) return;
    const needed = Math.max(bytes, memory.neededBytes);
    let shortage = await local.shortageOf(needed);
    if (shortage === undefined) return;
    // What would not be enough all the same stays: it is a help once there is room.
    const mayBeEnough = shortage.previousBytes + shortage.setAsideBytes >= needed - shortage.freeBytes;
    if (mayBeEnough && shortage.previousBytes > 0 && (await this.#mayForgetPrevious())) {
      await local.makeRoom?.();
      shortage = await local.shortageOf(needed);
    }
    if (shortage === undefined) return;
    for (const folder of (await local.makeRoomOfSetAsides?.(shortage)) ?? [])
      onWarning(`set-aside data was removed because the restore needed the space: ${folder}`);
    shortage = await local.shortageOf(needed);
    if (shortage !== undefined) throw fullDisk(this.#previous.kind === "secondary", shortage);
  }

  /**
   * A try failed. Gives the error to throw instead; a copy that is only a help for the restore goes when the disk was
   * full.
   */
  async after(error: unknown): Promise<unknown> {
    if (!isFullDisk(error)) return error;
    if (this.#previous.kind === "secondary") await this.#options.local.makeRoom?.();
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
    // Durable before anything goes: what is left of it must not look like a state that nobody knows.
    await local.provePrevious?.();
    this.#previous = { kind: "secondary" };
    return true;
  }
}

function fullDisk(
  isHelp: boolean,
  { disk, neededBytes, freeBytes, previousFolder, previousBytes, setAsideFolder, setAsideBytes }: Shortage,
): FullDiskError {
  const inTheWay = [
    ...(previousBytes > 0
      ? [
          `${previousFolder} (${previousBytes} bytes ${isHelp ? "that only speed up the restore" : "that this host had as primary, and that may exist nowhere else"})`,
        ]
      : []),
    ...(setAsideBytes > 0 ? [`${setAsideFolder} (${setAsideBytes} bytes set aside)`] : []),
  ];
  const move = inTheWay.length === 0 ? "" : `; moving ${inTheWay.join(" and ")} to another disk makes room`;
  return new FullDiskError(
    `the disk at ${disk} is too full to restore: the databases need ${neededBytes} bytes, ${freeBytes} are free, ${neededBytes - freeBytes} are missing`,
    `free that much there, and this host continues by itself${move}`,
  );
}

/** How large the databases are that a restore has, and become with the next flush. */
export class Footprint {
  readonly #bytes: Map<string, number>;

  constructor({ databases }: CheckpointManifest) {
    this.#bytes = new Map(databases.map((database) => [database.name, databaseBytes(database)]));
  }

  add(flush: Pick<Flush, "deltas">): void {
    for (const delta of flush.deltas) this.#bytes.set(delta.name, databaseBytes(delta));
  }

  get total(): number {
    return [...this.#bytes.values()].reduce((sum, bytes) => sum + bytes, 0);
  }
}

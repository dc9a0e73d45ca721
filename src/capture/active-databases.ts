/**
 * The databases at which every look of the gate looks, among all that are open: those in which something happened
 * lately.
 *
 * A database is *quiet* when nothing was written for a while and nothing lies in its log behind what is captured. Its
 * index cannot move then without a write into the log, and each is told by the kernel before the commit returns
 * (folder-events.ts): `hear` reads what was told, and whatever was touched is active again. So a look costs one read
 * for all quiet databases, and two or three for each active one.
 *
 * The argument that no commit passes unseen is in docs/CAPTURE.md. What it rests on is checked as well: quiet databases
 * are looked at in turn, and one that moved without a word ends the trust: from then on all are active. The same where
 * the kernel tells nothing.
 */
import { DormantDatabase } from "./dormant-database.ts";
import { DormantDatabases } from "./dormant-databases.ts";
import type { FilePath } from "./data-path.ts";
import { FolderEvents } from "./folder-events.ts";
import { closedPerTick, quietPerTick, type SourceLimits } from "./limits.ts";
import { type Housekeeping, rest, tidy } from "./seal.ts";
import type { TrackedDatabase } from "./tracked-database.ts";

/** At how many databases each look looks, at how many open ones it does not, and how many nobody has open. */
export interface DatabaseCounts {
  readonly active: number;
  readonly quiet: number;
  readonly dormant: number;
}

export class ActiveDatabases {
  readonly #options: Housekeeping;
  readonly #active = new Set<TrackedDatabase>();
  readonly #quiet = new Set<TrackedDatabase>();
  /** What is written for them is told. */
  readonly #told = new Set<TrackedDatabase>();
  readonly dormant = new DormantDatabases();
  #events: FolderEvents<TrackedDatabase | DormantDatabase> | undefined;
  #isTried = false;
  #isFolderChanged = false;
  #generation = 0;

  constructor(options: Housekeeping) {
    this.#options = options;
  }

  /**
   * Another one whenever another database is active than before: a list that was made under this one is complete as
   * long as it stays.
   */
  get generation(): number {
    return this.#generation;
  }

  [Symbol.iterator](): IterableIterator<TrackedDatabase> {
    return this.#active.values();
  }

  /**
   * Events are had from here on when there are more databases than can be looked at each time. True when that has just
   * begun.
   */
  async begin(count: number): Promise<boolean> {
    if (this.#isTried || count <= this.#options.limits.lookedAtMax) return false;
    this.#isTried = true;
    const events = await FolderEvents.open<TrackedDatabase | DormantDatabase>();
    if (typeof events === "string") {
      this.#options.onWarning(
        `every database is checked for each chunk of a response, which costs a microsecond for each of ${count}: ${events}`,
      );
      return false;
    }
    this.#events = events;
    for (const database of this.#active) this.#listenTo(database);
    return true;
  }

  counts(): DatabaseCounts {
    return { active: this.#active.size, quiet: this.#quiet.size, dormant: this.dormant.size };
  }

  get isListening(): boolean {
    return this.#events !== undefined;
  }

  /** What happens in this folder is told from here on; false when it is not. */
  watch(folder: FilePath): boolean {
    return this.#events?.watch(folder) ?? false;
  }

  add(database: TrackedDatabase): void {
    this.#active.add(database);
    this.#generation += 1;
    this.#listenTo(database);
  }

  remove(database: TrackedDatabase): void {
    for (const set of [this.#active, this.#quiet, this.#told]) set.delete(database);
    this.#events?.remove(database.files.path, database);
  }

  /** Nobody has it open, this process neither; whoever touches it is told of. False: that cannot be had. */
  addDormant(database: DormantDatabase): boolean {
    if (this.#events?.add(database.path, database) !== true) return false;
    this.dormant.add(database);
    return true;
  }

  /** It was touched while it was being closed, or must be opened again for another reason. */
  addTouched(database: DormantDatabase): void {
    this.#events?.add(database.path, database);
    this.dormant.add(database);
    this.dormant.wake(database);
  }

  removeDormant(database: DormantDatabase): void {
    this.dormant.remove(database);
    this.#events?.remove(database.path, database);
  }

  /** Takes what was told since the last call. Sync. */
  hear(): void {
    const events = this.#events;
    if (events === undefined) {
      if (this.dormant.size > 0) this.dormant.lookAtAll();
      return;
    }
    const { isChanged, isIncomplete } = events.hear(this.#onTouched);
    if (isChanged) this.#isFolderChanged = true;
    if (isIncomplete) this.activateAll();
  }

  /** True once for each time that `hear` heard of a file that came, went or was renamed. */
  takeFolderChange(): boolean {
    const isChanged = this.#isFolderChanged;
    this.#isFolderChanged = false;
    return isChanged;
  }

  activateAll(): void {
    for (const database of this.#quiet) this.activate(database);
    this.dormant.lookAtAll();
  }

  activate(database: TrackedDatabase): void {
    database.disturb();
    if (!this.#quiet.delete(database)) return;
    this.#active.add(database);
    this.#generation += 1;
  }

  /** Housekeeping: what has been still for long becomes quiet, and some of the quiet ones are looked at. */
  tick(nowMs: number): void {
    const { limits } = this.#options;
    for (const database of this.#active) {
      tidy(database, this.#options);
      if (!isStill(database, nowMs, limits) || !this.#told.has(database)) continue;
      this.#active.delete(database);
      this.#quiet.add(database);
    }
    let count = Math.min(quietPerTick, this.#quiet.size);
    for (const database of this.#quiet) {
      if (count-- === 0) break;
      // To the end of the order.
      this.#quiet.delete(database);
      this.#quiet.add(database);
      this.#lookAtQuiet(database, nowMs);
    }
  }

  /** Some of those that need not be open, or not with so many descriptors: nothing has happened in them for long. */
  idle(nowMs: number): TrackedDatabase[] {
    const found: TrackedDatabase[] = [];
    for (const database of this.#unmoved()) {
      if (found.length === closedPerTick) break;
      const { watch, files } = database;
      // What is written for one that is closed must be told.
      const isTooOpen = watch.isUnused ? this.#told.has(database) : files.hasSpareDescriptors;
      if (isTooOpen && database.isStill(nowMs, this.#options.limits.dormantAfterMs)) found.push(database);
    }
    return found;
  }

  *#unmoved(): Generator<TrackedDatabase> {
    yield* this.#quiet;
    for (const database of this.#active) if (!this.#told.has(database)) yield database;
  }

  close(): void {
    this.#events?.close();
    this.#events = undefined;
    for (const set of [this.#active, this.#quiet, this.#told, this.dormant]) set.clear();
  }

  /** True: its companions stay as long as it is open. */
  readonly #onTouched = (
    database: TrackedDatabase | DormantDatabase,
    isCompanion: boolean,
    isMoved: boolean,
  ): boolean => {
    if (database instanceof DormantDatabase) {
      if (!database.isWoken && database.isTouchedBy(isCompanion)) this.dormant.wake(database);
      return false;
    }
    // Its files may be in another folder by now, with links at their names: it stays active.
    if (isMoved) this.#told.delete(database);
    this.activate(database);
    return true;
  };

  #listenTo(database: TrackedDatabase): void {
    if (this.#events?.add(database.files.path, database) === true) this.#told.add(database);
  }

  #lookAtQuiet(database: TrackedDatabase, nowMs: number): void {
    const index = database.look();
    if (index !== undefined && database.isAhead() && index.mxFrame > 0) {
      // What was written for it was told before its index moved. A generation without a frame is begun without a write.
      this.hear();
      if (this.#quiet.has(database)) this.#distrust(database.name);
    }
    const isDue =
      index === undefined ||
      database.watch.isWriterKeptOut === true ||
      database.pin.isDue(index, nowMs, Number.POSITIVE_INFINITY);
    if (isDue || database.isAhead() || database.isSuspicious()) this.activate(database);
  }

  #distrust(name: string): void {
    this.#events?.close();
    this.#events = undefined;
    this.#told.clear();
    // Folders are not watched any more either: the scan that follows compares their change times again.
    this.#isFolderChanged = true;
    this.activateAll();
    this.#options.onWarning(
      `${name}: a commit without an event from the kernel (another mount of the same files?): from now on every database is checked for each chunk of a response`,
    );
  }
}

/**
 * Nothing has happened for a while, and its next commit begins with a write. Its connections but the pin are closed
 * then.
 */
function isStill(database: TrackedDatabase, nowMs: number, { quietAfterMs }: SourceLimits): boolean {
  return database.isStill(nowMs, quietAfterMs) && rest(database, nowMs);
}

/**
 * The active databases, which every look of the gate checks: those among the open ones in which something happened
 * recently.
 *
 * A database is *quiet* if nothing was written for a while and nothing lies in its log behind what is captured. Its
 * index then cannot move without a write into the log, and the kernel reports each write before the commit returns
 * (folder-events.ts): `hear` reads these reports, and a touched database is active again. A look thus costs one read
 * for all quiet databases, and two or three for each active one.
 *
 * docs/CAPTURE.md argues that no commit goes unseen. Its premise is checked as well: quiet databases are checked in
 * turn, and if one moved without an event, all are active from then on. The same holds if the kernel reports nothing.
 */
import { DormantDatabase } from "./dormant-database.ts";
import { DormantDatabases } from "./dormant-databases.ts";
import type { FilePath } from "./data-path.ts";
import { FolderEvents } from "./folder-events.ts";
import { closedPerTick, quietPerTick } from "./limits.ts";
import { type Housekeeping, rest, tidy } from "./seal.ts";
import type { TrackedDatabase } from "./tracked-database.ts";

/** How many databases each look checks, how many open ones it need not check, and how many no process has open. */
export interface DatabaseCounts {
  readonly active: number;
  readonly quiet: number;
  readonly dormant: number;
}

export class ActiveDatabases {
  readonly #options: Housekeeping;
  readonly #active = new Set<TrackedDatabase>();
  readonly #quiet = new Set<TrackedDatabase>();
  /** Databases whose writes the kernel reports. */
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
   * Changes whenever the set of active databases grows: a list made under this generation is complete as long as it
   * stays.
   */
  get generation(): number {
    return this.#generation;
  }

  [Symbol.iterator](): IterableIterator<TrackedDatabase> {
    return this.#active.values();
  }

  /**
   * Requests events from here on if there are more databases than can be checked each time. Returns true if that has
   * just begun.
   */
  async begin(count: number): Promise<boolean> {
    if (!this.mayBegin(count)) return false;
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

  /** `begin` would do something. */
  mayBegin(count: number): boolean {
    return !this.#isTried && count > this.#options.limits.lookedAtMax;
  }

  counts(): DatabaseCounts {
    return { active: this.#active.size, quiet: this.#quiet.size, dormant: this.dormant.size };
  }

  get isListening(): boolean {
    return this.#events !== undefined;
  }

  /** Requests events of this folder; returns false if there are none. */
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

  /**
   * Adds a database that no process has open, this one included; any access to it is reported. Returns false if that is
   * impossible, unless it is attached in a moment anyway.
   */
  addDormant(database: DormantDatabase): boolean {
    if (this.#events?.add(database.path, database) !== true && !database.mustSwitch) return false;
    this.dormant.add(database);
    return true;
  }

  /** Adds one that was touched while it was being closed, or must be reopened for another reason. */
  addTouched(database: DormantDatabase): void {
    this.#events?.add(database.path, database);
    this.dormant.add(database);
    this.dormant.wake(database);
  }

  removeDormant(database: DormantDatabase): void {
    this.dormant.remove(database);
    this.#events?.remove(database.path, database);
  }

  /** Takes the events since the last call. Sync. */
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

  /** True once for each time that `hear` saw a file appear, vanish or be renamed. */
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

  /** True if an index is not where it was captured. What the kernel has told is heard first. */
  isAhead(): boolean {
    this.hear();
    for (const database of this.#active) if (database.isAhead()) return true;
    return false;
  }

  /** Housekeeping: databases that have been still for long become quiet, and some quiet ones are checked. */
  tick(nowMs: number): void {
    for (const database of this.#active) {
      // One that may rest closes its connections except the pin.
      const isQuiet = tidy(database, this.#options) && rest(database, nowMs);
      if (!isQuiet || !this.#told.has(database)) continue;
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

  /**
   * Returns some that need not be open, or not with so many descriptors, because nothing has happened in them for long.
   */
  idle(nowMs: number): TrackedDatabase[] {
    const found: TrackedDatabase[] = [];
    // Called at each tick: a generator over both would cost more than all the looks.
    for (const database of this.#quiet) {
      if (found.length === closedPerTick) return found;
      if (this.#isTooOpen(database, nowMs)) found.push(database);
    }
    for (const database of this.#active) {
      if (found.length === closedPerTick) return found;
      if (!this.#told.has(database) && this.#isTooOpen(database, nowMs)) found.push(database);
    }
    return found;
  }

  #isTooOpen(database: TrackedDatabase, nowMs: number): boolean {
    const { watch, files } = database;
    // Writes to a closed database must be reported.
    const mayClose = watch.isUnused ? this.#told.has(database) : files.hasSpareDescriptors;
    return mayClose && database.isStill(nowMs, this.#options.limits.dormantAfterMs);
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
    // Its files may be in another folder now, with links at their names: it stays active.
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
      // Its write was reported before its index moved. A generation without a frame begins without a write.
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

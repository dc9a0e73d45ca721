/**
 * How capture of a database begins and rests: databases found in the folders are attached, those that the replica wrote
 * before the start stay closed until a process uses them, and unused ones are closed again (dormant-database.ts).
 */
import type { ActiveDatabases } from "./active-databases.ts";
import { DeferredNames } from "./deferred-names.ts";
import type { FoundFile } from "./discovery.ts";
import { DormantDatabase } from "./dormant-database.ts";
import { FileLocks } from "./file-locks.ts";
import { settleIdle } from "./idle-database.ts";
import { descriptorsFor, hostDescriptors, openAtStartMax, type SourceLimits, warnShare } from "./limits.ts";
import type { Newcomers } from "./newcomers.ts";
import type { OpenFiles } from "./open-identities.ts";
import type { PageHashes } from "./page-hashes.ts";
import type { Housekeeping } from "./seal.ts";
import { EventLoopBudget } from "../runtime/event-loop-budget.ts";
import type { TrackedDatabase } from "./tracked-database.ts";
import type { Uncaptured } from "./uncaptured.ts";
import type { CaptureError } from "./capture-error.ts";
import { notWhole, waitsForAnother } from "./refusals.ts";
import type { Clock } from "../runtime/clock.ts";

/** Stamps have settled after this many attempts to close a database. */
const idleTriesMax = 5;

export interface ArrivalsOptions {
  readonly databases: ReadonlyMap<string, TrackedDatabase>;
  readonly active: ActiveDatabases;
  readonly open: OpenFiles;
  readonly newcomers: Newcomers;
  readonly uncaptured: Uncaptured;
  readonly known?: ReadonlyMap<string, PageHashes> | undefined;
  readonly clock: Clock;
  readonly limits: SourceLimits;
  readonly house: Housekeeping;
  onAttached(database: TrackedDatabase): void;
  /** Its files are closed. */
  onClosed(database: TrackedDatabase): void;
  /** Determines which databases other processes use. */
  audit(): void;
  onWarning(text: string): void;
}

export class Arrivals {
  readonly #options: ArrivalsOptions;
  /** New files that wait for the capture of others. */
  readonly deferred: DeferredNames;
  #isBegun = false;
  #openMax = openAtStartMax;
  #idleTries = 0;
  /** At the start: some of the databases found are not attached yet, because so many are open. */
  isUnfinished = false;

  constructor(options: ArrivalsOptions) {
    this.#options = options;
    this.deferred = new DeferredNames(options.uncaptured);
  }

  /** From here on an application may be using them. */
  begin(): void {
    this.#isBegun = true;
  }

  /**
   * Attaches databases that appeared, and dormant ones that were touched. `awaitsRemoval`: the deletion of a database
   * of that name is due.
   */
  async attach(found: ReadonlyMap<string, FoundFile>, awaitsRemoval: (name: string) => boolean): Promise<void> {
    this.deferred.begin();
    await this.#attachAll(found, awaitsRemoval);
    this.deferred.releaseOthers((name) => this.#options.newcomers.has(name));
  }

  async #attachAll(found: ReadonlyMap<string, FoundFile>, awaitsRemoval: (name: string) => boolean): Promise<void> {
    const { databases, active, newcomers, open, onAttached } = this.#options;
    const budget = new EventLoopBudget();
    this.isUnfinished = false;
    for (const [name, file] of found) {
      if (databases.has(name)) continue;
      const dormant = active.dormant.get(name);
      if (dormant === undefined ? this.#adopt(name, file) : !dormant.isWoken) continue;
      if (!this.#isBegun && active.isListening && databases.size >= this.#openMax) {
        this.isUnfinished = true;
        return;
      }
      if (!this.#isBegun) await budget.yieldIfDue();
      if (awaitsRemoval(name) && this.deferred.defer(name)) continue;
      if (this.#isBegun && newcomers.isDue(name, file)) await FileLocks.warm();
      const known = { open, captured: databases, count: dormant === undefined ? this.#count : 0, dormant };
      newcomers.look(name, file, known, (database) => {
        if (dormant !== undefined) active.removeDormant(dormant);
        onAttached(database);
        this.#warnOfCount();
      });
    }
  }

  /** Why a file is open and not captured. */
  whyRestless(name: string): CaptureError {
    const cause = this.deferred.causeOf(name);
    if (cause !== undefined) return waitsForAnother(name, cause);
    return notWhole(name, "a file that a process keeps writing to without SQLite's locks");
  }

  /** Closes some unused databases, and the spare descriptors of idle ones. */
  rest(): void {
    const { active, clock } = this.#options;
    for (const database of active.idle(clock.now())) this.#settle(database);
  }

  /**
   * At the start, makes room for those that are still to be attached: closes unused databases; those that cannot be
   * closed stay open beside them.
   */
  makeRoom(): void {
    const { databases, audit } = this.#options;
    const before = databases.size;
    audit();
    for (const database of [...databases.values()]) if (database.watch.isUnused) this.#settle(database);
    this.#idleTries = databases.size < before ? 0 : this.#idleTries + 1;
    if (this.#idleTries > idleTriesMax) this.#openMax += openAtStartMax;
  }

  #settle(database: TrackedDatabase): void {
    const { active, house, onClosed } = this.#options;
    const idle = settleIdle(database, house);
    if (idle.kind === "open") return;
    onClosed(database);
    const { dormant } = idle;
    if (idle.kind === "closed" && active.addDormant(dormant) && !dormant.isTouched()) return;
    active.addTouched(dormant);
  }

  /**
   * A database that the replica wrote before the start needs no connection until a process uses it. One that must be
   * switched to WAL needs one when capture has begun.
   */
  #adopt(name: string, { path }: FoundFile): boolean {
    const { known, active, limits } = this.#options;
    const pages = this.#isBegun || this.#count >= limits.databasesMax ? undefined : known?.get(name);
    const dormant = pages === undefined ? undefined : DormantDatabase.adopt(name, path, pages);
    if (dormant === undefined || !active.addDormant(dormant)) return false;
    this.#warnOfCount();
    return true;
  }

  get #count(): number {
    return this.#options.databases.size + this.#options.active.dormant.size;
  }

  #warnOfCount(): void {
    const { limits, databases, onWarning } = this.#options;
    const { databasesMax, descriptorsMax } = limits;
    const openMost = Math.floor((descriptorsMax * warnShare - hostDescriptors) / descriptorsFor(1));
    if (databases.size > openMost)
      onWarning(
        `more than ${openMost} databases are open at the same time, and the limit of this host is ${descriptorsMax} open descriptors: raise the limit of open files (LimitNOFILE= of systemd, ulimit -n)`,
      );
    if (this.#count >= databasesMax * warnShare)
      onWarning(
        `more than ${Math.floor(databasesMax * warnShare)} databases, of ${databasesMax} at most: raise databases_max in [host], or split the service`,
      );
  }
}

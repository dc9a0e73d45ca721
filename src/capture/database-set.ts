/**
 * The databases of a service as they come and go in the data folder.
 *
 * `differs()` tells in the same turn whether the folder differs from the captured set; `follow()` attaches new
 * databases and drops those that vanished. A vanished database stays open as long as a snapshot or a batch still reads
 * it: its descriptors must not be reused for another file.
 *
 * A vanished database is journaled as a deletion. So is a replaced or renamed one (and the other file as a new
 * database) if no process has the old one open: an application that restores a backup closes, renames, and starts
 * again. While a process has it open, commits continue unseen, into a log that was left behind: responses are held
 * until it is closed, up to the patience. A log left behind is then checkpointed into its file, and removed.
 */
import { nameMatcher } from "../core/database-pattern.ts";
import { ActiveDatabases } from "./active-databases.ts";
import { Arrivals } from "./arrivals.ts";
import { AttachedCommits } from "./attached-commits.ts";
import { Auditor } from "./auditor.ts";
import { DisplacedDatabases } from "./displaced-databases.ts";
import { Discovery, type FoundFile } from "./discovery.ts";
import { type FileIdentity, sameFile } from "./file-identity.ts";
import { FileLocks } from "./file-locks.ts";
import { whyUnfolded } from "./gone.ts";
import { suspectsPerLook } from "./limits.ts";
import { misses, scanUntilStill } from "./still-scan.ts";
import { tellLinks } from "./name-choice.ts";
import { Newcomers } from "./newcomers.ts";
import { OpenFiles } from "./open-identities.ts";
import { OrphanLogs } from "./orphan-logs.ts";
import { RetiredDatabases } from "./retired-databases.ts";
import type { CapturedDatabase, DatabaseSetOptions, GoneDatabase } from "./set-types.ts";
import type { SnapshotDatabase } from "./snapshot.ts";
import { Strangers } from "./strangers.ts";
import type { TrackedDatabase } from "./tracked-database.ts";
import { Uncaptured } from "./uncaptured.ts";
import { UnlistedLogs } from "./unlisted-logs.ts";
import { whenDeletionsEnd } from "./when-deletions-end.ts";
import { adviseOnWriter } from "./writer-version.ts";

export class DatabaseSet {
  readonly #options: DatabaseSetOptions;
  readonly #discovery: Discovery;
  readonly #databases = new Map<string, TrackedDatabase>();
  /** Those in which something happened recently. */
  readonly active: ActiveDatabases;
  /** The same databases, for going round them; rebuilt when they change. */
  #order: TrackedDatabase[] | undefined;
  #nextSuspect = 0;
  readonly #auditor: Auditor;
  /**
   * The last scan that found everything in its place: a removed `-wal` changes its folder, and so causes a new scan.
   */
  #seen: ReadonlyMap<string, FoundFile> | undefined;
  #isWriterTold = false;
  #isBegun = false;
  readonly arrivals: Arrivals;
  /** The scan that `follow` has processed. */
  #followed: ReadonlyMap<string, FoundFile> | undefined;
  /** Replaced or renamed while a process has them open. */
  readonly #displaced: DisplacedDatabases;
  readonly #strangers: Strangers;
  readonly #orphans: OrphanLogs;
  readonly #newcomers: Newcomers;
  readonly uncaptured: Uncaptured;
  readonly commits: AttachedCommits = new AttachedCommits(this);
  /** Does not repeat a text. */
  readonly #tellOnce: (text: string) => void;
  readonly #open = new OpenFiles();
  /** Vanished, but still being read. */
  readonly #retired: RetiredDatabases;

  constructor(options: DatabaseSetOptions) {
    this.#options = options;
    const isOpen = (identity: FileIdentity): boolean =>
      this.#open.get(identity) !== undefined || this.active.dormant.has(identity);
    const told = new Set<string>();
    const onWarning = (text: string): void => {
      if (!told.has(text)) options.onWarning(text);
      told.add(text);
    };
    this.#tellOnce = onWarning;
    this.#retired = new RetiredDatabases(options.clock, this.#open);
    this.active = new ActiveDatabases(options.house);
    const isExcepted = nameMatcher(options.except ?? []);
    const unlisted = new UnlistedLogs({
      root: options.root,
      isExcepted: (name) =>
        isExcepted(name) ||
        this.#isExcluded(name) ||
        this.active.dormant.get(name) !== undefined ||
        this.#newcomers.has(name),
      isCaptured: isOpen,
      onWarning,
    });
    this.#auditor = new Auditor({
      root: options.root,
      unlisted,
      onUsedElsewhere: (database) => this.active.activate(database),
      onMisplaced: () => this.#discovery.forget(),
      assertRootInPlace: () => this.#discovery.assertRootInPlace(),
    });
    this.uncaptured = new Uncaptured(
      () => options.clock.now(),
      (now) => options.onUncaptured?.(now),
    );
    this.#displaced = new DisplacedDatabases(this.uncaptured);
    this.#newcomers = new Newcomers(options, this.uncaptured);
    this.arrivals = new Arrivals({
      ...options,
      ...{
        databases: this.#databases,
        open: this.#open,
        active: this.active,
        newcomers: this.#newcomers,
        uncaptured: this.uncaptured,
        onWarning,
      },
      onAttached: (database) => this.#add(database),
      onClosed: (database) => this.#forget(database),
      audit: () => void this.#auditor.auditUsers(this.#databases.values()),
    });
    this.#orphans = new OrphanLogs({ clock: options.clock, uncaptured: this.uncaptured, isOpen });
    this.#strangers = new Strangers({ root: options.root, uncaptured: this.uncaptured, onWarning });
    this.#discovery = new Discovery({
      root: options.root,
      databases: options.databases,
      except: options.except,
      excluded: options.excluded,
      wallTime: () => options.clock.wallTime(),
      isOpen,
      isTold: (folder) => this.active.watch(folder),
      takeChange: () => this.active.takeFolderChange(),
    });
  }

  [Symbol.iterator](): IterableIterator<TrackedDatabase> {
    return this.#databases.values();
  }

  /** The databases of the captured state, open or not. */
  *captured(): Generator<CapturedDatabase> {
    for (const database of this.#databases.values())
      if (database.isKnown)
        yield {
          name: database.name,
          pageSize: database.pageSize,
          pageCount: database.pageCount,
          checksum: database.checksum(),
        };
    for (const { name, hashes } of this.active.dormant)
      yield { name, pageSize: hashes.pageSize, pageCount: hashes.pageCount, checksum: hashes.checksum() };
  }

  /** The active ones that are at their names: the others are not captured (displaced-databases.ts). */
  inPlace(): TrackedDatabase[] {
    return [...this.active].filter(({ name }) => !this.#displaced.has(name));
  }

  /** Snapshots of those that no process has open. */
  dormantSnapshots(): SnapshotDatabase[] {
    const { dormant } = this.active;
    return [...dormant].map((database) =>
      database.snapshot(
        () => this.#open.get(database.identity)?.files.dbFd,
        () => dormant.wake(database),
      ),
    );
  }

  /**
   * True if something moved beside the WAL index of a database. With many databases each call checks the next ones, so
   * that the gate of a service with thousands costs no more than the indexes. docs/CAPTURE.md says what can slip
   * through. Sync.
   */
  isSuspicious(): boolean {
    for (let i = Math.min(suspectsPerLook, this.#databases.size); i > 0; i--) {
      const database = this.#inTurn();
      if (database?.isSuspicious() !== true) continue;
      this.active.activate(database);
      return true;
    }
    return false;
  }

  /**
   * True if something appeared, vanished or was replaced since `follow`. Sync; cheap if the folders did not change,
   * else it reads the list of locks.
   */
  differs(): boolean {
    if (this.active.dormant.isTouched) return true;
    const found = this.#discovery.refresh();
    if (found !== this.#followed && this.#isOther(found)) return true;
    this.#followed = found;
    this.#strangers.note(this.#discovery.strangers);
    if (this.#isBegun) this.#orphans.note(this.#discovery.absent);
    if (this.#newcomers.changed() || this.#retired.isWritten()) return true;
    if (found === this.#seen) return false;
    for (const { name, files } of this.active)
      if (!this.#displaced.has(name) && files.companions() !== "same") return true;
    this.#seen = found;
    // At the start of a term there is no application.
    return this.#isBegun && this.#auditor.auditUsers(this.active);
  }

  /** Called after a look at the active databases: true if nothing beside them moved since this generation. Sync. */
  isUndisturbed(generation: number): boolean {
    this.active.hear();
    return this.active.generation === generation && !this.differs();
  }

  /** Capture has begun: a new file that is no database no longer ends anything. */
  begin(): void {
    this.#isBegun = true;
    for (const part of [this.arrivals, this.#discovery, this.#newcomers, this.active.dormant]) part.begin();
  }

  /** Files that match but are not databases. */
  leftOut(): { readonly name: string; readonly reason: string }[] {
    return [...this.#strangers.leftOut(this.#discovery.strangers), ...this.#newcomers.leftOut()];
  }

  /** True if it differs from what `follow` last processed. */
  #isOther(found: ReadonlyMap<string, FoundFile>): boolean {
    for (const [name, database] of this.#databases) {
      const identity = found.get(name)?.identity;
      const expected = this.#displaced.identityAt(database);
      if (identity === undefined || expected === undefined ? identity !== expected : !sameFile(identity, expected))
        return true;
    }
    const { dormant } = this.active;
    for (const { name, identity } of dormant) {
      const file = found.get(name);
      if (file === undefined || !sameFile(file.identity, identity)) return true;
    }
    if (this.arrivals.isUnfinished) return false;
    for (const [name, file] of found)
      if (
        !this.#databases.has(name) &&
        dormant.get(name) === undefined &&
        !this.#newcomers.knows(name, file) &&
        !this.arrivals.deferred.has(name)
      )
        return true;
    return false;
  }

  /**
   * Checks at intervals what no event and no stamp shows (auditor.ts). Throws `CaptureError` if the data folder is not
   * the one of the start.
   */
  audit(nowMs: number): void {
    this.#auditor.audit(nowMs, this.#databases, () => this.#inTurn());
  }

  /** The list of locks of the last audit. */
  get locks(): FileLocks | undefined {
    return this.#auditor.locks;
  }

  #inTurn(): TrackedDatabase | undefined {
    this.#order ??= [...this.#databases.values()];
    this.#nextSuspect = (this.#nextSuspect + 1) % this.#order.length;
    return this.#order[this.#nextSuspect];
  }

  /**
   * Makes the set equal the folder. `onGone` is called for each vanished database, before anything else can fail;
   * `awaitsRemoval`: its deletion is due. Throws `CaptureError`.
   */
  async follow(
    onGone: (database: GoneDatabase) => void = () => undefined,
    awaitsRemoval: (name: string) => boolean = () => false,
  ): Promise<void> {
    this.active.hear();
    this.active.dormant.takeTouched();
    let found = this.#discovery.refresh();
    if (this.active.mayBegin(found.size) || found !== this.#seen) found = await this.#settle(found.size);
    await this.#retired.examine();
    this.closeRetired();
    if (!this.#isFollowed(found)) {
      if (misses(found, this.#databases.values(), this.active.dormant)) found = scanUntilStill(this.#discovery);
      await this.#followTo(found, onGone, awaitsRemoval);
      await this.#retired.examine();
    }
    this.#followed = found;
  }

  /** Returns what the folders hold once no deletion is in progress. */
  async #settle(count: number): Promise<ReadonlyMap<string, FoundFile>> {
    if (await this.active.begin(count)) this.#discovery.forget();
    if (this.#discovery.refresh() !== this.#seen) await whenDeletionsEnd(this.active, this.#discovery, this.#options);
    if (this.#isBegun && this.#discovery.refresh() !== this.#seen) await FileLocks.warm();
    return this.#discovery.refresh();
  }

  /** Nothing to do, as most of the time. */
  #isFollowed(found: ReadonlyMap<string, FoundFile>): boolean {
    return (
      found === this.#followed &&
      this.#displaced.size === 0 &&
      !this.active.dormant.hasWoken &&
      !this.#newcomers.isWaiting &&
      this.arrivals.deferred.size === 0 &&
      !this.arrivals.isUnfinished
    );
  }

  async #followTo(
    found: ReadonlyMap<string, FoundFile>,
    onGone: (database: GoneDatabase) => void,
    awaitsRemoval: (name: string) => boolean,
  ): Promise<void> {
    for (const [name, database] of this.#databases) {
      const file = found.get(name);
      if (file !== undefined && sameFile(file.identity, database.files.identity)) {
        await this.#displaced.noteInPlace(database);
        continue;
      }
      if (this.#isExcluded(name)) {
        if (database.isKnown) onGone(database);
        this.#takeOut(database);
        continue;
      }
      if (!(await this.#displaced.isGone(database, found))) continue;
      if (database.isKnown) onGone(database);
      this.#retire(database);
    }
    for (const database of this.active.dormant) {
      const file = found.get(database.name);
      if (file !== undefined && sameFile(file.identity, database.identity)) continue;
      onGone(database);
      this.active.removeDormant(database);
    }
    this.#newcomers.keepOnly((name) => found.has(name) && !this.#databases.has(name));
    await this.arrivals.attach(found, awaitsRemoval);
    tellLinks(found, this.#discovery.aliases, this.#tellOnce);
  }

  #add(database: TrackedDatabase): void {
    this.#databases.set(database.name, database);
    this.active.add(database);
    this.#open.add(database);
    this.#order = undefined;
    const advice = adviseOnWriter(database.name, database.files.dbFd);
    if (advice !== undefined && !this.#isWriterTold) this.#options.onWarning(advice);
    this.#isWriterTold ||= advice !== undefined;
  }

  /** Its files are closed: no process uses it. */
  #forget(database: TrackedDatabase): void {
    database.watch.close();
    this.#databases.delete(database.name);
    this.active.remove(database);
    this.#open.remove(database);
    this.#order = undefined;
  }

  /** Handles a deletion. Its file under its present name has all of its commits, and the name is free for another. */
  #retire(database: TrackedDatabase): void {
    const { name, files } = database;
    const isDeleted = !files.hasName;
    if (!isDeleted) {
      database.pin.release();
      files.unlockWriters();
      const why = whyUnfolded(files);
      if (why !== undefined)
        this.#options.onWarning(`${name} was renamed, and its last commits could not be written to it: ${why}`);
    }
    this.#takeOut(database);
    if (isDeleted) database.retire();
    files.removeCompanions();
  }

  /**
   * Stops capturing it. A database that an operator excluded is not changed otherwise: only the application uses it,
   * with its log.
   */
  #takeOut(database: TrackedDatabase): void {
    this.#databases.delete(database.name);
    this.active.remove(database);
    this.#displaced.forget(database.name);
    this.#order = undefined;
    this.#retired.add(database);
  }

  #isExcluded(name: string): boolean {
    return this.#options.excluded?.().has(name) === true;
  }

  closeRetired(): void {
    this.#retired.close();
  }

  closeSnapshot(): void {
    for (const { files } of [...this.#databases.values(), ...this.#retired]) files.closeSnapshot();
    this.closeRetired();
  }

  /**
   * Closes everything. `onUnfolded` is called for databases whose WAL could not be checkpointed into them, with the
   * reason (the disk is full, another process reads it): together they are the same state.
   */
  close(keepWal: boolean, onUnfolded: (name: string, why: string) => void): void {
    this.closeSnapshot();
    for (const database of [...this.#databases.values(), ...this.#retired]) {
      const { files, pin, watch, name } = database;
      watch.close();
      pin.release();
      files.unlockWriters();
      const unfolded = keepWal || this.#databases.get(name) !== database ? undefined : whyUnfolded(files);
      if (unfolded !== undefined) onUnfolded(name, unfolded);
      files.close(keepWal);
    }
    for (const { name } of this.uncaptured.list) this.uncaptured.clear(name);
    this.#databases.clear();
    this.active.close();
    this.#order = undefined;
    this.#retired.forget();
    this.#discovery.close();
  }
}

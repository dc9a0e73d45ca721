/**
 * The primary's side of capture: every committed page of every database of a service, in order, none twice, none lost.
 *
 * The caller serialises `collect`, `tick`, `beginSnapshot` and `close` (asserted); `isAhead` may be called at any time,
 * also while one of them is waiting. A `CaptureError` from any of them is final: the captured state may be wrong, so
 * nothing that follows may be acknowledged.
 *
 * Order inside a collection, which makes it lossless (argument in `pin.ts`): attach what appeared, begin the next pins,
 * read a consistent cut, read and prove all frames up to it, accept them, release the old pins.
 */
import type { DatabaseChecksum } from "../core/delta.ts";
import type { DatabaseCounts } from "./active-databases.ts";
import { Backfiller } from "./backfiller.ts";
import { type Batch, batchOf, type DatabaseChanges, dueRemovals, removalOf } from "./batch.ts";
import { type Cut, consistentCut } from "./consistent-cut.ts";
import { DatabaseSet } from "./database-set.ts";
import { Faults, seesOrFails } from "./fault.ts";
import { defaultLimits, type SourceLimits } from "./limits.ts";
import { LongLogs } from "./long-logs.ts";
import { refuseNetworkFileSystem } from "./network-fs.ts";
import type { PartStage } from "./read-ahead.ts";
import { ReadAheads } from "./read-aheads.ts";
import { type Beside, settle } from "./beside.ts";
import { acceptChanges, backlogBytes, beginPins, readCut } from "./collection.ts";
import { type Housekeeping, isSealDue } from "./seal.ts";
import { sealAll } from "./seal-all.ts";
import type { CapturedDatabase } from "./set-types.ts";
import { EventLoopBudget } from "../runtime/event-loop-budget.ts";
import { type Snapshot, snapshotOf } from "./snapshot.ts";
import type { SourceOptions } from "./source-options.ts";
import { filesNeverSettle } from "./refusals.ts";
import type { Changes, Reading } from "./tracked-database.ts";
import { type HeldDatabase, heldBy, mayPass } from "./uncaptured.ts";
import { noMetrics } from "../metrics/metrics.ts";
import { type UnfinishedCommit, UnfinishedCommits } from "./unfinished-commits.ts";
import { WriteLocks } from "./write-locks.ts";

/** Pause between two looks at a file that is still being written, at the start. */
const retryMs = 20;

export class Source {
  /** Logs of 64 MiB and more that cannot start over. */
  readonly longLogs: LongLogs;
  readonly #writeLocks: WriteLocks;
  readonly #unfinished = new UnfinishedCommits();
  readonly #options: SourceOptions;
  readonly #limits: SourceLimits;
  readonly #databases: DatabaseSet;
  readonly #house: Housekeeping;
  /** Attached, but not captured yet: its file still changes. */
  readonly #restless = new Set<string>();
  readonly #faults: Faults;
  /** Deletions in no batch yet: of excluded databases at the start, and those that wait for other left-out ones. */
  #removals: DatabaseChanges[] = [];
  #aheads: ReadAheads | undefined;
  #isSnapshotActive = false;
  #isSnapshotBeginning = false;
  #busy: string | undefined;
  #failure: Error | undefined;

  private constructor(options: SourceOptions) {
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    const metrics = options.metrics ?? noMetrics;
    this.longLogs = new LongLogs(metrics);
    this.#writeLocks = new WriteLocks(metrics.histogram("stead_capture_lock_seconds", {}));
    this.#house = {
      limits: this.#limits,
      clock: options.clock,
      backfiller: new Backfiller(),
      onWarning: (text) => options.onWarning(text),
    };
    this.#databases = new DatabaseSet({
      ...options,
      limits: this.#limits,
      house: this.#house,
      writeLocks: this.#writeLocks,
      unfinished: this.#unfinished,
    });
    this.#faults = new Faults(this.#databases.uncaptured, {
      mode: options.uncaptured,
      patienceMs: this.#limits.attachWaitMsMax,
    });
  }

  /**
   * Attaches all existing databases, switches them to WAL, and computes their checksums. Before the application starts.
   * Throws `CaptureError`.
   */
  static async open(options: SourceOptions): Promise<Source> {
    refuseNetworkFileSystem(options.root, ".");
    const source = new Source(options);
    try {
      await source.#exclusively("open", async () => {
        await source.#databases.commits.begin();
        await source.#databases.follow();
        for (const [name, { pageSize }] of options.known ?? [])
          if (options.excluded?.().has(name) === true) source.#removals.push(removalOf({ name, pageSize }));
        for (const database of source.#databases) database.adopt(options.known?.get(database.name));
        // The state found at the start is a base that needs no journal: the caller compares checksums().
        for (;;) {
          for (const change of (await source.#capture(0, "again")).changes) change.database.accept(change);
          source.#noteUncaptured("stop");
          if (source.#databases.uncaptured.size === 0 && !source.#databases.arrivals.isUnfinished) break;
          if (source.#databases.arrivals.isUnfinished) source.#databases.arrivals.makeRoom();
          await options.clock.sleep(retryMs);
        }
        source.#databases.begin();
      });
      return source;
    } catch (error) {
      source.#release(true);
      throw error;
    }
  }

  /**
   * True if something was committed (or a database appeared or vanished, or something moved that must be examined) that
   * no batch so far covers. Sync, about half a microsecond per database and per folder. Throws `CaptureError`.
   */
  isAhead(): boolean {
    return this.#looksSo(() => {
      if (this.#removals.length > 0 || this.#databases.uncaptured.size > 0) return true;
      if (this.#databases.active.isAhead()) return true;
      return this.#databases.isSuspicious() || this.#databases.differs() || this.#databases.uncaptured.size > 0;
    });
  }

  /** True if something moved that no index shows. Sync. Throws `CaptureError`. */
  readonly isSuspicious = (): boolean => this.#looksSo(() => this.#databases.isSuspicious());

  #looksSo(look: () => boolean): boolean {
    if (this.#failure !== undefined) throw this.#failure;
    try {
      return seesOrFails(look);
    } catch (error) {
      throw this.#fail(error);
    }
  }

  /** Commits that a log has and its index does not; responses may rest on them (unfinished-commits.ts). Sync. */
  unfinished(): readonly UnfinishedCommit[] {
    return this.#unfinished.list;
  }

  /** From here on large transactions are read, and staged, while they are being written. Sync. */
  stageAhead(stage: PartStage): void {
    this.#aheads = ReadAheads.over({ stage, clock: this.#options.clock, limits: this.#limits });
  }

  /**
   * Collects everything committed up to one instant and not in an earlier batch; undefined if there is nothing.
   * `beside` is looked at after the cut, and may ask for a later one.
   */
  collect(beside?: Beside): Promise<Batch | undefined> {
    return this.#exclusively("collect", async () => {
      beside?.begin();
      const sealing =
        !this.#isSnapshotActive && [...this.#databases.active].some((database) => isSealDue(database, this.#house));
      const collected = await this.#collect(sealing ? this.#limits.sealKeepBytesMax : this.#limits.eagerBytesMax);
      if (collected === undefined) return undefined;
      if (sealing) await sealAll(collected.deltas, this.#databases, this.#house, this.#collectLater);
      if (beside !== undefined) await settle(beside, collected.deltas, this, this.#collectLater);
      return this.#batchOf(collected.deltas);
    });
  }

  /**
   * Keeps pins young and the WAL short. Call it every few milliseconds, and call `collect` whenever `isAhead` as often,
   * or an application that runs FULL, RESTART or TRUNCATE checkpoints waits. It never passes anything that is not
   * collected.
   */
  tick(): Promise<void> {
    return this.#exclusively("tick", async () => {
      const nowMs = this.#options.clock.now();
      await this.#faults.hold(() => {
        // A checkpoint of the application may be waiting for the pin of a quiet database.
        this.#databases.active.hear();
        this.#databases.closeRetired();
        this.#databases.audit(nowMs);
        this.#databases.active.tick(nowMs);
        this.#aheads?.look(this.#databases.active);
        if (!this.#isSnapshotActive) this.#databases.arrivals.rest();
        this.longLogs.look(this.#databases, this.#databases.locks, nowMs);
      });
    });
  }

  /**
   * Takes all databases at one instant, and the batch up to it: the snapshot is the state after `batch`. Writers are
   * not stopped. One snapshot at a time; until it is released the WAL cannot start over.
   */
  beginSnapshot(beside?: Beside): Promise<{ batch: Batch | undefined; snapshot: Snapshot }> {
    // Before the exclusive part: a caller's mistake here does not spoil the captured state.
    if (this.#isSnapshotActive) return Promise.reject(new Error("a snapshot is active already"));
    return this.#exclusively("beginSnapshot", async () => {
      this.#isSnapshotActive = this.#isSnapshotBeginning = true;
      this.#databases.active.activateAll();
      beside?.begin();
      try {
        let collected = await this.#collect(this.#limits.eagerBytesMax, "again");
        for (; collected === undefined; collected = await this.#collect(this.#limits.eagerBytesMax, "again"))
          await this.#options.clock.sleep(retryMs);
        const { deltas } = collected;
        let { cut } = collected;
        const collectLater = async (): Promise<DatabaseChanges[] | undefined> => {
          const later = await this.#collect(this.#limits.eagerBytesMax, "again");
          cut = later?.cut ?? cut;
          return later?.deltas;
        };
        if (beside !== undefined) await settle(beside, deltas, this, collectLater);
        const captured = new Map([...cut].filter(([database]) => database.captured !== undefined));
        // If something is left out nothing is read, so that nothing needs a pin.
        const leavesOut =
          this.#removals.length > 0 ||
          this.#databases.uncaptured.size > 0 ||
          [...captured.keys()].some(({ files }) => !files.isSnapshotReading);
        const snapshot = snapshotOf(
          leavesOut ? new Map() : captured,
          leavesOut ? [] : this.#databases.dormantSnapshots(),
          leavesOut,
          () => this.#closeSnapshot(),
        );
        return { batch: this.#batchOf(deltas), snapshot };
      } catch (error) {
        this.#closeSnapshot();
        throw error;
      } finally {
        this.#isSnapshotBeginning = false;
      }
    });
  }

  /** Checksums of the captured state: everything in the batches so far and what was there at the start. */
  checksums(): Map<string, DatabaseChecksum> {
    return new Map([...this.#databases.captured()].map(({ name, checksum }) => [name, checksum]));
  }

  /** How often and for how long writers were locked out since capture began. */
  writeLocks(): WriteLocks {
    return this.#writeLocks;
  }

  /** Databases that batches leave out because their files are still being filled. Sync. */
  uncaptured(): readonly HeldDatabase[] {
    const { list } = this.#databases.uncaptured;
    if (list.length > 0) return list.map(heldBy);
    if (this.#removals.length === 0) return [];
    const sinceMs = this.#options.clock.now();
    return this.#removals.map(({ name }) => {
      return { name, reason: `${name}: a deletion that is not in the journal yet`, advice: "Wait a moment.", sinceMs };
    });
  }

  /** Databases of the captured state. Sync. */
  names(): string[] {
    return [...this.#databases.captured()].map(({ name }) => name);
  }

  /** How many databases each `isAhead` checks, and how many it need not. Sync. */
  counts(): DatabaseCounts {
    return this.#databases.active.counts();
  }

  /** Files that match but are not databases, once capture has begun. Sync. */
  leftOut(): readonly { readonly name: string; readonly reason: string }[] {
    return this.#databases.leftOut();
  }

  /** Names, sizes and checksums of the captured state. */
  databases(): readonly CapturedDatabase[] {
    return [...this.#databases.captured()];
  }

  /**
   * Closes everything; the application is gone by then. `ahead`: something was committed that no batch covers. With
   * `fold` (default) the database files alone are the state afterwards; without it the files are left unchanged.
   */
  async close(options: { readonly fold?: boolean } = {}): Promise<{ ahead: boolean }> {
    if (this.#busy !== undefined) throw new Error(`close during ${this.#busy}: the caller must serialise them`);
    this.#busy = "close";
    try {
      await this.#house.backfiller.close();
      await this.#aheads?.close();
      return { ahead: await this.#isAheadAtEnd() };
    } finally {
      this.#release(options.fold === false);
      this.#busy = undefined;
    }
  }

  /** Same as `isAhead`, with suspicions examined: a killed writer leaves half a commit. */
  async #isAheadAtEnd(): Promise<boolean> {
    if (this.#failure !== undefined) return true;
    try {
      this.#databases.active.activateAll();
      await this.#examine(new EventLoopBudget());
      return (
        this.#removals.length > 0 ||
        [...this.#databases].some((database) => database.isAhead()) ||
        this.#databases.differs()
      );
    } catch {
      // After any error it is unknown whether everything was collected.
      return true;
    }
  }

  /** Throws `CaptureError` if something moved that must not. */
  async #examine(budget: EventLoopBudget): Promise<void> {
    this.#databases.audit(this.#options.clock.now());
    for (const database of this.#databases.active)
      if (database.watch.mustExamine || (!database.isAhead() && database.isSuspicious()))
        await database.watch.examine(database, budget);
  }

  /** Undefined: something cannot be read just now (fault.ts), and nothing has changed. */
  async #collect(
    keepBytesMax: number,
    large: Reading = "stream",
  ): Promise<{ deltas: DatabaseChanges[]; cut: Cut } | undefined> {
    const result = await this.#faults.hold(() => this.#capture(keepBytesMax, large));
    if (result === undefined) return undefined;
    const { deferred } = this.#databases.arrivals;
    const accepted = deferred.accept(result.changes, this.#removals, this.#databases.active);
    const captured = acceptChanges(result.cut.keys(), accepted);
    this.#noteUncaptured();
    // Behind what is captured now: before it, every new commit would look like one that the index does not have.
    const isWell = await this.#faults.hold(() => this.#examine(new EventLoopBudget()).then(() => true));
    if (isWell === true) this.#faults.clear();
    const { due, waiting } = dueRemovals(this.#removals, captured, this.#databases.uncaptured.size === 0);
    this.#removals = waiting;
    return { deltas: [...due, ...captured], cut: result.cut };
  }

  /** What was committed since; undefined: it cannot be combined with what is collected, since it is read later. */
  readonly #collectLater = async (): Promise<DatabaseChanges[] | undefined> =>
    this.#databases.uncaptured.size > 0
      ? undefined
      : (await this.#collect(this.#limits.sealKeepBytesMax, "again"))?.deltas;

  #batchOf(deltas: readonly DatabaseChanges[]): Batch | undefined {
    return deltas.length === 0 ? undefined : batchOf(deltas, this.#limits.partBytesMax);
  }

  /** Everything between the captured state and one cut, not accepted; next pins are held. */
  async #capture(keepBytesMax: number, large: Reading): Promise<{ changes: Changes[]; cut: Cut }> {
    const cut = await this.#takeCut();
    return { changes: await readCut(cut, backlogBytes(cut) <= keepBytesMax ? "keep" : large), cut };
  }

  /** After a capture: notes which databases it left out. Throws the reason of one that was left out for too long. */
  #noteUncaptured(mode = this.#options.uncaptured): void {
    for (const { name, captured } of this.#databases.active) {
      if (captured !== undefined) {
        if (this.#restless.delete(name)) this.#databases.uncaptured.clear(name);
        continue;
      }
      this.#restless.add(name);
      this.#databases.uncaptured.note(name, this.#databases.arrivals.whyRestless(name));
    }
    if (mode === "stop") for (const { error } of this.#databases.uncaptured.list) if (!mayPass(error)) throw error;
    this.#databases.uncaptured.assertPatience(this.#limits.attachWaitMsMax);
  }

  async #takeCut(): Promise<Cut> {
    const { clock } = this.#options;
    const giveUpMs = clock.now() + this.#limits.attachWaitMsMax;
    for (;;) {
      await this.#databases.follow(
        (database) => this.#removals.push(removalOf(database)),
        (name) => this.#removals.some((removal) => removal.name === name),
      );
      const { active } = this.#databases;
      active.hear();
      const [databases, generation] = [this.#databases.inPlace(), active.generation];
      // While a database is displaced its path leads to another file, which a snapshot's reader would open.
      beginPins(databases, clock.now(), this.#isSnapshotBeginning && this.#databases.uncaptured.size === 0);
      const cut = await consistentCut(
        databases,
        this.#databases.commits,
        () => this.#databases.isUndisturbed(generation),
        clock,
        this.#limits.settleMsMax,
      );
      if (cut !== undefined) return cut;
      if (clock.now() > giveUpMs) throw filesNeverSettle(this.#limits.attachWaitMsMax);
    }
  }

  #closeSnapshot(): void {
    this.#isSnapshotActive = false;
    this.#databases.closeSnapshot();
  }

  #release(keepWal: boolean): void {
    this.longLogs.close();
    this.#databases.close(keepWal, (name, why) => {
      this.#options.onWarning(`${name}: the write-ahead log could not be checkpointed into the database: ${why}`);
    });
  }

  async #exclusively<T>(what: string, work: () => Promise<T>): Promise<T> {
    if (this.#busy !== undefined) throw new Error(`${what} during ${this.#busy}: the caller must serialise them`);
    if (this.#failure !== undefined) throw this.#failure;
    this.#busy = what;
    try {
      return await work();
    } catch (error) {
      throw this.#fail(error);
    } finally {
      this.#busy = undefined;
    }
  }

  #fail(error: unknown): Error {
    this.#failure ??= error instanceof Error ? error : new Error(String(error));
    return this.#failure;
  }
}

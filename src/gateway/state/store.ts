/**
 * The gateway's memory: its copy of the shared tables (src/core/replication/replication.ts), and the libSQL file that
 * is written behind it and never waited for.
 *
 * Routing decides from memory; the disk follows. Changes wait at most `flushDelayMs` and are written together in one
 * transaction; of a row that changed twice only the newer version is written. The queue is bounded: beyond it the
 * oldest events are dropped first, and counted. A database that cannot be opened or written is a `failure`, shown in
 * status and metrics, and retried; it is never an exception for the caller. A damaged one is set aside and rebuilt from
 * memory and peers.
 */
import { RowReplica } from "../../core/replication/replication.ts";
import { assumedStamp, faultOfStamp, stampMs, type Cell, type ReplicatedRow } from "../../core/replication/row.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Random } from "../../runtime/random.ts";
import { BackgroundTasks } from "../../runtime/background-tasks.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import { HybridClock } from "./hybrid-clock.ts";
import { DatabaseInUseError } from "./database-in-use.ts";
import type { DiskChange, Loaded, OpenDisk, StateDisk } from "./replication-disk.ts";
import { faultOfAddress, fromValues, rowKey, sharedTable, toValues } from "./replication-tables.ts";
import { outlivedRows, tombstonesKeptMs } from "./retention.ts";
import type { RowWrite, StoredService } from "./rows.ts";
import { epochJumpMax } from "../../core/failover/proof.ts";
import type { epochs, hosts, services } from "./schema.ts";

export const flushDelayMs = 25;
export const queuedWritesMax = 10_000;
/** Writes in one transaction: libSQL writes on this thread, and requests must not wait for it. */
const batchMax = 200;
export const writeRetryDelayMs = 1_000;
/** Changes between two searches for old rows. */
const changesPerPrune = 1_000;

/** The state from which a gateway starts. */
export interface Remembered {
  readonly services: readonly StoredService[];
  /** Tombstones included. */
  readonly hosts: readonly (typeof hosts.$inferSelect)[];
  /** The highest epoch of each service that was reached without a leap (core/failover/proof.ts). */
  readonly epochs: readonly {
    readonly service: string;
    readonly epoch: number;
    readonly host: string;
    readonly dataUrl: string | undefined;
  }[];
}

export interface StateStoreOptions {
  readonly disk: StateDisk;
  readonly gateway: string;
  readonly clock: Clock;
  readonly random: Random;
}

/** Returns a run's name: the gateway's id, and a part unique to the run. Ids have no `~`. */
const newOrigin = ({ gateway, clock, random }: StateStoreOptions): string =>
  `${gateway}~${Math.floor(clock.wallTime()).toString(36)}${Buffer.from(random.bytes(2)).toString("hex")}`;

/** Returns the gateway whose run wrote something. */
export const gatewayOf = (origin: string): string => origin.split("~")[0] ?? origin;

export class StateStore {
  readonly replica: RowReplica;
  /** Called for this run's own writes, and for rows that came from peers or, late, from disk. */
  onWrite: ((row: ReplicatedRow) => void) | undefined;
  onApplied: ((rows: readonly ReplicatedRow[]) => void) | undefined;
  readonly #options: StateStoreOptions;
  readonly #hybrid: HybridClock;
  readonly #queue = new Map<string, DiskChange>();
  readonly #background = new BackgroundTasks();
  readonly #warnings: string[] = [];
  readonly #met = new Set<string>();
  #disk: OpenDisk | undefined;
  #timer: Timer | undefined;
  /** Flushes run one after the other; none rejects. */
  #flushing: Promise<void> = Promise.resolve();
  #changes = 0;
  #isClosed = false;
  #failure: string | undefined;
  #dropped = 0;

  constructor(options: StateStoreOptions) {
    this.#options = options;
    this.#hybrid = new HybridClock(() => options.clock.wallTime());
    this.replica = new RowReplica(newOrigin(options));
  }

  /** Why nothing is being stored; undefined: everything is. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /** Past events of the database that an operator should know, for example that it was set aside. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  /** Ids of the other gateways that this one has met, in this run or an earlier one. */
  get met(): ReadonlySet<string> {
    return this.#met;
  }

  get queued(): number {
    return this.#queue.size;
  }

  /** Writes that were dropped because the queue was full. */
  get dropped(): number {
    return this.#dropped;
  }

  /**
   * Opens and reads. If the database cannot be opened it remembers nothing and keeps trying; throws
   * `DatabaseInUseError` if another gateway has it.
   */
  async open(): Promise<Remembered> {
    try {
      await this.#connect();
    } catch (error) {
      if (error instanceof DatabaseInUseError) throw error;
      this.#fail(error);
      this.#schedule(writeRetryDelayMs);
    }
    return this.#remembered();
  }

  /** Writes a row of this gateway, unless it changes nothing or a peer has a stronger version. */
  write(write: RowWrite): void {
    if (this.#isClosed) return;
    const table = sharedTable(write.table);
    const values = toValues(table, write.row);
    const key = rowKey(table, values);
    const kept = write.table === "epochs" ? sameEpoch(values, this.replica.get(write.table, key)) : values;
    const hlc = write.assumed === true ? assumedStamp : this.#stamp();
    const row = this.replica.write({ table: write.table, key, values: kept, deleted: write.row.deleted === true }, hlc);
    if (row === undefined) return;
    this.#enqueue({ kind: "put", row });
    this.onWrite?.(row);
  }

  /** Writes a row that must be newer than `stamp`, whatever the clocks say. A false stamp is not followed. */
  writeAfter(stamp: string, write: RowWrite): void {
    if (!this.#isFalse(stamp)) this.#hybrid.observe(stamp);
    this.write(write);
  }

  /** Records rows that an exchange put into `replica`: stores them, and makes later writes here newer. */
  applied(rows: readonly ReplicatedRow[]): void {
    if (rows.length === 0 || this.#isClosed) return;
    for (const row of rows) {
      this.#hybrid.observe(row.hlc);
      this.#enqueue({ kind: "put", row });
    }
    this.onApplied?.(rows);
  }

  /** Records that another gateway was met. Call it before its rows are applied: they are stored in that order. */
  meet(gateway: string): void {
    if (this.#isClosed || this.#met.has(gateway)) return;
    this.#met.add(gateway);
    this.#enqueue({ kind: "meet", gateway });
  }

  /** Records that a gateway was removed: if it joins again, it is met again. */
  forget(gateway: string): void {
    if (!this.#isClosed && this.#met.delete(gateway)) this.#enqueue({ kind: "forget", gateway });
  }

  /** Resolves once everything pending is on disk, or in `failure`. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#flushOnce());
    return this.#flushing;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#cancelTimer();
    do await this.flush();
    while (this.#queue.size > 0 && this.#failure === undefined);
    this.#isClosed = true;
    this.#cancelTimer();
    await this.#background.settled();
    this.#disk?.close();
    this.#disk = undefined;
  }

  async #connect(): Promise<void> {
    const { disk: at, clock } = this.#options;
    let opened: Awaited<ReturnType<StateDisk["open"]>>;
    try {
      opened = await at.open();
    } catch (error) {
      if (!at.isDamage(error)) throw error;
      await this.#setAside(error);
      opened = await at.open();
    }
    const { disk, loaded } = opened;
    this.#disk = disk;
    this.#failure = undefined;
    this.#takeIn(loaded);
    const outdated = this.#outdate();
    this.#warnWhenOld(loaded, outdated, clock.wallTime());
  }

  #takeIn({ rows: stored, vector, met }: Loaded): void {
    const before = this.replica.size;
    for (const gateway of met) this.#met.add(gateway);
    const rows = stored.filter((row) => this.#isCallable(row));
    const fresh = this.replica.merge(rows);
    this.replica.claim(vector);
    for (const row of rows) this.#hybrid.observe(row.hlc);
    if (before > 0 && fresh.length > 0) this.onApplied?.(fresh);
  }

  /** An earlier version stored rows with any address; every peer refuses them now. */
  #isCallable(row: ReplicatedRow): boolean {
    const fault = faultOfAddress(row);
    if (fault === undefined) return true;
    this.#warnings.push(
      `${row.table} ${row.key.replaceAll("\n", "/")} of the database ${fault}: it is dropped; add it again`,
    );
    this.#enqueue({ kind: "remove", table: row.table, key: row.key });
    return false;
  }

  /**
   * After a clock correction at run time, every peer would refuse earlier writes for as long as the clock was ahead.
   */
  #stamp(): string {
    if (this.#isFalse(this.#hybrid.last)) this.#outdate();
    return this.#hybrid.next();
  }

  readonly #isFalse = (stamp: string): boolean => faultOfStamp(stamp, this.#options.clock.wallTime()) !== undefined;

  /**
   * Restamps rows from a clock that was more than a day ahead as old, so that this gateway's stamps follow its
   * corrected clock and its peers accept its rows at once. No peer has these rows: peers refuse such stamps.
   */
  #outdate(): readonly ReplicatedRow[] {
    const newest = this.#hybrid.last;
    const outdated = this.replica.outdate((hlc) => this.#isFalse(hlc));
    if (this.#isFalse(newest)) this.#hybrid.reset();
    for (const { hlc } of this.replica.rows()) this.#hybrid.observe(hlc);
    if (outdated.length === 0) return outdated;
    for (const row of outdated) this.#enqueue({ kind: "put", row });
    const until = new Date(stampMs(newest)).toISOString();
    this.#warnings.push(
      `${outdated.length} rows have false stamps, up to ${until}, more than a day ahead of this clock or beyond what a clock counts: the clock of this machine was wrong when they were written, or it is behind now; they count as old, and what other gateways know of the same things wins`,
    );
    return outdated;
  }

  #warnWhenOld({ rows }: Loaded, outdated: readonly ReplicatedRow[], wallTimeMs: number): void {
    if (outdated.length > 0) return;
    const newest = rows.reduce((max, row) => (row.hlc > max ? row.hlc : max), "");
    if (newest === "" || wallTimeMs - stampMs(newest) < tombstonesKeptMs) return;
    const days = Math.floor((wallTimeMs - stampMs(newest)) / (24 * 3600 * 1_000));
    this.#warnings.push(
      `the database ${this.#options.disk.path} is ${days} days old: hosts that were removed meanwhile may come back; with other gateways running, stop, delete it, and start again`,
    );
  }

  async #setAside(error: unknown): Promise<void> {
    const { disk, clock } = this.#options;
    this.#disk?.close();
    this.#disk = undefined;
    const name = await disk.setAside(clock.wallTime());
    this.#warnings.push(
      `the database ${disk.path} was damaged (${messageOf(error)}) and is set aside as ${name}: a new one was begun, and gets what other gateways have`,
    );
    this.#enqueueAll();
  }

  #enqueueAll(): void {
    for (const gateway of this.#met) this.#enqueue({ kind: "meet", gateway });
    for (const row of this.replica.rows()) this.#enqueue({ kind: "put", row });
  }

  #beginAnew(): void {
    this.#disk?.close();
    this.#disk = undefined;
    this.#warnings.push(
      `the database ${this.#options.disk.path} was deleted or moved while the gateway ran: it is written again, with everything that the gateway knows`,
    );
    this.#enqueueAll();
  }

  #remembered(): Remembered {
    const rows = [...this.replica.rowsOf("epochs")].map((row) => fromValues<typeof epochs.$inferSelect>(row));
    const highest = new Map<string, typeof epochs.$inferSelect>();
    for (const epoch of rows.filter(({ deleted }) => !deleted).sort((a, b) => a.epoch - b.epoch)) {
      const before = highest.get(epoch.service);
      if (before === undefined || epoch.epoch <= before.epoch + epochJumpMax) highest.set(epoch.service, epoch);
    }
    const known = [...this.replica.rowsOf("services")].map((row) => fromValues<typeof services.$inferSelect>(row));
    return {
      services: known.filter(({ deleted }) => !deleted),
      hosts: [...this.replica.rowsOf("hosts")].map((row) => fromValues<typeof hosts.$inferSelect>(row)),
      epochs: [...highest.values()].map(({ service, epoch, host, dataUrl }) => ({
        ...{ service, epoch, host },
        dataUrl: dataUrl ?? undefined,
      })),
    };
  }

  #enqueue(change: DiskChange): void {
    this.#queue.set(nameOf(change), change);
    if (this.#queue.size > queuedWritesMax) this.#dropOldest();
    this.#schedule(flushDelayMs);
    if (++this.#changes % changesPerPrune === 0) this.#prune();
  }

  #cancelTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #schedule(delayMs: number): void {
    if (this.#timer !== undefined || this.#isClosed) return;
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      this.#timer = undefined;
      this.#background.own(this.flush());
    });
  }

  async #flushOnce(): Promise<void> {
    if (this.#isClosed) return;
    try {
      if (this.#disk !== undefined && this.#options.disk.isGone()) this.#beginAnew();
      if (this.#disk === undefined) await this.#connect();
      const batch = [...this.#queue].slice(0, batchMax);
      const isAll = batch.length === this.#queue.size;
      if (batch.length === 0) return;
      await this.#disk?.write(
        batch.map(([, change]) => change),
        isAll ? this.replica.vector : null,
      );
      for (const [id, change] of batch) if (this.#queue.get(id) === change) this.#queue.delete(id);
      this.#failure = undefined;
    } catch (error) {
      if (this.#options.disk.isDamage(error))
        await this.#setAside(error).catch((failure: unknown) => this.#fail(failure));
      else this.#fail(error);
      this.#schedule(writeRetryDelayMs);
      return;
    }
    if (this.#queue.size > 0) this.#schedule(flushDelayMs);
  }

  #prune(): void {
    for (const { table, key } of outlivedRows(this.replica, this.#options.clock.wallTime())) {
      this.replica.forget(table, key);
      this.#enqueue({ kind: "remove", table, key });
    }
  }

  #dropOldest(): void {
    let victim = this.#queue.keys().next().value;
    for (const key of this.#queue.keys()) {
      if (!key.startsWith("events\n")) continue;
      victim = key;
      break;
    }
    if (victim !== undefined && this.#queue.delete(victim)) this.#dropped++;
  }

  #fail(error: unknown): void {
    this.#failure = `the database ${this.#options.disk.path} cannot be used: ${messageOf(error)}`;
  }
}

/** The later of two changes with one name replaces the earlier. */
function nameOf(change: DiskChange): string {
  switch (change.kind) {
    case "put":
      return `${change.row.table}\n${change.row.key}`;
    case "remove":
      return `${change.table}\n${change.key}`;
    case "meet":
    case "forget":
      return `met\n${change.gateway}`;
  }
}

/**
 * For a known epoch of the same owner: the time it was first seen stays, and its address unless there is a new one.
 * Another owner is news: only what a host has proved is written here, and a row of a peer may be older or false.
 */
function sameEpoch(values: Record<string, Cell>, known: ReplicatedRow | undefined): Record<string, Cell> {
  if (known === undefined || known.values["host"] !== values["host"]) return values;
  return {
    ...values,
    first_seen_at_ms: known.values["first_seen_at_ms"] ?? null,
    data_url: values["data_url"] ?? known.values["data_url"] ?? null,
  };
}

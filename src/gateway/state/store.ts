/**
 * The gateway's memory on disk: a libSQL file that is written behind, never waited for.
 *
 * Routing decides from memory; this store is told afterwards. Writes wait at most `flushDelayMs`, go together in one
 * transaction, and a later write of the same row replaces an earlier one that still waits. The queue is bounded: beyond
 * it the oldest events are dropped first, and counted. A database that cannot be opened or written is `trouble`, shown in
 * status and metrics, tried again, and never an exception for the caller.
 */
import { createClient, type Client } from "@libsql/client";
import { drizzle } from "drizzle-orm/libsql";
import { desc, eq } from "drizzle-orm";
import { mkdir } from "node:fs/promises";
import { dirname } from "node:path";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { Background } from "../background.ts";
import { HybridClock } from "./hybrid-clock.ts";
import { migrate } from "./migrate.ts";
import type { Database, PendingWrite, Statement } from "./rows.ts";
import { epochs, hosts, services } from "./schema.ts";

export const flushDelayMs = 25;
export const queuedWritesMax = 10_000;
/** Writes in one transaction: libSQL writes on this thread, and requests must not wait for it. */
const batchMax = 200;
export const retryDelayMs = 1_000;
export const eventsKept = 10_000;
export const failoversKept = 2_000;
/** Old rows are looked for after this many flushes. */
const flushesPerPrune = 200;
const databaseBusyMs = 1_000;

/** What a gateway starts from. */
export interface Remembered {
  readonly services: readonly { readonly name: string; readonly paused: boolean }[];
  readonly hosts: readonly (typeof hosts.$inferSelect)[];
  /** The highest epoch of each service. */
  readonly epochs: readonly { readonly service: string; readonly epoch: number; readonly host: string; readonly dataUrl: string | null }[];
}

export interface StateStoreOptions {
  /** Absolute. */
  readonly path: string;
  readonly gateway: string;
  readonly clock: Clock;
}

export class StateStore {
  readonly #options: StateStoreOptions;
  readonly #hybrid: HybridClock;
  readonly #queue = new Map<string, PendingWrite>();
  readonly #background = new Background();
  #client: Client | null = null;
  #database: Database | null = null;
  #timer: Timer | null = null;
  /** Flushes one after the other; none rejects. */
  #flushing: Promise<void> = Promise.resolve();
  #seq = 0;
  #flushes = 0;
  #closed = false;
  #trouble: string | null = null;
  #dropped = 0;

  constructor(options: StateStoreOptions) {
    this.#options = options;
    this.#hybrid = new HybridClock(() => options.clock.wallTime());
  }

  /** Why nothing is being stored; null when all is well. */
  get trouble(): string | null {
    return this.#trouble;
  }

  get queued(): number {
    return this.#queue.size;
  }

  /** Writes that were given up because the queue was full. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Opens and reads. With a database that cannot be opened it remembers nothing, and goes on trying. */
  async open(): Promise<Remembered> {
    const nothing: Remembered = { services: [], hosts: [], epochs: [] };
    try {
      await this.#connect();
      return this.#database === null ? nothing : await this.#load(this.#database);
    } catch (error) {
      this.#fail(error);
      this.#schedule(retryDelayMs);
      return nothing;
    }
  }

  write(write: PendingWrite): void {
    if (this.#closed) return;
    this.#queue.delete(write.key);
    this.#queue.set(write.key, write);
    if (this.#queue.size > queuedWritesMax) this.#dropOldest();
    this.#schedule(flushDelayMs);
  }

  /** Everything that waits is on disk, or in `trouble`, when it resolves. */
  flush(): Promise<void> {
    this.#flushing = this.#flushing.then(() => this.#flushOnce());
    return this.#flushing;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#cancelTimer();
    do await this.flush();
    while (this.#queue.size > 0 && this.#trouble === null);
    this.#closed = true;
    this.#cancelTimer();
    await this.#background.settled();
    this.#client?.close();
    this.#client = null;
    this.#database = null;
  }

  async #connect(): Promise<void> {
    await mkdir(dirname(this.#options.path), { recursive: true });
    const client = createClient({ url: `file:${this.#options.path}`, concurrency: 1, timeout: databaseBusyMs });
    try {
      await client.execute("PRAGMA journal_mode = WAL");
      await client.execute("PRAGMA synchronous = NORMAL");
      await migrate(client);
      const database = drizzle(client);
      await this.#continueFrom(client);
      this.#client = client;
      this.#database = database;
      this.#trouble = null;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** This gateway's own counter and clock go on from what it wrote before. */
  async #continueFrom(client: Client): Promise<void> {
    const tables = ["t_services", "t_hosts", "t_gateways", "t_health", "t_epochs", "t_failovers", "t_events"];
    const parts = tables.map((table) => `SELECT seq, hlc, origin FROM ${table}`).join(" UNION ALL ");
    const result = await client.execute({
      sql: `SELECT max(CASE WHEN origin = ? THEN seq END) AS seq, max(hlc) AS hlc FROM (${parts})`,
      args: [this.#options.gateway],
    });
    const row = result.rows[0];
    this.#seq = Math.max(this.#seq, Number(row?.["seq"] ?? 0));
    const stamp = row?.["hlc"];
    if (typeof stamp === "string") this.#hybrid.observe(stamp);
  }

  async #load(database: Database): Promise<Remembered> {
    const [knownServices, knownHosts, allEpochs] = await Promise.all([
      database.select({ name: services.name, paused: services.paused }).from(services).where(eq(services.deleted, false)),
      database.select().from(hosts),
      database.select({ service: epochs.service, epoch: epochs.epoch, host: epochs.host, dataUrl: epochs.dataUrl }).from(epochs).where(eq(epochs.deleted, false)).orderBy(desc(epochs.epoch)),
    ]);
    const highest = new Map<string, (typeof allEpochs)[number]>();
    for (const epoch of allEpochs) if (!highest.has(epoch.service)) highest.set(epoch.service, epoch);
    return { services: knownServices, hosts: knownHosts, epochs: [...highest.values()] };
  }

  #cancelTimer(): void {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #schedule(delayMs: number): void {
    if (this.#timer !== null || this.#closed) return;
    this.#timer = this.#options.clock.setTimer(delayMs, () => {
      this.#timer = null;
      this.#background.own(this.flush());
    });
  }

  async #flushOnce(): Promise<void> {
    if (this.#closed) return;
    const batch = [...this.#queue.values()].slice(0, batchMax);
    try {
      if (this.#database === null) await this.#connect();
      const database = this.#database;
      if (database === null || batch.length === 0) return;
      const statements = batch.map((write) => write.build(database, this.#provenance()));
      await runBatch(database, statements);
      for (const write of batch) if (this.#queue.get(write.key) === write) this.#queue.delete(write.key);
      this.#trouble = null;
      if (++this.#flushes % flushesPerPrune === 0) await this.#prune();
    } catch (error) {
      this.#fail(error);
      this.#schedule(retryDelayMs);
      return;
    }
    if (this.#queue.size > 0) this.#schedule(flushDelayMs);
  }

  async #prune(): Promise<void> {
    await this.#client?.batch([
      { sql: "DELETE FROM t_events WHERE id IN (SELECT id FROM t_events ORDER BY at_ms DESC LIMIT -1 OFFSET ?)", args: [eventsKept] },
      { sql: "DELETE FROM t_failovers WHERE id IN (SELECT id FROM t_failovers ORDER BY decided_at_ms DESC LIMIT -1 OFFSET ?)", args: [failoversKept] },
    ], "write");
  }

  #provenance(): { origin: string; seq: number; hlc: string } {
    return { origin: this.#options.gateway, seq: ++this.#seq, hlc: this.#hybrid.next() };
  }

  #dropOldest(): void {
    let victim = this.#queue.keys().next().value;
    for (const key of this.#queue.keys()) {
      if (!key.startsWith("event ")) continue;
      victim = key;
      break;
    }
    if (victim !== undefined && this.#queue.delete(victim)) this.#dropped++;
  }

  #fail(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#trouble = `the database ${this.#options.path} cannot be used: ${reason}`;
  }
}

async function runBatch(database: Database, statements: readonly Statement[]): Promise<void> {
  const [first, ...rest] = statements;
  if (first !== undefined) await database.batch([first, ...rest]);
}

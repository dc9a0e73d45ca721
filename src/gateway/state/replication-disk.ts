/**
 * A copy (src/core/replication/replication.ts) on disk: opens, loads, writes changes in one transaction, and handles a
 * damaged file.
 *
 * The vector is stored only together with everything that it claims: in a transaction that leaves nothing waiting.
 * After a crash the stored claims are true of the stored rows, and peers send the rest.
 *
 * One connection writes, checkpoints and starts the log over: this one. libSQL is built on SQLite 3.45.1, whose
 * checkpoints have a defect that was fixed in 3.51.3 ("WAL-reset bug", https://www.sqlite.org/wal.html): one that
 * begins while *another* connection commits and starts the log over does not notice that, and a later checkpoint then
 * leaves frames out. Here no other connection can: the client has a pool of one (`concurrency`), the lock file keeps a
 * second gateway out, and operators' statements run on a connection that SQLite opened read-only
 * (read-only-database.ts), in another process, with a library that has the fix. A read-only connection neither writes
 * nor checkpoints, not even when it is the last to close; the recovery of an index, which it may do, excludes
 * checkpoints by a lock. One would break it with a second client in this file, or a tool that opens the file for
 * writing while the gateway runs.
 *
 * Attacked in test/security/W1-wal-reset.test.ts: "no other gateway gets one", "no other part opens the file for
 * writing".
 */
import type { Client, InStatement } from "@libsql/client";
import { existsSync } from "node:fs";
import { chmod, mkdir, rename, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { FileLock, lockHolder } from "../../runtime/file-lock.ts";
import { unpackBeside } from "../../runtime/native-module.ts";
import type { ReplicatedRow } from "../../core/replication/row.ts";
import type { VersionVector } from "../../core/replication/version-vector.ts";
import { DatabaseInUseError } from "./database-in-use.ts";
import { migrate } from "./migrate.ts";
import { removal, sharedTables, storedRow, upsert } from "./replication-tables.ts";

const databaseBusyMs = 1_000;

/** A row to be put, or the name of one to be removed; or that another gateway was met, or is forgotten. */
export type DiskChange =
  | { readonly kind: "put"; readonly row: ReplicatedRow }
  | { readonly kind: "meet" | "forget"; readonly gateway: string }
  | { readonly kind: "remove"; readonly table: string; readonly key: string };

export interface Loaded {
  readonly rows: readonly ReplicatedRow[];
  /** Ids of the other gateways that this one has met. */
  readonly met: readonly string[];
  readonly vector: VersionVector;
}

/** An open database, as the store uses it. */
export type OpenDisk = Pick<ReplicaDisk, "write" | "close">;

/** The storage of a gateway's memory: a libSQL file, or the simulation's disk. */
export interface StateDisk {
  /** For messages. */
  readonly path: string;
  /** Opens, migrates and reads everything. */
  open(): Promise<{ readonly disk: OpenDisk; readonly loaded: Loaded }>;
  /** True if the file was deleted or moved: writes through an open connection are then lost. */
  isGone(): boolean;
  /** True if the error says that the database itself is broken. */
  isDamage(error: unknown): boolean;
  /** Moves a damaged database out of the way, keeping it. Returns its new name. */
  setAside(wallTimeMs: number): Promise<string>;
}

/** `path`: absolute. */
export const fileDisk = (path: string): StateDisk => ({
  path,
  open: () => ReplicaDisk.open(path),
  isGone: () => !existsSync(path),
  isDamage,
  setAside: (wallTimeMs) => setAside(path, wallTimeMs),
});

export class ReplicaDisk {
  readonly #client: Client;
  readonly #lock: FileLock;
  #storedVector: Map<string, number>;

  private constructor(client: Client, lock: FileLock, storedVector: Map<string, number>) {
    this.#client = client;
    this.#lock = lock;
    this.#storedVector = storedVector;
  }

  /**
   * Opens, migrates and reads everything. No other gateway can until it is closed: the lock is beside the database,
   * since libSQL's own would block its readers. Throws `DatabaseInUseError`, and SQLite's errors; see `isDamage`.
   */
  static async open(path: string): Promise<{ readonly disk: ReplicaDisk; readonly loaded: Loaded }> {
    await mkdir(dirname(path), { recursive: true });
    const lockFile = `${path}.lock`;
    const lock = FileLock.take(lockFile);
    if (lock === undefined) throw new DatabaseInUseError(path, lockHolder(lockFile));
    try {
      return await ReplicaDisk.#openLocked(path, lock);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  static async #openLocked(
    path: string,
    lock: FileLock,
  ): Promise<{ readonly disk: ReplicaDisk; readonly loaded: Loaded }> {
    await keepFromOthers(path);
    unpackBeside(dirname(path));
    const { createClient } = await import("@libsql/client");
    const client = createClient({ url: `file:${path}`, concurrency: 1, timeout: databaseBusyMs });
    try {
      await client.execute("PRAGMA journal_mode = WAL");
      await client.execute("PRAGMA synchronous = NORMAL");
      const check = (await client.execute("PRAGMA quick_check(1)")).rows[0]?.[0];
      if (check !== "ok") throw new DamagedDatabaseError(typeof check === "string" ? check : "the check gave nothing");
      await migrate(client);
      const loaded = await load(client);
      return { disk: new ReplicaDisk(client, lock, new Map(loaded.vector)), loaded };
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** Writes in one transaction. `vector` null: other changes still wait, so that nothing may be claimed yet. */
  async write(changes: readonly DiskChange[], vector: VersionVector | null): Promise<void> {
    const statements: InStatement[] = changes.map(statementOf);
    const claims = vector === null ? null : new Map(vector);
    if (claims !== null) statements.push(...this.#vectorChanges(claims));
    if (statements.length > 0) await this.#client.batch(statements, "write");
    if (claims !== null) this.#storedVector = claims;
  }

  close(): void {
    this.#client.close();
    this.#lock.release();
  }

  #vectorChanges(vector: VersionVector): InStatement[] {
    const statements: InStatement[] = [];
    for (const [origin, seq] of vector) {
      if (this.#storedVector.get(origin) !== seq)
        statements.push({ sql: "INSERT OR REPLACE INTO t_vector (origin, seq) VALUES (?, ?)", args: [origin, seq] });
    }
    for (const origin of this.#storedVector.keys()) {
      if (!vector.has(origin)) statements.push({ sql: "DELETE FROM t_vector WHERE origin = ?", args: [origin] });
    }
    return statements;
  }
}

function statementOf(change: DiskChange): InStatement {
  switch (change.kind) {
    case "put":
      return upsert(change.row);
    case "remove":
      return removal(change.table, change.key);
    case "meet":
      return { sql: "INSERT OR IGNORE INTO t_met (gateway) VALUES (?)", args: [change.gateway] };
    case "forget":
      return { sql: "DELETE FROM t_met WHERE gateway = ?", args: [change.gateway] };
  }
}

class DamagedDatabaseError extends Error {
  override readonly name = "DamagedDatabaseError";
}

/** True if the file itself is broken, so that a retry cannot help. */
const isDamage = (error: unknown): boolean =>
  error instanceof DamagedDatabaseError ||
  (error instanceof Error &&
    "code" in error &&
    typeof error.code === "string" &&
    /^SQLITE_(CORRUPT|NOTADB)/.test(error.code));

/** Moves a damaged database with its journal out of the way, keeping it. Returns its new name. */
async function setAside(path: string, wallTimeMs: number): Promise<string> {
  const target = `${path}.damaged-${new Date(wallTimeMs).toISOString().replaceAll(":", "-")}`;
  for (const suffix of ["-wal", "-shm", ""])
    if (existsSync(path + suffix)) await rename(path + suffix, target + suffix);
  return target;
}

async function load(client: Client): Promise<Loaded> {
  const rows: ReplicatedRow[] = [];
  for (const table of sharedTables.values()) {
    const result = await client.execute(`SELECT * FROM ${table.sqlName}`);
    for (const row of result.rows) rows.push(storedRow(table, row));
  }
  const vector = (await client.execute("SELECT origin, seq FROM t_vector")).rows.map(
    (row) => [row["origin"] as string, Number(row["seq"])] as const,
  );
  const met = (await client.execute("SELECT gateway FROM t_met")).rows.map((row) => row["gateway"] as string);
  return { rows, vector: new Map(vector), met };
}

/** A database of an earlier version may still be readable by others; its companions get its mode from SQLite. */
async function keepFromOthers(path: string): Promise<void> {
  for (const suffix of ["", "-wal", "-shm"]) {
    const file = `${path}${suffix}`;
    const mode = (await stat(file).catch(() => undefined))?.mode;
    if (mode !== undefined && (mode & 0o077) !== 0) await chmod(file, 0o600);
  }
}

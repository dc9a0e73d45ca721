/**
 * This process's first connection to a database, with the descriptors that SQLite has open for it
 * (sqlite-descriptors.ts).
 */
import { type BigIntStats, closeSync, openSync, statSync } from "node:fs";
import type { DatabaseSync } from "node:sqlite";
import { connect } from "./connect.ts";
import type { FilePath } from "./data-path.ts";
import { type FileIdentity, identityAt, sameFile } from "./file-identity.ts";
import { heapIndex, notADatabase, notWal, writtenDuringSwitch } from "./refusals.ts";
import { lowestFreeDescriptor, sqliteDescriptors, type SqliteDescriptors } from "./sqlite-descriptors.ts";
import { isBusy, sqliteCode } from "./sqlite-error.ts";
import { SwitchedContent } from "./switched-content.ts";

/** The file that was found to be a complete database. */
export interface Examined {
  readonly identity: FileIdentity;
  /**
   * False if something was written to it since; true while SQLite's locks protect it. Left out: no other process runs
   * that could write to it.
   */
  readonly isUnchanged?: (() => boolean) | undefined;
}

export class FirstConnection {
  readonly connection: DatabaseSync;
  readonly identity: FileIdentity;
  /** If it was not in WAL mode, its header was changed: the file right after that. */
  readonly switched: BigIntStats | undefined;
  readonly descriptors: SqliteDescriptors;
  /** To be closed after the last connection (sqlite-descriptors.ts). */
  readonly own: readonly number[];

  private constructor(
    connection: DatabaseSync,
    identity: FileIdentity,
    switched: BigIntStats | undefined,
    descriptors: SqliteDescriptors,
    own: readonly number[],
  ) {
    this.connection = connection;
    this.identity = identity;
    this.switched = switched;
    this.descriptors = descriptors;
    this.own = own;
  }

  /**
   * Opens this database in WAL mode, switching it if necessary. Returns undefined if it is busy, or no longer the file
   * that was examined: try again. Throws `CaptureError` if it cannot be captured, and passes on errors of `open(2)`.
   */
  static tryOpen(name: string, path: FilePath, { identity, isUnchanged }: Examined): FirstConnection | undefined {
    const free = lowestFreeDescriptor();
    let connection: DatabaseSync | undefined;
    const own: number[] = [];
    try {
      connection = connect(path, "rw", identity);
      if (connection === undefined) return undefined;
      const { kind, before } = ensureWal(connection, name, path, isUnchanged);
      if (kind === "changed") {
        close(connection, own);
        return undefined;
      }
      const switched = kind === "switched" ? statSync(path, { bigint: true, throwIfNoEntry: false }) : undefined;
      // A first read makes SQLite open -wal and -shm, and repair the index if the last writer died.
      connection.prepare("PRAGMA schema_version").get();
      const descriptors = sqliteDescriptors(path, free, own);
      if (before !== undefined && new SwitchedContent(descriptors.dbFd).hasLostPage(before))
        throw writtenDuringSwitch(name);
      const now = identityAt(path);
      if (now !== undefined && sameFile(identity, now))
        return new FirstConnection(connection, identity, switched, descriptors, own);
      close(connection, own);
      return undefined;
    } catch (error) {
      close(connection, own);
      if (isBusy(error)) return undefined;
      if (isMissing(error) && connection !== undefined) throw heapIndex(name, error);
      if (sqliteCode(error) === 26) throw notADatabase(name, "a file that SQLite cannot read as a database", error);
      throw error;
    }
  }
}

function close(connection: DatabaseSync | undefined, own: readonly number[]): void {
  connection?.close();
  for (const fd of own) closeSync(fd);
}

/** `before`: undefined: no other process can have written to it meanwhile. */
interface Switch {
  readonly kind: "wal" | "switched" | "changed";
  readonly before?: SwitchedContent | undefined;
}

/**
 * Switching writes to the file: not to an empty one, which a copier may be about to fill, nor to one that was written
 * to since it was examined.
 */
function ensureWal(
  connection: DatabaseSync,
  name: string,
  path: FilePath,
  isUnchanged: Examined["isUnchanged"],
): Switch {
  if (journalMode(connection, "PRAGMA journal_mode") === "wal") return { kind: "wal" };
  const before = isUnchanged === undefined ? undefined : contentAt(path);
  if (pageCount(connection) === 0 || isUnchanged?.() === false) return { kind: "changed" };
  const mode = journalMode(connection, "PRAGMA journal_mode=WAL");
  if (mode === "wal") return { kind: "switched", before };
  throw notWal(name, mode);
}

/** Only while this process has no lock on it: closing the descriptor drops them. */
function contentAt(path: FilePath): SwitchedContent {
  const fd = openSync(path, "r");
  try {
    return new SwitchedContent(fd);
  } finally {
    closeSync(fd);
  }
}

function pageCount(connection: DatabaseSync): number {
  const row = connection.prepare("PRAGMA page_count").get() as Record<string, unknown> | undefined;
  return Number(row?.["page_count"] ?? 0);
}

function journalMode(connection: DatabaseSync, pragma: string): string {
  const row = connection.prepare(pragma).get() as Record<string, unknown> | undefined;
  const mode = row?.["journal_mode"];
  return typeof mode === "string" ? mode : "unknown";
}

const isMissing = (error: unknown): boolean => (error as { code?: unknown }).code === "ENOENT";

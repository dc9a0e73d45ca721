/**
 * A connection that begins and ends read transactions: opened by the first of them, and closed when none is expected.
 */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { isBusy } from "./sqlite-error.ts";

interface Open {
  readonly connection: DatabaseSync;
  readonly begin: StatementSync;
  readonly read: StatementSync;
  readonly end: StatementSync;
}

export class Reader {
  readonly #connect: () => DatabaseSync;
  #open: Open | undefined;
  #isReading = false;

  constructor(connect: () => DatabaseSync) {
    this.#connect = connect;
  }

  get connection(): DatabaseSync {
    return this.open().connection;
  }

  get isReading(): boolean {
    return this.#isReading;
  }

  /** Begins a read transaction at the newest committed state; false when the database is busy (recovery). */
  begin(): boolean {
    if (this.#isReading) throw new Error("a read transaction is open already");
    try {
      const { begin, read } = this.open();
      begin.run();
      this.#isReading = true;
      read.get();
      return true;
    } catch (error) {
      this.release();
      if (isBusy(error)) return false;
      throw error;
    }
  }

  release(): void {
    if (!this.#isReading) return;
    this.#open?.end.run();
    this.#isReading = false;
  }

  open(): Open {
    this.#open ??= prepared(this.#connect());
    return this.#open;
  }

  /** Ends what it reads. The next `begin` opens another connection. */
  close(): void {
    this.#isReading = false;
    this.#open?.connection.close();
    this.#open = undefined;
  }
}

function prepared(connection: DatabaseSync): Open {
  // The read takes the read lock without needing a schema that can be parsed.
  return {
    connection,
    begin: connection.prepare("BEGIN"),
    read: connection.prepare("PRAGMA schema_version"),
    end: connection.prepare("ROLLBACK"),
  };
}

/**
 * What a vault has of the databases, as a restore writes it. Names are bytes in characters, as in engine-actions.ts.
 */
import { Database } from "bun:sqlite";
import { copyFileSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";

export class Restored {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  names(): string[] {
    return readdirSync(this.#folder, { encoding: "latin1" }).sort();
  }

  /** The first column of each row. Throws when the database is damaged. */
  all(name: string, sql: string): unknown[] {
    const looked = join(this.#folder, "..", "looked.sqlite");
    copyFileSync(Buffer.from(`${this.#folder}/${name}`, "latin1"), looked);
    try {
      return readWhole(looked, sql);
    } finally {
      for (const suffix of ["", "-wal", "-shm"]) rmSync(looked + suffix, { force: true });
    }
  }
}

/** The first column of each row of a database that no process has open. Throws when it is damaged. */
export function readWhole(path: string, sql: string): unknown[] {
  const database = new Database(path);
  try {
    const [check] = database.query<{ integrity_check: string }, []>("PRAGMA integrity_check").all();
    if (check?.integrity_check !== "ok") throw new Error(`${path}: ${check?.integrity_check}`);
    return database
      .query<Record<string, unknown>, []>(sql)
      .all()
      .map((row) => Object.values(row)[0]);
  } finally {
    database.close();
  }
}

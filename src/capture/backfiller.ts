/**
 * Long backfills, in a separate thread: hundreds of megabytes in one call would stop the gate, the status stream and
 * the renewals of the lease.
 *
 * SQLite's locks belong to the process and are kept by its one library, which the thread shares. Its connections count
 * like ours, and it acts like a checkpoint of the application, against which the pins hold (pin.ts). It copies up to
 * the pin at most. The first backfill that needs it starts the thread.
 */
import type { FilePath } from "./data-path.ts";
import type { Backfilled } from "./database-files.ts";
import { CallThread, type ThreadAnswer } from "../runtime/call-thread.ts";

/** A database file, and the URI by which SQLite opens it. */
export interface DatabasePlace {
  readonly path: FilePath;
  readonly uri: string;
  readonly device: bigint;
  readonly inode: bigint;
}

export class Backfiller {
  readonly #thread = new CallThread<DatabasePlace, Backfilled>(
    "the backfill thread",
    `(${backfillInThread.toString()})()`,
  );

  /** Rejects with SQLite's errors, except that a database is busy. Does nothing if another file is at that place. */
  backfill(place: DatabasePlace): Promise<Backfilled> {
    return this.#thread.call(place);
  }

  /** Resolves once no backfill is in progress and the thread has ended. */
  async close(): Promise<void> {
    await this.#thread.settled();
    await this.#thread.close();
  }
}

/** Makes the thread's function: nothing else of this file exists there. */
function backfillInThread(): (place: DatabasePlace) => ThreadAnswer<Backfilled> {
  const { DatabaseSync } = process.getBuiltinModule("node:sqlite");
  const { statSync } = process.getBuiltinModule("node:fs");
  const backfill = ({ path, uri, device, inode }: DatabasePlace): Backfilled => {
    const connection = new DatabaseSync(uri);
    try {
      // Before the first read, as in connect.ts. A buffer arrives here as a plain array of bytes.
      const place = typeof path === "string" ? path : Buffer.from(path);
      const found = statSync(place, { bigint: true, throwIfNoEntry: false });
      if (found?.ino !== inode || found.dev !== device) return { ran: false, complete: false };
      connection.exec("PRAGMA busy_timeout=0; PRAGMA wal_autocheckpoint=0; PRAGMA synchronous=OFF");
      const row = connection.prepare("PRAGMA wal_checkpoint(PASSIVE)").get() as Record<string, number> | undefined;
      return { ran: row?.["busy"] === 0, complete: row?.["busy"] === 0 && row["log"] === row["checkpointed"] };
    } catch (error) {
      // BUSY, LOCKED, PROTOCOL.
      if ([5, 6, 15].includes(Number((error as { errcode?: unknown }).errcode) & 0xff))
        return { ran: false, complete: false };
      throw error;
    } finally {
      connection.close();
    }
  };
  return (place) => ({ result: backfill(place) });
}

/** A connection of this host to a database of the application: it never writes, and never waits for a lock. */
import { DatabaseSync } from "node:sqlite";
import { type FilePath, uriOf } from "./data-path.ts";

/** Opens a connection to a file that exists; never creates one. */
export function connect(path: FilePath, mode: "rw" | "ro"): DatabaseSync {
  const connection = new DatabaseSync(uriOf(path, `mode=${mode}`), { readOnly: mode === "ro" });
  try {
    connection.exec("PRAGMA busy_timeout=0; PRAGMA wal_autocheckpoint=0");
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

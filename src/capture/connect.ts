/**
 * A connection of this host to a database of the application: it never writes, and never waits for a lock.
 *
 * SQLite opens by name, and the name may lead to another file by then, beside which the log of the former one still
 * lies. A single read would make that log the other file's, and the close after it would write the log's pages into
 * that file (wal.c, sqlite3WalClose). The file is therefore compared after it was opened and before it is read. SQLite
 * has it open then, so its inode cannot be that of a later file.
 */
import { DatabaseSync } from "node:sqlite";
import { type FilePath, uriOf } from "./data-path.ts";
import { type FileIdentity, identityAt, sameFile } from "./file-identity.ts";

/** Opens a connection to this file; never creates one. Undefined: the path leads to another file, or to none. */
export function connect(path: FilePath, mode: "rw" | "ro", identity: FileIdentity): DatabaseSync | undefined {
  const connection = new DatabaseSync(uriOf(path, `mode=${mode}`), { readOnly: mode === "ro" });
  try {
    const found = identityAt(path);
    if (found === undefined || !sameFile(found, identity)) {
      connection.close();
      return undefined;
    }
    connection.exec("PRAGMA busy_timeout=0; PRAGMA wal_autocheckpoint=0");
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

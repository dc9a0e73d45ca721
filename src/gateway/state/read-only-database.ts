/**
 * The connection on which operators' statements run. It is opened for one request and closed behind it, so nothing that
 * a statement leaves behind (a pragma, a cache, an open read transaction) meets the next client.
 *
 * What a statement may do is decided by SQLite's authorizer while the statement is compiled, not by its text: it may
 * read tables, call functions, and describe the schema. `EXPLAIN PRAGMA …` shows why: SQLite executes most pragmas when
 * they are compiled. How one would try to get around it: a pragma as a table (`pragma_optimize`), a writing statement
 * behind WITH, ATTACH. All of them ask the authorizer under their own code.
 *
 * Attacked in test/security/D3-statements.test.ts: "a pragma is refused in every disguise", "no reading word hides a
 * write".
 *
 * `length` bounds each value; SQLite builds a whole row before it is given away, so a row is bounded by columns times
 * length, and by the memory limit of the process (runtime/memory-limit.ts). Sorts use memory too, hence that limit,
 * and never fill the disk.
 */
import { constants, DatabaseSync } from "node:sqlite";

/** Longest text or blob, in bytes; what is sent is bounded by less (answer-budget.ts). */
const valueBytesMax = 4 * 1024 * 1024;
const columnsMax = 200;
const sqlBytesMax = 400_000;

/** Waiting for a lock of the gateway's own writer, in milliseconds. */
const busyMs = 1_000;

/** Pragmas that only describe the schema or the library; drizzle and other tools ask for them as tables. */
const describingPragmas: ReadonlySet<string> = new Set([
  "collation_list",
  "compile_options",
  "foreign_key_list",
  "function_list",
  "index_info",
  "index_list",
  "index_xinfo",
  "module_list",
  "pragma_list",
  "table_info",
  "table_list",
  "table_xinfo",
]);

/** Columns that no statement reads, whatever the role of its sender. */
const unreadable: ReadonlySet<string> = new Set(["t_tokens.hash"]);

const refusedFunctions: ReadonlySet<string> = new Set(["load_extension", "fts3_tokenizer"]);

export function openReadOnly(path: string): DatabaseSync {
  const limits = { length: valueBytesMax, sqlLength: sqlBytesMax, column: columnsMax, attach: 0 };
  const database = new DatabaseSync(path, { readOnly: true, timeout: busyMs, limits });
  database.exec("PRAGMA temp_store = MEMORY");
  database.setAuthorizer(decide);
  return database;
}

function decide(action: number, first: string | null, second: string | null): number {
  switch (action) {
    case constants.SQLITE_READ:
      return unreadable.has(`${first}.${second}`.toLowerCase()) ? constants.SQLITE_DENY : constants.SQLITE_OK;
    case constants.SQLITE_SELECT:
    case constants.SQLITE_RECURSIVE:
    case constants.SQLITE_TRANSACTION: // the steps of a batch are checked before (sql-steps.ts)
      return constants.SQLITE_OK;
    case constants.SQLITE_FUNCTION:
      return refusedFunctions.has((second ?? "").toLowerCase()) ? constants.SQLITE_DENY : constants.SQLITE_OK;
    case constants.SQLITE_PRAGMA:
      return describingPragmas.has((first ?? "").toLowerCase()) ? constants.SQLITE_OK : constants.SQLITE_DENY;
    default:
      return constants.SQLITE_DENY;
  }
}

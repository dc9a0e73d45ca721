/**
 * SQLite's own check of a database file: `quick_check`, or `integrity_check`, which also compares the indexes.
 *
 * It reads every page on the calling thread, however long that takes, and so runs in a separate process
 * (`runIntegrityChecks`). The file is opened read-only, so that a refused one is left unchanged; only if SQLite cannot
 * read it that way (a dead process's rollback journal must be played back first) is it opened as by an application.
 */
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import { type FilePath, pathOf, uriOf } from "./data-path.ts";
import { messageOf } from "../runtime/operator-error.ts";

export type CheckDepth = "quick" | "full";

export type Integrity =
  | { readonly kind: "whole" }
  /** SQLite's findings, the first few. */
  | { readonly kind: "damaged"; readonly found: readonly string[] }
  /** Not a database to SQLite here: encrypted, or another kind of file. */
  | { readonly kind: "no-database" }
  /** Needs parts of the application: its functions, collations or modules. */
  | { readonly kind: "unchecked"; readonly reason: string }
  /** It cannot be read now: locked, no permission, a disk error. */
  | { readonly kind: "unreadable"; readonly reason: string };

export type CheckedDatabase = Integrity & { readonly name: string };

const problemsMax = 10;
const busyMs = 5_000;
/** Result codes of SQLite (sqlite.org/rescode.html). */
const codes = { error: 1, readonly: 8, corrupt: 11, cantOpen: 14, notADatabase: 26 } as const;

export function checkIntegrity(path: FilePath, depth: CheckDepth): Integrity {
  return check(path, depth, true) ?? check(path, depth, false) ?? { kind: "unreadable", reason: "it cannot be opened" };
}

/** Returns undefined if it cannot be read this way. */
function check(path: FilePath, depth: CheckDepth, readOnly: boolean): Integrity | undefined {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(uriOf(path, `mode=${readOnly ? "ro" : "rw"}`), { readOnly, timeout: busyMs });
    const rows = database
      .prepare(`PRAGMA ${depth === "full" ? "integrity_check" : "quick_check"}(${problemsMax})`)
      .all();
    const found = rows.flatMap((row) => Object.values(row).map(String)).filter((text) => text !== "ok");
    return found.length === 0 ? { kind: "whole" } : { kind: "damaged", found };
  } catch (error) {
    const reason = messageOf(error);
    const code = Number((error as { errcode?: unknown }).errcode) & 0xff;
    switch (code) {
      case codes.corrupt:
        return { kind: "damaged", found: [reason] };
      case codes.notADatabase:
        return { kind: "no-database" };
      case codes.error:
        return { kind: "unchecked", reason };
      case codes.readonly:
      case codes.cantOpen:
        return readOnly ? undefined : { kind: "unreadable", reason };
      default:
        return { kind: "unreadable", reason };
    }
  } finally {
    database?.close();
  }
}

/**
 * Reads names of databases below `root` from standard input, one JSON string per line, and writes the result of each to
 * standard output in the same way.
 */
export async function runIntegrityChecks(root: string, depth: CheckDepth): Promise<void> {
  for await (const line of createInterface({ input: process.stdin })) {
    const name = JSON.parse(line) as string;
    process.stdout.write(
      `${JSON.stringify({ name, ...checkIntegrity(pathOf(root, name), depth) } satisfies CheckedDatabase)}\n`,
    );
  }
}

import { expect, test } from "bun:test";
import { copyFileSync, existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { checkIntegrity } from "../../src/capture/integrity.ts";
import { temporaryFolder } from "../support/capture/pair.ts";

const pageSize = 4096;

/** A table of 200 rows over many pages, with an index. */
function makeDatabase(path: string, prepare = ""): void {
  const database = new DatabaseSync(path);
  database.exec(
    `PRAGMA page_size=${pageSize}; ${prepare}; CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT); CREATE INDEX i ON t(x)`,
  );
  database.exec(
    "WITH RECURSIVE n(v) AS (VALUES (1) UNION ALL SELECT v + 1 FROM n WHERE v < 200) INSERT INTO t SELECT v, printf('%0300d', v) FROM n",
  );
  database.close();
}

function spoilPage(path: string, page: number, change: (content: Buffer) => void): void {
  const bytes = readFileSync(path);
  change(bytes.subarray((page - 1) * pageSize, page * pageSize));
  writeFileSync(path, bytes);
}

const rootPage = (path: string, name: string): number => {
  const database = new DatabaseSync(path, { readOnly: true });
  const root = database.prepare("SELECT rootpage FROM sqlite_schema WHERE name = ?").get(name)?.["rootpage"];
  database.close();
  return Number(root);
};

test("an intact database passes, even an empty one, and whatever its log contains", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.db");
  makeDatabase(path);
  writeFileSync(join(folder.path, "empty.db"), "");
  for (const depth of ["quick", "full"] as const) {
    expect(checkIntegrity(path, depth)).toEqual({ kind: "whole" });
    expect(checkIntegrity(join(folder.path, "empty.db"), depth)).toEqual({ kind: "whole" });
  }
});

test("a corrupt page is found, with what SQLite says of it, and the file is as it was", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.db");
  makeDatabase(path);
  spoilPage(path, rootPage(path, "t") + 1, (content) => content.fill(0xff));
  const before = { bytes: readFileSync(path), mtime: statSync(path).mtimeMs };
  expect(checkIntegrity(path, "quick")).toEqual({
    kind: "damaged",
    found: expect.arrayContaining([expect.stringMatching(/page/i)]),
  });
  expect({ bytes: readFileSync(path), mtime: statSync(path).mtimeMs }).toEqual(before);
});

test("a truncated database is found", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.db");
  makeDatabase(path);
  writeFileSync(path, readFileSync(path).subarray(0, 5 * pageSize));
  expect(checkIntegrity(path, "quick").kind).toBe("damaged");
});

test("an index that lacks a row is found by the full check alone", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.db");
  makeDatabase(path);
  const root = rootPage(path, "i");
  const database = new DatabaseSync(path, { readOnly: true });
  database.close();
  // A bit of one key: the row has another value than its index entry.
  spoilPage(path, leafOf(path, root), (content) => (content[pageSize - 1] = (content[pageSize - 1] ?? 0) ^ 1));
  expect(checkIntegrity(path, "quick")).toEqual({ kind: "whole" });
  expect(checkIntegrity(path, "full")).toEqual({
    kind: "damaged",
    found: expect.arrayContaining([expect.stringContaining("index i")]),
  });
});

/** The first leaf below an interior index page: its first child pointer. */
function leafOf(path: string, root: number): number {
  const content = readFileSync(path).subarray((root - 1) * pageSize, root * pageSize);
  return content[0] === 2 ? leafOf(path, content.readUInt32BE(content.readUInt16BE(12))) : root;
}

test("what needs the application's own functions is unchecked, not damaged", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.db");
  const database = new DatabaseSync(path);
  database.function("own", { deterministic: true }, (x) => x);
  database.exec("CREATE TABLE t (x); CREATE INDEX i ON t(own(x)); INSERT INTO t VALUES (1)");
  database.close();
  expect(checkIntegrity(path, "quick")).toEqual({ kind: "whole" });
  expect(checkIntegrity(path, "full")).toEqual({ kind: "unchecked", reason: expect.stringContaining("own") });
});

test("an encrypted file is no database, a locked one and a missing one cannot be read", () => {
  using folder = temporaryFolder();
  const sealed = join(folder.path, "sealed.db");
  writeFileSync(sealed, Buffer.alloc(2 * pageSize, "no header of SQLite"));
  expect(checkIntegrity(sealed, "quick")).toEqual({ kind: "no-database" });
  expect(checkIntegrity(join(folder.path, "none.db"), "quick").kind).toBe("unreadable");
  expect(existsSync(join(folder.path, "none.db"))).toBe(false);
});

test("the rollback journal of a process that died is played back, as the application would", () => {
  using folder = temporaryFolder();
  const [path, dead] = [join(folder.path, "a.db"), join(folder.path, "dead.db")];
  makeDatabase(path, "PRAGMA journal_mode=DELETE");
  const writer = new DatabaseSync(path);
  // Spills into the file before it commits: what a kill leaves there.
  writer.exec("PRAGMA cache_size=5; PRAGMA cache_spill=ON; BEGIN; UPDATE t SET x = printf('%0299d!', id)");
  copyFileSync(path, dead);
  copyFileSync(`${path}-journal`, `${dead}-journal`);
  writer.exec("ROLLBACK");
  writer.close();
  expect(checkIntegrity(dead, "full")).toEqual({ kind: "whole" });
  expect(existsSync(`${dead}-journal`)).toBe(false);
});

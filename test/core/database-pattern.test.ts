import { expect, test } from "bun:test";
import { databaseSegments, unmatchedNames } from "../../src/core/database-pattern.ts";

test("paths and globs below the data folder are taken apart into segments", () => {
  expect(databaseSegments("notes.db")).toEqual(["notes.db"]);
  expect(databaseSegments("tenants/*/n?tes.db")).toEqual(["tenants", "*", "n?tes.db"]);
});

test("a path outside the data folder, a file beside a database, or ** that is not a whole segment before the last is refused as a pattern", () => {
  for (const name of [
    "",
    "/etc/a.db",
    "../a.db",
    "a/./b.db",
    "a//b.db",
    "a/",
    "a**/b.db",
    "a/**",
    "**",
    "a\\b.db",
    "a\0.db",
    "a.db-wal",
    "a.db-shm",
    "a.db-journal",
  ]) {
    expect([name, databaseSegments(name)]).toEqual([name, undefined]);
  }
});

test("a name is matched as a whole, segment by segment, and no characters but * and ? stand for others", () => {
  expect(unmatchedNames(["a.db", "b.db", "t/1/n.db", "t/n.db"], ["*.db", "t/?/n.db"])).toEqual(["t/n.db"]);
  expect(unmatchedNames(["aXdb", "xa.db", "a.dbx"], ["a.db"])).toEqual(["aXdb", "xa.db", "a.dbx"]);
  expect(unmatchedNames(["a.db"], [])).toEqual(["a.db"]);
});

test("** matches any number of folders, including none", () => {
  expect(databaseSegments("**/a.db")).toEqual(["**", "a.db"]);
  expect(unmatchedNames(["a.db", "x/a.db", "x/y/a.db", "x/b.db", "xa.db"], ["**/a.db"])).toEqual(["x/b.db", "xa.db"]);
  expect(unmatchedNames(["t/a.db", "t/x/y/a.db", "a.db", "tt/a.db"], ["t/**/*.db"])).toEqual(["a.db", "tt/a.db"]);
});

test("an excepted name matches nothing", () => {
  expect(unmatchedNames(["a.db", "cache/b.db", "cache/x/c.db"], ["**/*.db"], ["cache/*.db"])).toEqual(["cache/b.db"]);
});

test("escaped names are matched as written, and an unnecessary escape is refused as a pattern", () => {
  expect(unmatchedNames(["caf\\xe9.db", "a\\x5cb.db", "new\nline.db"], ["*.db"])).toEqual([]);
  expect(unmatchedNames(["caf\\xe9.db"], ["caf\\xe9.db"])).toEqual([]);
  expect(databaseSegments("\\x61.db")).toBeUndefined();
});

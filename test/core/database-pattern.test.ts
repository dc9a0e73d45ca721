import { expect, test } from "bun:test";
import { databaseSegments, unmatchedNames } from "../../src/core/database-pattern.ts";

test("paths and globs below the data folder are taken apart into segments", () => {
  expect(databaseSegments("notes.db")).toEqual(["notes.db"]);
  expect(databaseSegments("tenants/*/n?tes.db")).toEqual(["tenants", "*", "n?tes.db"]);
});

test("what is outside, of any depth, or a file beside a database is no pattern", () => {
  for (const name of ["", "/etc/a.db", "../a.db", "a/./b.db", "a//b.db", "a/", "**/a.db", "a/**", "a\\b.db", "a\0.db", "a.db-wal", "a.db-shm", "a.db-journal"]) {
    expect([name, databaseSegments(name)]).toEqual([name, undefined]);
  }
});

test("a name is matched as a whole, segment by segment, and no character but the two stands for another", () => {
  expect(unmatchedNames(["a.db", "b.db", "t/1/n.db", "t/n.db"], ["*.db", "t/?/n.db"])).toEqual(["t/n.db"]);
  expect(unmatchedNames(["aXdb", "xa.db", "a.dbx"], ["a.db"])).toEqual(["aXdb", "xa.db", "a.dbx"]);
  expect(unmatchedNames(["a.db"], [])).toEqual(["a.db"]);
});

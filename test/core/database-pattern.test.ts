import { expect, test } from "bun:test";
import { databaseSegments } from "../../src/core/database-pattern.ts";

test("paths and globs below the data folder are taken apart into segments", () => {
  expect(databaseSegments("notes.db")).toEqual(["notes.db"]);
  expect(databaseSegments("tenants/*/n?tes.db")).toEqual(["tenants", "*", "n?tes.db"]);
});

test("what is outside, of any depth, or a file beside a database is no pattern", () => {
  for (const name of ["", "/etc/a.db", "../a.db", "a/./b.db", "a//b.db", "a/", "**/a.db", "a/**", "a\\b.db", "a\0.db", "a.db-wal", "a.db-shm", "a.db-journal"]) {
    expect([name, databaseSegments(name)]).toEqual([name, undefined]);
  }
});

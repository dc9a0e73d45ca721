/**
 * Connections that this host opens by name while another file comes to that name, beside which the log of the former
 * one still lies: nothing is written to that file.
 */
import { Database } from "bun:sqlite";
import { afterEach, beforeEach, expect, test } from "bun:test";
import { copyFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Backfiller } from "../../src/capture/backfiller.ts";
import { DatabaseFiles } from "../../src/capture/database-files.ts";
import { identityAt } from "../../src/capture/file-identity.ts";
import { FirstConnection } from "../../src/capture/first-connection.ts";
import { noMetrics } from "../../src/metrics/metrics.ts";
import { WriteLocks } from "../../src/capture/write-locks.ts";
import { hashFile, temporaryFolder } from "../support/capture/pair.ts";

let folder: ReturnType<typeof temporaryFolder>;
let path: string;
let other: string;

beforeEach(() => {
  folder = temporaryFolder();
  path = join(folder.path, "app.db");
  other = join(folder.path, "other.db");
  const made = new Database(other);
  made.run("CREATE TABLE other(v)");
  made.run(
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<9) INSERT INTO other SELECT randomblob(3900) FROM n",
  );
  made.close();
});

afterEach(() => folder[Symbol.dispose]());

const identity = () => identityAt(path) ?? expect.unreachable("no database");

/** A captured database whose commits are in its log, and which only this host has open. */
function capture(): DatabaseFiles {
  const application = new Database(path);
  application.run("PRAGMA journal_mode=WAL");
  application.run("CREATE TABLE app(v)");
  const files = DatabaseFiles.tryOpen(
    "app.db",
    path,
    { identity: identity() },
    new WriteLocks(noMetrics.histogram("stead_capture_lock_seconds", {})),
  );
  application.run("INSERT INTO app VALUES (1)");
  application.close();
  return files ?? expect.unreachable("it is busy");
}

/** Without its log, which an application cannot expect there after its last close. */
function replace(): void {
  rmSync(path);
  copyFileSync(other, path);
}

test("a backfill writes nothing to the file that came to the name of the database", () => {
  const files = capture();
  replace();
  expect(files.backfill()).toEqual({ ran: false, complete: false });
  expect(hashFile(path)).toBe(hashFile(other));
  files.close(false);
  expect(hashFile(path)).toBe(hashFile(other));
});

test("nor does one in the other thread", async () => {
  const files = capture();
  const backfiller = new Backfiller();
  const { place } = files;
  expect(await backfiller.backfill(place)).toEqual({ ran: true, complete: true });
  replace();
  expect(await backfiller.backfill(place)).toEqual({ ran: false, complete: false });
  expect(hashFile(path)).toBe(hashFile(other));
  await backfiller.close();
  files.close(false);
});

test("nor a close that keeps the log", () => {
  const files = capture();
  replace();
  files.close(true);
  expect(hashFile(path)).toBe(hashFile(other));
});

test("an empty file that came to the name of an examined database is not switched to WAL", () => {
  copyFileSync(other, path);
  const examined = identity();
  rmSync(path);
  writeFileSync(path, "");
  // The file system may have given it the number of the former file.
  for (const found of [examined, identity()])
    expect(FirstConnection.tryOpen("app.db", path, { identity: found })).toBeUndefined();
  expect(Bun.file(path).size).toBe(0);
});

test("a database that was written to since it was examined is not switched to WAL", () => {
  copyFileSync(other, path);
  const attempt = FirstConnection.tryOpen("app.db", path, { identity: identity(), isUnchanged: () => false });
  expect(attempt).toBeUndefined();
  expect(hashFile(path)).toBe(hashFile(other));
});

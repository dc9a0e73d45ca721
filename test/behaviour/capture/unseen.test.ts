/**
 * What the kernel tells of files that are not where their names are, and what a scan that fails leaves behind: nothing
 * that is committed may stay unseen.
 */
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  copyFileSync,
  mkdirSync,
  renameSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { DormantDatabase } from "../../../src/capture/dormant-database.ts";
import { FolderEvents } from "../../../src/capture/folder-events.ts";
import { PageHashes } from "../../../src/capture/page-hashes.ts";
import { Application, Pair, temporaryFolder } from "../../support/capture/pair.ts";
import { PythonApplication } from "../../capture/usage/python-application.ts";

/** `count` databases, called 0.db and so on. */
function begin(folder: string, count: number): Promise<Pair> {
  const root = join(folder, "app");
  mkdirSync(root);
  const first = new DatabaseSync(join(root, "0.db"));
  first.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  first.close();
  for (let nth = 1; nth < count; nth++) copyFileSync(join(root, "0.db"), join(root, `${nth}.db`));
  return Pair.open(folder, { limits: { quietAfterMs: 50 } });
}

/** Until no look of the gate looks at any of them, or at no fewer for a while. */
async function settle({ source }: Pair): Promise<void> {
  for (let turn = 0; turn < 200 && source.counts().active > 0; turn++) {
    if (source.isAhead()) (await source.collect())?.done();
    await source.tick();
    await Bun.sleep(1);
  }
}

/** The application has it open, and continues with it. */
function moveAndLink(root: string, name: string, to: string): void {
  mkdirSync(to);
  for (const suffix of ["-wal", "-shm", ""]) {
    renameSync(join(root, `${name}${suffix}`), join(to, `${name}${suffix}`));
    symlinkSync(join(to, `${name}${suffix}`), join(root, `${name}${suffix}`));
  }
}

for (const count of [2, 20]) {
  test(`of ${count} databases: a scan that failed is made again, though no folder changes any more`, async () => {
    using folder = temporaryFolder();
    await using pair = await begin(folder.path, count);
    await using application = new Application();
    await settle(pair);
    // A link whose target's name is too long: the system cannot say where it leads.
    symlinkSync("x".repeat(300), join(pair.root, "long.db"));
    await application.open("new", join(pair.root, "new.db"));
    await application.run("new", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1)");
    for (let look = 0; look < 10; look++) {
      expect(pair.source.isAhead()).toBe(true);
      await pair.source.collect();
      await Bun.sleep(20);
    }
    unlinkSync(join(pair.root, "long.db"));
    await pair.sync();
    expect(pair.copyHash("new.db")).toBe((await application.image("new")).sha256);
  });
}

test("a link that leads in a circle is treated as one that leads nowhere yet", async () => {
  using folder = temporaryFolder();
  await using pair = await begin(folder.path, 2);
  symlinkSync("loop.db", join(pair.root, "loop.db"));
  await pair.sync();
  expect(pair.source.isAhead()).toBe(false);
  expect(pair.source.uncaptured()).toEqual([]);
});

test("a database whose files are moved, with links at their names, is looked at from then on", async () => {
  using folder = temporaryFolder();
  await using pair = await begin(folder.path, 20);
  await using application = new Application();
  await application.open("7", join(pair.root, "7.db"));
  await application.run("7", "INSERT INTO t VALUES (1)");
  await pair.sync();
  moveAndLink(pair.root, "7.db", join(folder.path, "elsewhere"));
  await settle(pair);
  await application.run("7", "INSERT INTO t VALUES (2)");
  expect(pair.source.isAhead()).toBe(true);
  await pair.sync();
  expect(pair.copyHash("7.db")).toBe((await application.image("7")).sha256);
});

test("when the kernel's events cannot be relied on, folders are compared again and a new database is found", async () => {
  using folder = temporaryFolder();
  await using pair = await begin(folder.path, 3);
  await using application = new Application();
  await application.open("1", join(pair.root, "1.db"));
  await application.run("1", "INSERT INTO t VALUES (1)");
  await pair.sync();
  // Moved before anything is told.
  moveAndLink(pair.root, "1.db", join(folder.path, "elsewhere"));
  await pair.sync();
  for (const name of ["5", "6", "7"]) copyFileSync(join(pair.root, "0.db"), join(pair.root, `${name}.db`));
  await pair.sync();
  await settle(pair);
  expect(pair.source.counts().active).toBe(0);
  await application.run("1", "INSERT INTO t VALUES (2)");
  while (pair.source.counts().quiet > 0) await pair.source.tick();
  await pair.sync();
  await application.open("new", join(pair.root, "new.db"));
  await application.run("new", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1)");
  expect(pair.source.isAhead()).toBe(true);
  await pair.sync();
  expect(pair.copyHash("new.db")).toBe((await application.image("new")).sha256);
});

test("a write into a file that is not a captured database does not cause a scan of the folders", async () => {
  using folder = temporaryFolder();
  const events = await FolderEvents.open<string>();
  if (typeof events === "string") throw new Error(events);
  events.add(join(folder.path, "a.db"), "a.db");
  const touched: string[] = [];
  const hear = (): boolean =>
    events.hear((name, _isCompanion, isMoved) => touched.push(`${name} ${isMoved}`) > 0).isChanged;
  writeFileSync(join(folder.path, "app.log"), "");
  expect(hear()).toBe(true);
  appendFileSync(join(folder.path, "app.log"), "a line");
  expect(hear()).toBe(false);
  writeFileSync(join(folder.path, "a.db-wal"), "a frame");
  expect(hear()).toBe(false);
  renameSync(join(folder.path, "a.db-wal"), join(folder.path, "b.db-wal"));
  expect(hear()).toBe(true);
  expect([...new Set(touched)]).toEqual(["a.db false", "a.db true"]);
  events.close();
});

test("what a writer without the index committed into a quiet database, and no look found, shows at the end", async () => {
  using folder = temporaryFolder();
  await using pair = await begin(folder.path, 20);
  await settle(pair);
  expect(pair.source.counts().active).toBe(0);
  await using application = new PythonApplication();
  await application.open("a", join(pair.root, "7.db"), "?vfs=unix-none");
  await application.run("a", "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; INSERT INTO t VALUES (1)");
  expect(await pair.source.close()).toEqual({ ahead: true });
});

test("a database is not quiet while a checkpoint is in progress: its end is no write, and the pin must move then", async () => {
  using folder = temporaryFolder();
  await using pair = await begin(folder.path, 20);
  await using application = new Application();
  await application.open("7", join(pair.root, "7.db"));
  await application.run("7", "PRAGMA wal_autocheckpoint=0; INSERT INTO t VALUES (1)");
  await pair.sync();
  // As a checkpoint does before it copies its first page, nBackfillAttempted (byte 128) is mxFrame (byte 16). By
  // another process: closing the file here drops our locks.
  const begun = "import os,sys; f = os.open(sys.argv[1], os.O_RDWR); os.pwrite(f, os.pread(f, 4, 16), 128)";
  expect(spawnSync("python3", ["-c", begun, join(pair.root, "7.db-shm")]).status).toBe(0);
  await settle(pair);
  expect(pair.source.counts().active).toBe(1);
  await application.run("7", "PRAGMA wal_checkpoint(PASSIVE)");
  await settle(pair);
  expect(pair.source.counts().active).toBe(0);
  expect(await application.run("7", "PRAGMA wal_checkpoint(TRUNCATE)")).toEqual([{ busy: 0, log: 0, checkpointed: 0 }]);
});

test("a log that is folded and removed while it is looked for shows in the file", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.db");
  const begun = new DatabaseSync(path);
  begun.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  begun.close();
  const hashes = new PageHashes(4096);
  hashes.resize(statSync(path).size / 4096, () => false);
  const dormant = DormantDatabase.of("a.db", path, hashes);
  if (dormant === undefined) throw new Error("it is not dormant");
  expect(dormant.isTouched()).toBe(false);
  const application = new DatabaseSync(path);
  application.exec("INSERT INTO t VALUES (1)");
  const hasCompanions = dormant.hasCompanions.bind(dormant);
  dormant.hasCompanions = () => {
    application.close();
    return hasCompanions();
  };
  expect(dormant.isTouched()).toBe(true);
});

/** A backfill that takes longer than its budget continues in another thread. */
import { expect, test } from "bun:test";
import { mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as immediate } from "node:timers/promises";
import { Backfiller } from "../../src/capture/backfiller.ts";
import { backfillHereBytesMax } from "../../src/capture/limits.ts";
import { Application, Pair, temporaryFolder } from "../support/capture/pair.ts";

const bytes = 3 * backfillHereBytesMax;

async function begin(): Promise<{ path: string; pair: Pair; application: Application } & AsyncDisposable> {
  const folder = temporaryFolder();
  mkdirSync(join(folder.path, "app"));
  const path = join(folder.path, "app", "app.db");
  const application = new Application();
  await application.open("a", path);
  await application.run("a", "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(v)");
  const pair = await Pair.open(folder.path);
  await application.run("a", `INSERT INTO t SELECT randomblob(${bytes})`);
  await pair.sync();
  return {
    path,
    pair,
    application,
    async [Symbol.asyncDispose]() {
      await application.kill();
      folder[Symbol.dispose]();
    },
  };
}

test("commits are captured while a long log is being backfilled, and the log starts over afterwards", async () => {
  await using it = await begin();
  await it.pair.source.tick();
  await it.application.run("a", "INSERT INTO t VALUES ('meanwhile')");
  expect(await it.pair.sync()).toBeGreaterThan(0);
  while (statSync(it.path).size < bytes) {
    await it.pair.source.tick();
    await immediate();
  }
  let before: number;
  // The pin lets the next writer start over as soon as everything is backfilled: writers until then still append.
  do {
    before = statSync(`${it.path}-wal`).size;
    await it.pair.source.tick();
    await immediate();
    await it.application.run("a", "INSERT INTO t VALUES ('again')");
    await it.pair.sync();
  } while (!(await it.application.run("a", "PRAGMA wal_checkpoint(PASSIVE)")).every((row) => Number(row["log"]) < 100));
  expect(statSync(`${it.path}-wal`).size).toBe(before);
  expect(it.pair.copyHash("app.db")).toBe((await it.application.image("a")).sha256);
  expect(it.pair.source.writeLocks().count).toBe(0);
  await it.pair.close();
}, 60_000);

test("closing in the middle of a backfill waits for it, and the file alone is the state", async () => {
  await using it = await begin();
  await it.pair.source.tick();
  const image = await it.application.image("a");
  await it.application.kill();
  await it.pair.close();
  expect(statSync(it.path).size).toBe(image.bytes);
  expect(it.pair.copyHash("app.db")).toBe(image.sha256);
  expect(it.pair.warnings).toEqual([]);
}, 60_000);

test("a file that SQLite refuses is an error in SQLite's words", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "app.db");
  writeFileSync(path, "This is a letter, and no database. ".repeat(40));
  const { dev: device, ino: inode } = statSync(path, { bigint: true });
  const backfiller = new Backfiller();
  const place = { path, uri: `file:${path}`, device, inode };
  await expect(backfiller.backfill(place)).rejects.toThrow("file is not a database");
  await backfiller.close();
});

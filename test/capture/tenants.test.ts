/** Hundreds of databases, nearly all of them idle: what they cost, and that a commit in any of them is seen before its answer leaves. */
import { expect, test } from "bun:test";
import { closeSync, copyFileSync, mkdirSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { seededDice } from "../../src/demo/dice.ts";
import { Application, Pair, type PairOptions, temporaryFolder } from "./helpers.ts";

const tenants = 300;

async function begin(folder: string, options: PairOptions = {}): Promise<Pair> {
  const root = join(folder, "app");
  mkdirSync(root);
  const first = new DatabaseSync(join(root, "0.db"));
  first.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  first.close();
  for (let tenant = 1; tenant < tenants; tenant++) copyFileSync(join(root, "0.db"), join(root, `${tenant}.db`));
  return Pair.open(folder, options);
}

/** Events that the kernel keeps until they are read. */
const queuedMax = Number(readFileSync("/proc/sys/fs/inotify/max_queued_events", "utf8"));

/** Until no look of the gate looks at any of them. */
async function untilQuiet({ source }: Pair): Promise<void> {
  while (source.counts().active > 0) {
    if (source.isAhead()) (await source.collect())?.done();
    await source.tick();
    await Bun.sleep(1);
  }
}

const quickly = { limits: { quietAfterMs: 50 } };

test("a commit in any of hundreds of idle databases is seen by the next look, and no other one is looked at", async () => {
  using folder = temporaryFolder();
  await using pair = await begin(folder.path, quickly);
  await using application = new Application();
  const dice = seededDice(11);
  const opened = new Set<string>();
  await untilQuiet(pair);
  for (let turn = 0; turn < 60; turn++) {
    const name = `${dice.below(tenants)}`;
    if (!opened.has(name)) await application.open(name, join(pair.root, `${name}.db`));
    opened.add(name);
    expect(pair.source.isAhead()).toBe(false);
    await application.run(name, `INSERT INTO t VALUES (${turn})`);
    expect(pair.source.isAhead()).toBe(true);
    await pair.sync();
    expect(pair.source.isAhead()).toBe(false);
    expect(pair.copyHash(`${name}.db`)).toBe((await application.image(name)).sha256);
    if (turn % 10 === 9) await untilQuiet(pair);
  }
});

test("events that the kernel dropped are made up for by a look at all", async () => {
  using folder = temporaryFolder();
  await using pair = await begin(folder.path, quickly);
  await using application = new Application();
  for (const name of ["1", "2"]) await application.open(name, join(pair.root, `${name}.db`));
  await untilQuiet(pair);
  // Two files in turns, so that no event is taken for the one before it; the one that counts is dropped.
  const scratch = ["a", "b"].map((name) => openSync(join(pair.root, name), "w"));
  for (let nth = 0; nth <= queuedMax; nth++) writeSync(scratch[nth % 2] ?? -1, "x", 0);
  await application.run("2", "INSERT INTO t VALUES ('behind a full queue')");
  expect(pair.source.isAhead()).toBe(true);
  await pair.sync();
  expect(pair.copyHash("2.db")).toBe((await application.image("2")).sha256);
  for (const fd of scratch) closeSync(fd);
});

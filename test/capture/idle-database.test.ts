/**
 * Databases that an application keeps open and does nothing with: three descriptors each, and nothing lost for that.
 */
import { afterEach, expect, mock, spyOn, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, readdirSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Backfiller } from "../../src/capture/backfiller.ts";
import { FirstConnection } from "../../src/capture/first-connection.ts";
import { settleIdle } from "../../src/capture/idle-database.ts";
import { defaultLimits, descriptorsFor } from "../../src/capture/limits.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { captured } from "../support/capture/captured-database.ts";
import { Application, Pair, temporaryFolder } from "../support/capture/pair.ts";

const limits = { quietAfterMs: 50, dormantAfterMs: 100 };
const tryOpen = FirstConnection.tryOpen.bind(FirstConnection);
afterEach(() => void mock.restore());

/** Databases of an application that keeps each open, and has committed something into each since capture began. */
async function begin(count: number) {
  const folder = temporaryFolder();
  const root = join(folder.path, "app");
  mkdirSync(root);
  const first = new DatabaseSync(join(root, "0.db"));
  first.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  first.close();
  for (let nth = 1; nth < count; nth++) copyFileSync(join(root, "0.db"), join(root, `${nth}.db`));
  const names = Array.from({ length: count }, (_, nth) => `${nth}.db`);
  const application = new Application();
  for (const name of names) await application.open(name, join(root, name));
  for (const name of names) await application.run(name, "SELECT * FROM t");
  const pair = await Pair.open(folder.path, { limits });
  /** Of this process, of these databases and their logs. */
  const descriptors = (): number => openFiles().filter((path) => path.startsWith(`${root}/`)).length;
  const turn = async (): Promise<void> => {
    if (pair.source.isAhead()) await pair.sync();
    await pair.source.tick();
    await Bun.sleep(1);
  };
  const it = {
    ...{ root, names, application, pair, turn, descriptors },
    async commit(value: string): Promise<void> {
      for (const name of names) {
        await application.run(name, `INSERT INTO t VALUES ('${value}')`);
        expect(pair.source.isAhead()).toBe(true);
        await pair.sync();
      }
    },
    async untilFew(): Promise<void> {
      while (descriptors() > descriptorsFor(count)) await turn();
    },
    async expectCaptured(): Promise<void> {
      await pair.settle();
      for (const name of names) expect(pair.copyHash(name)).toBe((await application.image(name)).sha256);
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await application.kill();
      await pair.close();
      folder[Symbol.dispose]();
    },
  };
  await it.commit("before");
  return it;
}

function openFiles(): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // That of the list itself.
    }
  });
}

/** Another process of the application, from its first statement to its end. */
function runElsewhere(path: string, sql: string): void {
  const { status, stderr } = spawnSync(process.execPath, [
    "-e",
    `const { DatabaseSync } = require("node:sqlite"); const database = new DatabaseSync(${JSON.stringify(path)}); database.exec(${JSON.stringify(sql)}); database.close();`,
  ]);
  if (status !== 0) throw new Error(stderr.toString());
}

/**
 * Done once, in the moment in which this process has none of the files open. Undefined: then it cannot be opened
 * either.
 */
function inBetween(act: (() => void) | undefined): { isDone: boolean } {
  const done = { isDone: false };
  spyOn(FirstConnection, "tryOpen").mockImplementation((...opening) => {
    if (done.isDone) return tryOpen(...opening);
    done.isDone = true;
    if (act === undefined) return undefined;
    act();
    return tryOpen(...opening);
  });
  return done;
}

test("an idle database that an application keeps open costs three descriptors, also after commits", async () => {
  await using it = await begin(8);
  expect(it.descriptors()).toBeGreaterThan(descriptorsFor(8));
  for (const round of ["one", "two"]) {
    await it.untilFew();
    expect(it.descriptors()).toBe(3 * 8);
    expect(it.pair.source.counts()).toEqual({ active: 0, quiet: 8, dormant: 0 });
    await it.commit(round);
    await it.expectCaptured();
  }
});

test("the only database of a service, which the gate checks each time, costs three descriptors too", async () => {
  await using it = await begin(1);
  await it.untilFew();
  expect(it.descriptors()).toBe(3);
  // For several times as long as pins may be old: none is moved for its age.
  for (let nth = 0; nth < 600; nth++) {
    await it.turn();
    expect(it.descriptors()).toBe(3);
  }
  await it.commit("after");
  await it.expectCaptured();
});

test("once it has few descriptors, an idle database is not opened again and again", async () => {
  await using it = await begin(6);
  const opened = spyOn(FirstConnection, "tryOpen");
  await it.untilFew();
  const times = opened.mock.calls.length;
  expect(times).toBe(6);
  for (let nth = 0; nth < 600; nth++) await it.turn();
  expect(opened.mock.calls.length).toBe(times);
  expect(it.pair.source.isAhead()).toBe(false);
});

const meanwhile: readonly (readonly [string, (path: string) => void])[] = [
  ["commits", (path) => runElsewhere(path, "INSERT INTO t VALUES ('meanwhile')")],
  [
    "commits and restarts the log",
    (path) =>
      runElsewhere(
        path,
        "INSERT INTO t VALUES ('meanwhile'); PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES ('once more')",
      ),
  ],
  [
    "commits until the log holds as many frames as before",
    (path) =>
      runElsewhere(
        path,
        "INSERT INTO t VALUES ('meanwhile'); PRAGMA wal_checkpoint(RESTART); INSERT INTO t VALUES ('once more')",
      ),
  ],
  ["restarts the log", (path) => runElsewhere(path, "PRAGMA wal_checkpoint(TRUNCATE)")],
];
for (const [what, act] of meanwhile) {
  test(`nothing is lost when another process ${what} while the host has the database closed for a moment`, async () => {
    await using it = await begin(1);
    const done = inBetween(() => act(join(it.root, "0.db")));
    while (!done.isDone) await it.turn();
    expect(it.pair.source.isAhead()).toBe(true);
    await it.expectCaptured();
    await it.untilFew();
    await it.commit("after");
    await it.expectCaptured();
  });
}

test("a database that cannot be opened at that moment is opened when it can be, and responses are held until then", async () => {
  await using it = await begin(6);
  const done = inBetween(undefined);
  while (!done.isDone) await it.turn();
  expect(it.pair.source.isAhead()).toBe(true);
  expect(it.pair.source.names().sort()).toEqual(it.names);
  await it.expectCaptured();
  await it.untilFew();
  await it.commit("after");
  await it.expectCaptured();
});

test("an application's reader that keeps the log from being copied keeps the descriptors, until it ends", async () => {
  await using it = await begin(1);
  await it.application.open("reader", join(it.root, "0.db"));
  await it.application.run("reader", "BEGIN; SELECT * FROM t");
  await it.commit("behind the reader");
  const opened = spyOn(FirstConnection, "tryOpen");
  for (let nth = 0; nth < 400; nth++) await it.turn();
  expect(opened).not.toHaveBeenCalled();
  await it.application.run("reader", "COMMIT");
  await it.untilFew();
  await it.expectCaptured();
});

test("a database whose log is another one after that moment is closed altogether, and responses are held", async () => {
  await using it = await begin(1);
  const path = join(it.root, "0.db");
  const done = inBetween(() => {
    for (const suffix of ["-wal", "-shm"]) rmSync(path + suffix);
  });
  while (!done.isDone) await it.turn();
  // A connection that is left open would keep SQLite's locks on files that nothing watches.
  expect(it.descriptors()).toBe(0);
  expect(it.pair.source.isAhead()).toBe(true);
});

test("a database that this host itself uses, whatever for, is not closed until it does not", async () => {
  using folder = temporaryFolder();
  const database = await captured(folder.path);
  const { files, watch } = database;
  const backfiller = new Backfiller();
  const house = { limits: defaultLimits, clock: systemClock, backfiller, onWarning: () => undefined };
  expect(watch.isUnused).toBe(true);
  const uses: readonly (readonly [begin: () => void, end: () => void])[] = [
    [() => (database.holds = 1), () => (database.holds = 0)],
    [() => (database.backfilling = Promise.resolve()), () => (database.backfilling = undefined)],
    [() => void files.snapshotReader().begin(), () => files.closeSnapshot()],
    [() => void files.tryLockWriters(), () => files.unlockWriters()],
  ];
  for (const [begin, end] of uses) {
    begin();
    expect(settleIdle(database, house)).toEqual({ kind: "open" });
    end();
  }
  expect(settleIdle(database, house).kind).toBe("closed");
  await backfiller.close();
});

import { expect, test } from "bun:test";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { auditMs } from "../../src/capture/limits.ts";
import { CaptureError, type CaptureErrorKind } from "../../src/capture/capture-error.ts";
import { Source } from "../../src/capture/source.ts";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";
import { Application, Pair, type PairOptions, sourceOptions, temporaryFolder } from "../support/capture/pair.ts";

async function begin(options: PairOptions = {}) {
  const folder = temporaryFolder();
  const root = join(folder.path, "app");
  mkdirSync(root);
  const application = new Application();
  const pair = await Pair.open(folder.path, options);
  return {
    root,
    application,
    pair,
    async [Symbol.asyncDispose]() {
      await application.kill();
      await pair.close();
      folder[Symbol.dispose]();
    },
  };
}

async function refusal(work: () => unknown): Promise<CaptureErrorKind> {
  try {
    await work();
  } catch (error) {
    if (error instanceof CaptureError) {
      for (const text of [error.found, error.accepted, error.advice]) expect(text?.length).toBeGreaterThan(3);
      return error.kind;
    }
    throw error;
  }
  throw new Error("it was accepted");
}

for (const mode of ["WAL", "DELETE", "TRUNCATE", "MEMORY"]) {
  test(`a database that the application creates in ${mode} mode is noticed at once and captured whole`, async () => {
    await using it = await begin();
    await it.application.open("a", join(it.root, "new.db"));
    await it.application.run(
      "a",
      `PRAGMA journal_mode=${mode}; CREATE TABLE t(v); INSERT INTO t VALUES (randomblob(20000))`,
    );
    expect(it.pair.source.isAhead()).toBe(true);
    await it.pair.settle();
    expect(it.pair.copyHash("new.db")).toBe((await it.application.image("a")).sha256);
    await it.application.run("a", "INSERT INTO t VALUES (2)");
    await it.pair.sync();
    expect(it.pair.copyHash("new.db")).toBe((await it.application.image("a")).sha256);
  });
}

test("a large database that appears is captured in parts, and stays readable while the application writes on", async () => {
  await using it = await begin({ limits: { eagerBytesMax: 0, partBytesMax: 50_000 } });
  await it.application.open("a", join(it.root, "new.db"));
  await it.application.run(
    "a",
    "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (randomblob(300000)); PRAGMA busy_timeout=0",
  );
  const batch = await it.pair.source.collect();
  expect(batch?.partCount).toBeGreaterThan(5);
  for (let i = 0; i < 3; i++)
    await it.application.run("a", "UPDATE t SET v=randomblob(400000); PRAGMA wal_checkpoint(TRUNCATE)");
  await it.pair.applyBatch(batch);
  await it.pair.sync();
  expect(it.pair.copyHash("new.db")).toBe((await it.application.image("a")).sha256);
});

test("an empty file is not a database yet, and is found when it becomes one without a change of its folder", async () => {
  await using it = await begin({ databases: ["new.db"] });
  writeFileSync(join(it.root, "new.db"), "");
  expect(it.pair.source.isAhead()).toBe(false);
  await it.application.open("a", join(it.root, "new.db"));
  await it.application.run("a", "PRAGMA journal_mode=MEMORY; CREATE TABLE t(v)");
  expect(it.pair.source.isAhead()).toBe(true);
  await it.pair.settle();
  expect(it.pair.copyHash("new.db")).toBe((await it.application.image("a")).sha256);
});

test("databases in folders that did not exist at the start are found", async () => {
  await using it = await begin({ databases: ["tenants/*/data.db"] });
  expect(it.pair.source.isAhead()).toBe(false);
  for (const tenant of ["one", "two"]) {
    mkdirSync(join(it.root, "tenants", tenant), { recursive: true });
    await it.application.open(tenant, join(it.root, "tenants", tenant, "data.db"));
    await it.application.run(tenant, "PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
    expect(it.pair.source.isAhead()).toBe(true);
    await it.pair.sync();
    expect(it.pair.source.isAhead()).toBe(false);
  }
  expect([...it.pair.replica.checksums().keys()].sort()).toEqual(["tenants/one/data.db", "tenants/two/data.db"]);
});

test("other files that come and go in the folder are not taken for commits", async () => {
  await using it = await begin();
  for (let i = 0; i < 20; i++) {
    writeFileSync(join(it.root, `upload-${i}.txt`), "x");
    expect(it.pair.source.isAhead()).toBe(false);
  }
});

test("a database that the application deletes is removed from the copy, and may be made again", async () => {
  await using it = await begin();
  const path = join(it.root, "new.db");
  await it.application.open("a", path);
  await it.application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  await it.pair.sync();
  await it.application.close("a");
  for (const suffix of ["-wal", "-shm", ""]) rmSync(path + suffix);
  expect(it.pair.source.isAhead()).toBe(true);
  await it.pair.sync();
  expect(it.pair.source.isAhead()).toBe(false);
  expect(existsSync(join(it.pair.copy, "new.db"))).toBe(false);
  await it.application.open("a", path);
  await it.application.run(
    "a",
    "PRAGMA journal_mode=WAL; CREATE TABLE other(v); INSERT INTO other VALUES (randomblob(9000))",
  );
  await it.pair.sync();
  expect(it.pair.copyHash("new.db")).toBe((await it.application.image("a")).sha256);
});

test("a database that was replaced while the application has it open holds all responses, and is refused when the patience is over", async () => {
  await using it = await begin({ databases: ["app.db"], limits: { attachWaitMsMax: 100 } });
  for (const name of ["app.db", "other.db"]) {
    await it.application.open(name, join(it.root, name));
    await it.application.run(name, "PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  }
  await it.pair.sync();
  await it.application.close("other.db");
  renameSync(join(it.root, "other.db"), join(it.root, "app.db"));
  expect(it.pair.source.isAhead()).toBe(true);
  await it.pair.sync();
  expect(it.pair.source.uncaptured().map(({ name }) => name)).toEqual(["app.db"]);
  expect(it.pair.source.isAhead()).toBe(true);
  expect(await refusal(() => it.pair.settle())).toBe("replaced");
  expect(await refusal(() => it.pair.source.isAhead())).toBe("replaced");
});

test("a database that was replaced after the application closed it is a deletion and a new database", async () => {
  const { it, path } = await beginWithClosed();
  await using _end = it;
  await it.application.open("b", join(it.root, "app.db.tmp"));
  await it.application.run("b", "CREATE TABLE other(v); INSERT INTO other VALUES (randomblob(9000))");
  const image = await it.application.image("b");
  await it.application.close("b");
  renameSync(join(it.root, "app.db.tmp"), path);
  expect(it.pair.source.isAhead()).toBe(true);
  await it.pair.settle();
  await it.application.open("c", path);
  expect((await it.application.run("c", "SELECT count(*) AS n FROM other"))[0]).toEqual({ n: 1 });
  await it.application.run("c", "INSERT INTO other VALUES (2)");
  await it.pair.settle();
  expect(it.pair.copyHash("app.db")).toBe((await it.application.image("c")).sha256);
  expect(image.bytes).toBeGreaterThan(0);
});

/** With an application that has written into app.db, and closed it. */
async function beginWithClosed() {
  const it = await begin();
  const path = join(it.root, "app.db");
  await it.application.open("a", path);
  await it.application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1)");
  await it.pair.sync();
  await it.application.close("a");
  return { it, path };
}

test("commits beside a captured log, after its files were removed by hand, are never ignored", async () => {
  const { it, path } = await beginWithClosed();
  await using _end = it;
  for (const suffix of ["-wal", "-shm"]) rmSync(path + suffix);
  await it.application.open("b", path);
  await it.application.run("b", "CREATE TABLE IF NOT EXISTS t(v); INSERT INTO t VALUES (2)");
  expect(it.pair.source.isAhead()).toBe(true);
  expect(await refusal(() => it.pair.source.collect())).toBe("replaced");
  expect(await refusal(() => it.pair.source.isAhead())).toBe("replaced");
});

test("a log that was removed while no application is running to make another is refused as well", async () => {
  await using it = await begin({ limits: { deletionMsMax: 0 } });
  const path = join(it.root, "app.db");
  await it.application.open("a", path);
  await it.application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  await it.pair.sync();
  rmSync(`${path}-wal`);
  expect(it.pair.source.isAhead()).toBe(true);
  expect(await refusal(() => it.pair.source.collect())).toBe("replaced");
});

for (const [what, target] of [
  ["a name that is captured too", "other.db"],
  ["any other name", "app.bak"],
] as const) {
  test(`a database that is renamed to ${what} after it was closed has all of its commits there`, async () => {
    const { it, path } = await beginWithClosed();
    await using _end = it;
    renameSync(path, join(it.root, target));
    expect(it.pair.source.isAhead()).toBe(true);
    await it.pair.settle();
    expect(existsSync(join(it.pair.copy, "app.db"))).toBe(false);
    expect(existsSync(`${path}-wal`)).toBe(false);
    expect(existsSync(join(it.pair.copy, target))).toBe(target === "other.db");
    await it.application.open("b", join(it.root, target));
    expect((await it.application.run("b", "SELECT v FROM t"))[0]).toEqual({ v: 1 });
    if (target === "other.db") expect(it.pair.copyHash(target)).toBe((await it.application.image("b")).sha256);
  });
}

test("a database that is renamed while the application has it open holds all answers until it is closed", async () => {
  await using it = await begin({ databases: ["app.db"] });
  const path = join(it.root, "app.db");
  await it.application.open("a", path);
  await it.application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  await it.pair.settle();
  renameSync(path, join(it.root, "app.bak"));
  await it.pair.sync();
  expect(it.pair.source.isAhead()).toBe(true);
  expect(it.pair.source.uncaptured().map(({ name }) => name)).toEqual(["app.db"]);
  await it.application.close("a");
  await it.pair.settle();
  expect(existsSync(join(it.pair.copy, "app.db"))).toBe(false);
});

for (const [what, instead] of [
  ["moved away", false],
  ["replaced by another", true],
] as const) {
  test(`a data folder that is ${what} is refused: its databases are not deleted`, async () => {
    const { it } = await beginWithClosed();
    await using _end = it;
    renameSync(it.root, `${it.root}.old`);
    if (instead) mkdirSync(it.root);
    expect(await refusal(() => it.pair.source.isAhead())).toBe("replaced");
    expect(existsSync(join(it.pair.copy, "app.db"))).toBe(true);
  });
}

test("a parent folder that is moved away is found at the next audit", async () => {
  using outer = temporaryFolder();
  const place = join(outer.path, "place");
  const root = join(place, "app");
  mkdirSync(root, { recursive: true });
  let laterMs = 0;
  const clock: Clock = { ...systemClock, now: () => systemClock.now() + laterMs };
  const source = await Source.open({ ...sourceOptions(root), clock });
  await source.tick();
  renameSync(place, `${place}.old`);
  laterMs = auditMs;
  expect(await refusal(() => source.tick())).toBe("replaced");
  await source.close();
});

test("the application cannot leave WAL mode while it is captured", async () => {
  await using it = await begin();
  await it.application.open("a", join(it.root, "new.db"));
  await it.application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  await it.pair.sync();
  await it.application.run("a", "PRAGMA busy_timeout=0");
  await expect(it.application.run("a", "PRAGMA journal_mode=DELETE")).rejects.toThrow("locked");
  await it.application.run("a", "INSERT INTO t VALUES (1)");
  expect(it.pair.source.isAhead()).toBe(true);
});

test("an application that holds its database exclusively is refused", async () => {
  await using it = await begin({ limits: { attachWaitMsMax: 30 } });
  await it.application.open("a", join(it.root, "new.db"));
  await it.application.run("a", "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  expect(it.pair.source.isAhead()).toBe(true);
  expect(await refusal(() => it.pair.settle())).toBe("exclusive");
});

test("a file that is no database, or an encrypted one, is refused", async () => {
  using folder = temporaryFolder();
  writeFileSync(join(folder.path, "app.db"), Buffer.alloc(8192, 0x5a));
  expect(await refusal(() => Source.open(sourceOptions(folder.path)))).toBe("not-a-database");
});

test("names outside the data folder, and files that belong to a database, are refused", async () => {
  using folder = temporaryFolder();
  for (const name of ["/etc/app.db", "../app.db", "a/../../b.db", "", "a//b.db", "app.db-wal", "a/**", "a**.db"]) {
    expect(await refusal(() => Source.open(sourceOptions(folder.path, { databases: [name] })))).toBe("name");
  }
});

test("more databases than the limit are refused", async () => {
  using folder = temporaryFolder();
  await using application = new Application();
  for (const name of ["a", "b"]) {
    await application.open(name, join(folder.path, `${name}.db`));
    await application.run(name, "CREATE TABLE t(v)");
  }
  expect(await refusal(() => Source.open(sourceOptions(folder.path, { limits: { databasesMax: 1 } })))).toBe("limit");
});

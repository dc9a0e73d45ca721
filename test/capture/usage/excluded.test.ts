/** Databases that an operator takes out of what is captured while the application uses them. */
import { expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Source } from "../../../src/capture/source.ts";
import { verifyHandoff } from "../../../src/host/primary/verify-handoff.ts";
import { Application, Pair, partsOf, sourceOptions, temporaryFolder } from "../../support/capture/pair.ts";

async function begin() {
  const folder = temporaryFolder();
  const root = join(folder.path, "app");
  let excluded: ReadonlySet<string> = new Set();
  const application = new Application();
  await Bun.write(join(root, ".keep"), "");
  await application.open("app", join(root, "app.db"));
  await application.run("app", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1)");
  const pair = await Pair.open(folder.path, { excluded: () => excluded });
  return {
    root,
    pair,
    application,
    exclude: (...names: string[]) => void (excluded = new Set(names)),
    async [Symbol.asyncDispose]() {
      await application.kill();
      await pair.close();
      folder[Symbol.dispose]();
    },
  };
}

test("what waits for a database that cannot be captured is released when it is excluded", async () => {
  await using it = await begin();
  writeFileSync(
    join(it.root, "sealed.db"),
    "encrypted, as it seems, and longer than a header of a hundred bytes ".repeat(3),
  );
  writeFileSync(join(it.root, "sealed.db-wal"), "x");
  await it.pair.sync();
  expect([it.pair.source.isAhead(), it.pair.source.uncaptured().map(({ name }) => name)]).toEqual([
    true,
    ["sealed.db"],
  ]);
  it.exclude("sealed.db");
  await it.pair.settle();
  expect(it.pair.source.uncaptured()).toEqual([]);
  await it.application.run("app", "INSERT INTO t VALUES (2)");
  expect(await it.pair.sync()).toBeGreaterThan(0);
});

test("a database that stays locked is released likewise, and captured whole when it is included again", async () => {
  await using it = await begin();
  await it.application.open("new", join(it.root, "new.db"));
  await it.application.run("new", "CREATE TABLE t(v); BEGIN IMMEDIATE; INSERT INTO t VALUES (1)");
  await it.pair.sync();
  expect(it.pair.source.uncaptured().map(({ name }) => name)).toEqual(["new.db"]);
  it.exclude("new.db");
  await it.pair.settle();
  await it.application.run("new", "COMMIT");
  expect([it.pair.source.isAhead(), it.pair.source.names()]).toEqual([false, ["app.db"]]);
  it.exclude();
  expect(it.pair.source.isAhead()).toBe(true);
  await it.pair.settle();
  expect(it.pair.copyHash("new.db")).toBe((await it.application.image("new")).sha256);
});

test("one that was captured is removed from the journal; the application continues with it, and it can come back", async () => {
  await using it = await begin();
  await it.application.open("tenant", join(it.root, "tenant.db"));
  await it.application.run("tenant", "PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  await it.pair.settle();
  it.exclude("tenant.db");
  await it.application.run("tenant", "INSERT INTO t VALUES (1)");
  await it.pair.settle();
  expect([...it.pair.replica.checksums().keys()]).toEqual(["app.db"]);
  for (let i = 0; i < 5; i++) {
    await it.application.run("tenant", "INSERT INTO t VALUES (2)");
    // Not `isAhead`: it is true as well where something is to be examined, as after another look at the log of app.db.
    expect(await it.pair.sync()).toBe(0);
    await it.pair.source.tick();
  }
  expect(await it.application.run("tenant", "SELECT count(*) AS n FROM t")).toEqual([{ n: 6 }]);
  it.exclude();
  await it.pair.settle();
  expect(it.pair.copyHash("tenant.db")).toBe((await it.application.image("tenant")).sha256);
});

test("a primary that begins with a database of the journal that was excluded meanwhile removes it there, and is no diverged copy", async () => {
  await using it = await begin();
  await it.application.close("app");
  const known = it.pair.replica.handOver();
  const options = { ...sourceOptions(it.pair.copy, { excluded: () => excluded }), known };
  const excluded = new Set(["app.db"]);
  await it.pair.replica.close();
  const source = await verifyHandoff(await Source.open(options), known, excluded);
  expect(source.isAhead()).toBe(true);
  const batch = await source.collect();
  expect(
    batch === undefined
      ? []
      : partsOf(batch)
          .flat()
          .map(({ name, pageCount }) => [name, pageCount]),
  ).toEqual([["app.db", 0]]);
  batch?.done();
  expect(source.isAhead()).toBe(false);
  await source.close();
});

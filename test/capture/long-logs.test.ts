/**
 * A read transaction that is never ended: the warning names its database, its log, its age and its process, and goes
 * when the transaction ends.
 */
import { expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as immediate } from "node:timers/promises";
import { listMs, longLogBytes, longLogLookMs } from "../../src/capture/limits.ts";
import { hostMetrics } from "../../src/metrics/host-metrics.ts";
import { PrometheusMetrics } from "../../src/metrics/prometheus.ts";
import { sampleOf } from "../support/metrics/promtool.ts";
import { Application, Pair, temporaryFolder } from "../support/capture/pair.ts";

const sizes = async (metrics: PrometheusMetrics): Promise<(number | undefined)[]> => {
  const text = await metrics.text();
  return ["stead_capture_wal_bytes", "stead_capture_largest_wal_bytes"].map((name) => sampleOf(text, name));
};

test("a log that a forgotten reader keeps from starting over is reported with its process, for as long as that lasts", async () => {
  using folder = temporaryFolder();
  mkdirSync(join(folder.path, "app"));
  const path = join(folder.path, "app", "app.db");
  await using reader = new Application();
  await using writer = new Application();
  await writer.open("w", path);
  await writer.run("w", "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(v)");
  const metrics = new PrometheusMetrics(hostMetrics);
  await using pair = await Pair.open(folder.path, { metrics });
  const { longLogs } = pair.source;
  await reader.open("r", path);
  // Reads at the end of the log: what is written before it is backfilled while it reads, what comes after is not.
  await reader.run("r", "BEGIN; SELECT count(*) FROM t");
  await writer.run("w", `INSERT INTO t SELECT randomblob(${longLogBytes / 2}) FROM (VALUES (1))`);
  await pair.sync();
  for (let i = 0; i < 3; i++) await pair.source.tick();
  expect(longLogs.list).toEqual([]);
  await writer.run("w", `INSERT INTO t SELECT randomblob(${longLogBytes / 2}) FROM (VALUES (1))`);
  await pair.sync();
  while (longLogs.list.length === 0) {
    await pair.source.tick();
    await immediate();
  }
  const [held] = longLogs.list;
  const labels = `{database="app.db",held_by="${held?.heldBy.join(", ") ?? ""}"}`;
  expect(held).toMatchObject({ database: "app.db", heldBy: [expect.stringMatching(new RegExp(`^${reader.pid} \\(`))] });
  expect(held?.walBytes).toBeGreaterThanOrEqual(longLogBytes);
  expect(held?.heldMs).toBeGreaterThan(0);
  expect(sampleOf(await metrics.text(), `stead_capture_long_log_bytes${labels}`)).toBe(held?.walBytes ?? 0);
  expect(sampleOf(await metrics.text(), `stead_capture_long_log_seconds${labels}`)).toBeGreaterThan(0);
  expect(await sizes(metrics)).toEqual([held?.walBytes, held?.walBytes]);
  await reader.run("r", "COMMIT");
  while (longLogs.list.length > 0) {
    await pair.source.tick();
    await immediate();
  }
  // Everything is backfilled by then: the next writer starts the log over.
  await pair.source.tick();
  await writer.run("w", "INSERT INTO t VALUES ('over')");
  expect((await writer.run("w", "PRAGMA wal_checkpoint(PASSIVE)"))[0]?.["log"]).toBeLessThan(100);
  await pair.sync();
}, 60_000);

test("a log that a checkpoint of this host keeps from starting over is reported without other readers, and can start over right afterwards", async () => {
  using folder = temporaryFolder();
  mkdirSync(join(folder.path, "app"));
  const path = join(folder.path, "app", "app.db");
  await using application = new Application();
  await application.open("w", path);
  await application.run(
    "w",
    "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(v); INSERT INTO t VALUES (0)",
  );
  await using pair = await Pair.open(folder.path);
  const { longLogs } = pair.source;
  const { batch, snapshot } = await pair.source.beginSnapshot();
  await pair.applyBatch(batch);
  await application.run("w", `INSERT INTO t SELECT randomblob(${longLogBytes}) FROM (VALUES (1))`);
  // Reads behind the snapshot, and not the last commit.
  await application.open("r", path);
  await application.run("r", "BEGIN; SELECT count(*) FROM t");
  await application.run("w", "INSERT INTO t VALUES (1)");
  await pair.sync();
  // The list of locks is read once more meanwhile, so it has that reader.
  while ((longLogs.list[0]?.heldMs ?? 0) < listMs + longLogLookMs) {
    await pair.source.tick();
    await immediate();
  }
  expect(longLogs.list).toMatchObject([{ database: "app.db", heldBy: ["stead (a checkpoint is being written)"] }]);
  expect(longLogs.canAllStartOver).toBe(false);
  await application.run("r", "COMMIT");
  await snapshot.release();
  while (!longLogs.canAllStartOver) {
    await pair.source.tick();
    await immediate();
  }
  await pair.source.tick();
  await application.run("w", "INSERT INTO t VALUES ('over')");
  expect((await application.run("w", "PRAGMA wal_checkpoint(PASSIVE)"))[0]?.["log"]).toBeLessThan(100);
  await pair.sync();
}, 60_000);

test("a log that one large transaction keeps from starting over while it is journaled is reported so", async () => {
  using folder = temporaryFolder();
  mkdirSync(join(folder.path, "app"));
  await using application = new Application();
  await application.open("w", join(folder.path, "app", "app.db"));
  await application.run("w", "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(v)");
  await using pair = await Pair.open(folder.path, { limits: { eagerBytesMax: 0 } });
  const { longLogs } = pair.source;
  await application.run("w", `INSERT INTO t SELECT randomblob(${longLogBytes}) FROM (VALUES (1))`);
  const batch = await pair.source.collect();
  while (longLogs.list.length === 0) {
    await pair.source.tick();
    await immediate();
  }
  expect(longLogs.list).toMatchObject([
    { database: "app.db", heldBy: ["stead (a large transaction is being journaled)"] },
  ]);
  await pair.applyBatch(batch);
  while (longLogs.list.length > 0) {
    await pair.source.tick();
    await immediate();
  }
}, 60_000);

test("sizes of logs are reported while databases are captured, and not afterwards", async () => {
  using folder = temporaryFolder();
  mkdirSync(join(folder.path, "app"));
  await using writer = new Application();
  for (const [name, bytes] of [
    ["a", 10_000],
    ["b", 200_000],
  ] as const) {
    await writer.open(name, join(folder.path, "app", `${name}.db`));
    await writer.run(
      name,
      `PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(v); INSERT INTO t VALUES (randomblob(${bytes}))`,
    );
  }
  const metrics = new PrometheusMetrics(hostMetrics);
  {
    await using pair = await Pair.open(folder.path, { metrics });
    await pair.source.tick();
    const [total = 0, largest = 0] = await sizes(metrics);
    expect(largest).toBeGreaterThan(200_000);
    expect(total).toBeGreaterThan(largest + 10_000);
  }
  expect(await sizes(metrics)).toEqual([undefined, undefined]);
});

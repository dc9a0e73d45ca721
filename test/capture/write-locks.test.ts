/**
 * The write lock that capture takes to keep the log short: writers without a busy timeout, and readers that would make
 * it useless.
 */
import { expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { SourceLimits } from "../../src/capture/limits.ts";
import { hostMetrics } from "../../src/metrics/host-metrics.ts";
import { PrometheusMetrics } from "../../src/metrics/prometheus.ts";
import { sampleOf } from "../support/metrics/promtool.ts";
import { Application, Pair, temporaryFolder } from "../support/capture/pair.ts";

const hasPython = spawnSync("python3", ["-c", "import sqlite3"]).status === 0;
const kibibytes = 1024;
/** Tidying does not help here: everything is left to seals. */
const limits = { walTidyBytes: 1 << 30, walSealBytes: 512 * kibibytes };

/** How often the log was started over: the sequence number in its header (walformat.html). */
const generation = (path: string): number => readFileSync(`${path}-wal`).readUInt32BE(12);

async function begin(chosen: Partial<SourceLimits> = limits): Promise<
  {
    path: string;
    metrics: PrometheusMetrics;
    pair: Pair;
    application: Application;
    untilLocked(): Promise<void>;
  } & AsyncDisposable
> {
  const folder = temporaryFolder();
  mkdirSync(join(folder.path, "app"));
  const path = join(folder.path, "app", "app.db");
  const application = new Application();
  await application.open("a", path);
  await application.run(
    "a",
    "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
  );
  const metrics = new PrometheusMetrics(hostMetrics);
  const pair = await Pair.open(folder.path, { limits: chosen, metrics });
  return {
    path,
    metrics,
    pair,
    application,
    /** Commits until one of them gave rise to a lock. */
    async untilLocked() {
      const before = pair.source.writeLocks().count;
      while (pair.source.writeLocks().count === before) {
        await application.run("a", "INSERT INTO t(v) VALUES ('one')");
        await pair.sync();
      }
    },
    async [Symbol.asyncDispose]() {
      await application.kill();
      await pair.close();
      folder[Symbol.dispose]();
    },
  };
}

async function write(
  command: readonly string[],
  path: string,
  commits: number,
): Promise<{ done: number; refused: number }> {
  const [program = "", ...args] = command;
  const child = spawn(program, [...args, path, String(commits)], { stdio: ["ignore", "pipe", "inherit"] });
  let text = "";
  child.stdout.on("data", (piece: Buffer) => (text += piece.toString()));
  await new Promise((resolve) => child.on("close", resolve));
  return JSON.parse(text) as { done: number; refused: number };
}

const writers = [
  ["python", ["python3", join(import.meta.dirname, "../support/capture/hasty-writer.py")]],
  ["bun", [process.execPath, join(import.meta.dirname, "../support/capture/hasty-writer.ts")]],
] as const;

for (const [name, command] of writers) {
  test.skipIf(name === "python" && !hasPython)(
    `a ${name} writer that never waits is refused once for each lock at most, and the log stays short`,
    async () => {
      await using it = await begin();
      const before = it.pair.source.writeLocks().count;
      const commits = 4000;
      const work = write(command, it.path, commits);
      await it.pair.serveUntil(work);
      const { done, refused } = await work;
      expect(done).toBe(commits);
      expect(refused).toBeLessThanOrEqual(it.pair.source.writeLocks().count - before);
      await it.untilLocked();
      const { count, totalMs, maxMs } = it.pair.source.writeLocks();
      const text = await it.metrics.text();
      expect([
        sampleOf(text, "stead_capture_lock_seconds_count"),
        sampleOf(text, "stead_capture_lock_seconds_sum"),
      ]).toEqual([count, expect.closeTo(totalMs / 1_000)]);
      expect(maxMs).toBeGreaterThan(0);
      expect(totalMs).toBeGreaterThanOrEqual(maxMs);
      // The next commit starts the log over.
      await it.application.run("a", "INSERT INTO t(v) VALUES ('after')");
      expect(generation(it.path)).toBeGreaterThan(0);
      await it.pair.sync();
      expect(it.pair.copyHash("app.db")).toBe((await it.application.image("a")).sha256);
    },
    60_000,
  );
}

/** Once with these limits and so many commits 84 were refused, and none without capture. */
test("with the limits of production a writer that never waits is refused eight times in 23,012 commits at most", async () => {
  await using it = await begin({});
  const commits = 23_012;
  const work = write(
    [process.execPath, join(import.meta.dirname, "../support/capture/hasty-writer.ts")],
    it.path,
    commits,
  );
  await it.pair.serveUntil(work);
  const { done, refused } = await work;
  expect(done).toBe(commits);
  expect(it.pair.source.writeLocks().count).toBeLessThanOrEqual(8);
  expect(refused).toBeLessThanOrEqual(8);
}, 60_000);

test("a reader that keeps the log from starting over costs no writer a lock", async () => {
  await using it = await begin();
  await it.application.open("reader", it.path);
  await it.application.run("reader", "BEGIN; SELECT count(*) FROM t");
  await it.pair.serveUntil(
    write([process.execPath, join(import.meta.dirname, "../support/capture/hasty-writer.ts")], it.path, 1000),
  );
  expect(statSync(`${it.path}-wal`).size).toBeGreaterThan(limits.walSealBytes);
  expect(it.pair.source.writeLocks().count).toBe(0);
  await it.application.run("reader", "COMMIT");
  await it.untilLocked();
}, 60_000);

/**
 * Capture under writers that do everything at once: several processes in two languages with different SQLite libraries,
 * automatic checkpoints at 1 to 1000 pages, VACUUM, spilled rollbacks, explicit checkpoints, SIGKILL at random.
 *
 * STEAD_STRESS_SECONDS: how long each of the two runs lasts (default 4). STEAD_STRESS_SEED: to repeat a run's choices.
 */
import { expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { copyFileSync, mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setImmediate as immediate } from "node:timers/promises";
import { Application, hashFile, Pair, temporaryFolder } from "../../support/capture/pair.ts";

const seconds = Number(process.env["STEAD_STRESS_SECONDS"] ?? 4);
const seed = Number(process.env["STEAD_STRESS_SEED"] ?? Date.now() % 1_000_000);
const hasPython = spawnSync("python3", ["-c", "import sqlite3"]).status === 0;
if (!hasPython)
  console.warn("SKIPPED: python3 with sqlite3 is missing, the stress runs with writers in one language only");

interface CheckpointCall {
  readonly mode: string;
  readonly busy: number;
  readonly ms: number;
}

/** The writer processes, started again when they are killed. */
class Writers {
  readonly acknowledged = new Map<string, number>();
  readonly checkpoints: CheckpointCall[] = [];
  readonly complaints: string[] = [];
  kills = 0;
  readonly #path: string;
  readonly #mode: string;
  readonly #children = new Map<string, ChildProcess>();
  #onAcknowledged: () => void = () => undefined;
  #state = seed;

  constructor(path: string, mode: string) {
    this.#path = path;
    this.#mode = mode;
  }

  random(below: number): number {
    this.#state = (Math.imul(this.#state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((this.#state / 0x1_0000_0000) * below);
  }

  onAcknowledged(listener: () => void): void {
    this.#onAcknowledged = listener;
  }

  start(writer: string): void {
    const isPython = hasPython && writer.startsWith("python");
    const [command, script] = isPython ? ["python3", "stress-writer.py"] : [process.execPath, "stress-writer.ts"];
    const child = spawn(
      command,
      [join(import.meta.dirname, script), this.#path, writer, String(this.random(1_000_000)), this.#mode],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#children.set(writer, child);
    createInterface({ input: child.stdout }).on("line", (line) => this.#hear(writer, line));
    child.stderr.on("data", (text: Buffer) => this.complaints.push(`${writer}: ${text.toString()}`));
  }

  /** SIGKILL in whatever it is doing; resolves when it is gone and its output is read. */
  async kill(writer: string): Promise<void> {
    const child = this.#children.get(writer);
    if (child === undefined) return;
    this.#children.delete(writer);
    this.kills += 1;
    const closed = new Promise((resolve) => child.on("close", resolve));
    child.kill("SIGKILL");
    await closed;
  }

  async killAny(): Promise<void> {
    const names = [...this.#children.keys()];
    const writer = names[this.random(names.length)];
    if (writer === undefined) return;
    await this.kill(writer);
    this.start(writer);
  }

  async killAll(): Promise<void> {
    for (const writer of [...this.#children.keys()]) await this.kill(writer);
  }

  #hear(writer: string, line: string): void {
    const [kind, first = "", busy = "", ms = ""] = line.split(" ");
    if (kind === "A") {
      this.acknowledged.set(writer, Number(first));
      this.#onAcknowledged();
    } else if (kind === "C") {
      this.checkpoints.push({ mode: first, busy: Number(busy), ms: Number(ms) });
    }
  }
}

const names = ["bun-1", "python-1", "python-2", "bun-2"];

/**
 * What the copy must hold if the primary's machine died now: everything acknowledged that the gate would have let out.
 */
function missingFrom(copy: string, acknowledged: ReadonlyMap<string, number>): string[] {
  const database = new Database(copy, { readwrite: true });
  try {
    expect(database.query("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
    const missing: string[] = [];
    for (const [writer, sequence] of acknowledged) {
      const row = database
        .query("SELECT count(*) AS n, max(sequence) AS last FROM acks WHERE writer = ?")
        .get(writer) as { n: number; last: number | null };
      if (row.n !== row.last || (row.last ?? 0) < sequence)
        missing.push(`${writer}: ${row.n} rows up to ${row.last}, acknowledged ${sequence}`);
    }
    return missing;
  } finally {
    database.close();
  }
}

async function stress(mode: "passive" | "heavy"): Promise<void> {
  using folder = temporaryFolder();
  mkdirSync(join(folder.path, "app"));
  const path = join(folder.path, "app", "app.db");
  const application = new Application();
  await application.open("a", path);
  await application.run(
    "a",
    "PRAGMA journal_mode=WAL; CREATE TABLE acks(writer, sequence, content, PRIMARY KEY(writer, sequence)); CREATE TABLE churn(id INTEGER PRIMARY KEY, content)",
  );
  await application.kill();
  const pair = await Pair.open(folder.path, {
    limits: { eagerBytesMax: 256 * 1024, walTidyBytes: 1024 * 1024, walSealBytes: 1024 * 1024 },
  });
  const writers = new Writers(path, mode);
  let released = new Map<string, number>();
  const counts = { batches: 0, pages: 0, lost: 0, copies: 0, snapshots: 0 };
  for (const writer of names) writers.start(writer);
  const end = performance.now() + seconds * 1000;
  let nextKill = performance.now() + 300;
  let nextCopy = performance.now() + 700;
  let nextTick = 0;
  // On a slow machine it takes longer: every writer must have had a turn.
  while (performance.now() < end || writers.acknowledged.size < names.length || writers.checkpoints.length === 0) {
    // SQLite is not fair: on a busy machine a writer may wait for its first turn until the others stop.
    if (performance.now() > end && writers.acknowledged.size < names.length)
      for (const writer of writers.acknowledged.keys()) await writers.kill(writer);
    // The acknowledgements seen before this look may leave the machine when nothing is ahead, or after the next flush.
    const seen = new Map(writers.acknowledged);
    if (pair.source.isAhead()) {
      const batch = await pair.source.collect();
      counts.batches += 1;
      counts.pages += batch?.pageCount ?? 0;
      await pair.applyBatch(batch);
    }
    released = seen;
    if (performance.now() > nextTick) {
      await pair.source.tick();
      nextTick = performance.now() + 5;
    }
    if (performance.now() > nextCopy) {
      const at = join(folder.path, "failover.db");
      copyFileSync(join(pair.copy, "app.db"), at);
      expect(missingFrom(at, released)).toEqual([]);
      for (const suffix of ["", "-wal", "-shm"]) rmSync(at + suffix, { force: true });
      counts.copies += 1;
      await compareSnapshot(pair);
      counts.snapshots += 1;
      nextCopy = performance.now() + 1000;
    }
    if (performance.now() > nextKill && performance.now() < end) {
      await writers.killAny();
      nextKill = performance.now() + 150 + writers.random(500);
    }
    await immediate();
  }
  await writers.killAll();
  await pair.sync();
  expect(pair.replica.checksums()).toEqual(pair.source.checksums());
  expect(await pair.close()).toEqual({ ahead: false });
  expect(hashFile(join(pair.copy, "app.db"))).toBe(hashFile(path) ?? "missing");
  expect(missingFrom(join(pair.copy, "app.db"), writers.acknowledged)).toEqual([]);
  expect(writers.complaints).toEqual([]);
  expect([...writers.acknowledged.keys()].sort()).toEqual([...names].sort());
  const rows = [...writers.acknowledged.values()].reduce((sum, n) => sum + n, 0);
  console.log(
    `  seed ${seed}: ${rows} acknowledged transactions, ${counts.pages} pages in ${counts.batches} batches, ${writers.kills} kills, ${counts.copies} copies checked`,
  );
  report(writers.checkpoints);
  expect(writers.checkpoints.filter(timedOut)).toEqual([]);
}

/** A snapshot read while writers commit equals the copy at that position. */
async function compareSnapshot(pair: Pair): Promise<void> {
  const { batch, snapshot } = await pair.source.beginSnapshot();
  await pair.applyBatch(batch);
  const database = snapshot.databases.find(({ name }) => name === "app.db");
  if (database === undefined) throw new Error("no app.db in the snapshot");
  await immediate();
  const bytes = await database.read(0, database.pageSize * database.pageCount);
  expect(new Bun.SHA256().update(bytes).digest("hex")).toBe(pair.copyHash("app.db") ?? "missing");
  await snapshot.release();
}

/**
 * Busy after waiting: the busy timeout (30 s) ran out. Busy at once is another writer's checkpoint in progress, for
 * which SQLite never waits, with or without capture.
 */
const timedOut = ({ busy, ms }: CheckpointCall): boolean => busy !== 0 && ms > 10_000;

function report(calls: readonly CheckpointCall[]): void {
  for (const mode of [...new Set(calls.map((call) => call.mode))].sort()) {
    const times = calls
      .filter((call) => call.mode === mode && call.busy === 0)
      .map(({ ms }) => ms)
      .sort((a, b) => a - b);
    const at = (fraction: number): string =>
      (times[Math.min(times.length - 1, Math.floor(times.length * fraction))] ?? 0).toFixed(1);
    const others = calls.filter((call) => call.mode === mode && call.busy !== 0);
    console.log(
      `  ${mode}: ${times.length} ran, p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms; ${others.length} met another checkpoint; ${others.filter(timedOut).length} timed out`,
    );
  }
}

test(
  "no frame is lost under PASSIVE checkpoints, VACUUM, spilled rollbacks and SIGKILL, and the copy is byte-identical",
  () => stress("passive"),
  (seconds + 60) * 1000,
);

test(
  "the same while the application runs FULL, RESTART and TRUNCATE checkpoints, none of which times out",
  () => stress("heavy"),
  (seconds + 60) * 1000,
);

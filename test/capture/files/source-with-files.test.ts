import { constants, Database } from "bun:sqlite";
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate as immediate } from "node:timers/promises";
import { FileCapture } from "../../../src/capture/files/file-capture.ts";
import {
  type BatchWithFiles,
  type FilesDurability,
  SourceWithFiles,
} from "../../../src/capture/files/source-with-files.ts";
import { fileMatcher } from "../../../src/core/files/file-pattern.ts";
import { FileTree } from "../../../src/core/files/file-tree.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { sha256 } from "../../../src/runtime/sha256.ts";
import { Pair, temporaryFolder } from "../../support/capture/pair.ts";

setDefaultTimeout(60_000);

const worker = join(import.meta.dirname, "../../support/capture/files-worker.ts");

/** A source with files over `app`, and copies of databases and tree that get every flush. */
async function open(folder: string, durability: FilesDurability = { kind: "before-answer" }, now = systemClock.now) {
  const root = join(folder, "app");
  mkdirSync(root, { recursive: true });
  const pair = await Pair.open(folder);
  const files = await FileCapture.open({
    root,
    matcher: fileMatcher({ files: ["uploads/**"], except: [], databases: ["*.db"], reserved: [] }),
    begin: { kind: "bootstrap" },
    user: { kind: "root" },
    clock: systemClock,
    bounds: { filesMax: 100_000, bytesMax: 1 << 30, fileBytesMax: 1 << 28, bytesPerSecondMax: 1 << 30 },
    over: "refuse",
    patienceMs: 10_000,
    fetch: () => Promise.reject(new Error("it is nowhere")),
    onWarning: (text) => pair.warnings.push(text),
  });
  const source = new SourceWithFiles(pair.source, files, durability, now);
  const tree = new FileTree(sha256);
  let flushes = 0;
  return {
    root,
    pair,
    source,
    tree,
    get flushes(): number {
      return flushes;
    },
    async apply(batch: BatchWithFiles | undefined): Promise<void> {
      if (batch === undefined) return;
      flushes += 1;
      await pair.applyBatch(batch);
      if (batch.files === undefined) return;
      tree.apply(batch.files.changes, flushes);
      expect(tree.checksum).toEqual(batch.files.checksum);
      batch.files.done(flushes);
    },
    async applySnapshot(): Promise<void> {
      const { batch, snapshot } = await source.beginSnapshot();
      await this.apply(batch);
      expect(snapshot.files.tree.checksum).toEqual(tree.checksum);
      for (const { name, checksum } of snapshot.databases) expect(pair.replica.checksums().get(name)).toEqual(checksum);
      await snapshot.release();
    },
    /** Rows of the copy whose file the copied tree does not have. */
    orphans(): string[] {
      const path = join(pair.copy, "app.db");
      if (pair.copyHash("app.db") === undefined) return [];
      const database = new Database(
        `file:${path}?immutable=1`,
        constants.SQLITE_OPEN_READONLY | constants.SQLITE_OPEN_URI,
      );
      try {
        const rows = database.query<{ path: string; hash: string }, []>("SELECT path, hash FROM uploads").all();
        return rows.filter(({ path: at, hash }) => hashAt(tree, `uploads/${at}`) !== hash).map(({ path: at }) => at);
      } catch (error) {
        if (String(error).includes("no such table")) return [];
        throw error;
      } finally {
        database.close();
      }
    },
    async [Symbol.asyncDispose]() {
      await source.close();
      await pair.replica.close();
    },
  };
}

function hashAt(tree: FileTree, path: string): string | undefined {
  const entry = tree.get(path);
  return entry?.kind === "file" ? entry.pieces[0]?.hash : undefined;
}

/** Resolves when the application has done everything. */
const run = (root: string, seed: number, operations: number): Promise<void> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [worker, root, String(seed), String(operations)], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    child.once("exit", (code) => (code === 0 ? resolve() : reject(new Error(`the application ended with ${code}`))));
  });

describe("databases and the files beside them", () => {
  test("at every flush each row has its file, while two applications write, move and delete", async () => {
    using folder = temporaryFolder();
    await using it = await open(folder.path);
    // Before there are two of them: SQLite answers SQLITE_BUSY at once if both switch a new database to WAL.
    const database = new Database(join(it.root, "app.db"));
    database.run("PRAGMA journal_mode=WAL");
    database.close();
    let isOver = false;
    const working = Promise.all([run(it.root, 1, 1500), run(it.root, 2, 1500)]).finally(() => (isOver = true));
    for (let isLast = false; !isLast; ) {
      isLast = isOver;
      if (it.source.isAhead()) {
        // Every third flush is that of a checkpoint.
        if (it.flushes % 3 === 2) await it.applySnapshot();
        else await it.apply(await it.source.collect());
        expect(it.orphans()).toEqual([]);
      }
      await it.source.tick();
      await immediate();
    }
    await working;
    while (it.source.isAhead()) await it.apply(await it.source.collect());
    expect(it.flushes).toBeGreaterThan(20);
    const fresh = await FileCapture.open({
      root: it.root,
      matcher: fileMatcher({ files: ["uploads/**"], except: [], databases: [], reserved: [] }),
      begin: { kind: "bootstrap" },
      user: { kind: "root" },
      clock: systemClock,
      bounds: { filesMax: 100_000, bytesMax: 1 << 30, fileBytesMax: 1 << 28, bytesPerSecondMax: 1 << 30 },
      over: "refuse",
      patienceMs: 10_000,
      fetch: () => Promise.reject(new Error("it is nowhere")),
      onWarning: () => undefined,
    });
    expect(fresh.snapshot().tree.checksum).toEqual(it.tree.checksum);
    fresh.close();
  });

  test("a tick is over when it says so: a collection may follow at once", async () => {
    using folder = temporaryFolder();
    await using it = await open(folder.path);
    for (let times = 0; times < 3; times++) {
      await it.source.tick();
      expect(await it.source.collect()).toBeUndefined();
    }
  });

  test("an operator is told of both that hold responses, a database and a file", async () => {
    using folder = temporaryFolder();
    await using it = await open(folder.path);
    const held = (): string[] => it.source.uncaptured().map(({ name }) => name);
    expect(held()).toEqual([]);
    const made = new Database(join(folder.path, "made.db"));
    made.run("CREATE TABLE t(v)");
    made.run("INSERT INTO t VALUES (randomblob(50000))");
    made.close();
    const whole = readFileSync(join(folder.path, "made.db"));
    writeFileSync(join(it.root, "half.db"), whole.subarray(0, 20_000));
    await it.apply(await it.source.collect());
    expect(held()).toEqual(["half.db"]);
    mkdirSync(join(it.root, "uploads"));
    writeFileSync(join(it.root, "uploads/large"), "");
    truncateSync(join(it.root, "uploads/large"), (1 << 28) + 1);
    await it.apply(await it.source.collect());
    expect(held()).toEqual(["half.db", "uploads/large"]);
    writeFileSync(join(it.root, "half.db"), whole);
    while (held().includes("half.db")) await it.apply(await it.source.collect());
    expect(held()).toEqual(["uploads/large"]);
  });

  test("in the background a file makes no response wait, and is in a flush after half of the loss window", async () => {
    using folder = temporaryFolder();
    let nowMs = 0;
    await using it = await open(folder.path, { kind: "background", lossMaxMs: 1000 }, () => nowMs);
    mkdirSync(join(it.root, "uploads"));
    writeFileSync(join(it.root, "uploads/a"), "bulk");
    expect(it.source.isAhead()).toBe(false);
    nowMs = 499;
    expect(it.source.isAhead()).toBe(false);
    expect(await it.source.collect()).toBeUndefined();
    nowMs = 500;
    expect(it.source.isAhead()).toBe(true);
    await it.apply(await it.source.collect());
    expect(it.tree.get("uploads/a")?.kind).toBe("file");
    expect(it.source.isAhead()).toBe(false);
    // A checkpoint has what the last flush has, and the files are in the flush before it.
    writeFileSync(join(it.root, "uploads/b"), "bulk");
    const { batch, snapshot } = await it.source.beginSnapshot();
    await it.apply(batch);
    expect(snapshot.files.tree.checksum).toEqual(it.tree.checksum);
    expect(it.tree.get("uploads/b")?.kind).toBe("file");
    await snapshot.release();
    // A planned end waits for no window.
    writeFileSync(join(it.root, "uploads/c"), "bulk");
    expect(it.source.isAhead()).toBe(false);
    it.source.hurry();
    expect(it.source.isAhead()).toBe(true);
    await it.apply(await it.source.collect());
    expect(it.tree.get("uploads/c")?.kind).toBe("file");
  });
});

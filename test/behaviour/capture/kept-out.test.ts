/**
 * Checkpoints of the application that keep its writers out while they wait for readers: capture's read transaction must
 * not be what they wait for. Counted in looks, not in time.
 */
import { expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFileSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { FileLocks } from "../../../src/capture/file-locks.ts";
import { busyPollMsMax } from "../../../src/capture/limits.ts";
import { Application, Pair, temporaryFolder } from "../../support/capture/pair.ts";

const hasPython = spawnSync("python3", ["-c", "import fcntl"]).status === 0;
/** Bytes of the index: the lock of the checkpointer, of the reader that needs no log, and of the first that does. */
const [checkpointByte, slot0Byte, slot1Byte] = [121, 123, 124];
/** Pins are not moved for their age. */
const limits = { pinAgeMsMax: 3_600_000 };

/** In another process that is no connection; resolves to what lets it go. */
async function lock(path: string, byte: number, kind: "LOCK_EX" | "LOCK_SH"): Promise<() => Promise<void>> {
  const script =
    "import fcntl, sys; index = open(sys.argv[1], 'r+b'); fcntl.lockf(index, getattr(fcntl, sys.argv[3]), 1, int(sys.argv[2])); print('locked', flush=True); sys.stdin.read()";
  const child = spawn("python3", ["-c", script, `${path}-shm`, String(byte), kind], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  return async () => {
    child.stdin.end();
    await once(child, "close");
  };
}

/** Which bytes of the index this process and others have locked. */
function locks(path: string): { readonly own: readonly number[]; readonly others: readonly number[] } {
  const { ino } = statSync(`${path}-shm`);
  const lines = readFileSync("/proc/locks", "latin1")
    .split("\n")
    .filter((line) => line.includes(`:${ino} `) && !line.includes("->"));
  const bytes = lines
    .map((line) => /(\d+) [0-9a-f]+:[0-9a-f]+:\d+ (\d+) (\d+)$/.exec(line)?.slice(1).map(Number) ?? [])
    .flatMap(([pid, start = 0, end = 0]) =>
      Array.from({ length: end - start + 1 }, (_, at) => ({ pid, byte: start + at })),
    );
  return {
    own: bytes.filter(({ pid }) => pid === process.pid).map(({ byte }) => byte),
    others: bytes.filter(({ pid }) => pid !== process.pid).map(({ byte }) => byte),
  };
}

const isInTheWay = (path: string): boolean => locks(path).own.some((byte) => byte >= slot1Byte && byte < slot1Byte + 4);

async function begin(databases: number, options: object = {}) {
  const folder = temporaryFolder();
  const root = join(folder.path, "app");
  mkdirSync(root);
  const path = join(root, "0.db");
  const first = new DatabaseSync(path);
  first.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  first.close();
  for (let nth = 1; nth < databases; nth++) copyFileSync(path, join(root, `${nth}.db`));
  const application = new Application();
  await application.open("a", path);
  await application.run("a", "PRAGMA wal_autocheckpoint=0; PRAGMA busy_timeout=5000; SELECT * FROM t");
  const pair = await Pair.open(folder.path, { limits: { ...limits, ...options } });
  return {
    ...{ path, application, pair },
    /**
     * A commit that is captured and checkpointed, and a pin that was pushed from slot 0 to another when it was moved
     * after that.
     */
    async pushPinAside(): Promise<void> {
      await application.run("a", "INSERT INTO t VALUES (1)");
      await pair.settle();
      await application.run("a", "PRAGMA wal_checkpoint(PASSIVE)");
      // As a checkpoint that is about to end has it.
      const unlock = await lock(path, slot0Byte, "LOCK_EX");
      await pair.source.tick();
      await unlock();
      // A change of the folder has the list of locks asked, once that takes no time; a collection for its sake would
      // move the pin.
      await FileLocks.warm();
      expect(pair.source.isAhead()).toBe(false);
      expect(isInTheWay(path)).toBe(true);
    },
    /**
     * Until the checkpoint is over: in how many looks the writers were kept out and the pin was in the way before the
     * look, and still after it.
     */
    async looksInTheWay(
      mode: string,
    ): Promise<{ readonly before: number; readonly after: number; readonly result: unknown }> {
      let isOver = false;
      let [before, after] = [0, 0];
      const checkpoint = application.run("a", `PRAGMA wal_checkpoint(${mode})`).finally(() => (isOver = true));
      while (!isOver) {
        const isKeptOut = locks(path).others.includes(checkpointByte);
        if (isKeptOut && isInTheWay(path)) before += 1;
        if (pair.source.isAhead()) await pair.sync();
        await pair.source.tick();
        if (isKeptOut && isInTheWay(path)) after += 1;
        await Bun.sleep(1);
      }
      return { before, after, result: (await checkpoint)[0] };
    },
    async [Symbol.asyncDispose]() {
      await application.kill();
      await pair.close();
      folder[Symbol.dispose]();
    },
  };
}

for (const mode of ["RESTART", "TRUNCATE"]) {
  test.if(hasPython)(
    `a ${mode} checkpoint does not wait for a pin that another checkpoint pushed aside: the first look that finds it waiting moves the pin`,
    async () => {
      await using it = await begin(1);
      await it.pushPinAside();
      const { before, after, result } = await it.looksInTheWay(mode);
      expect(result).toMatchObject({ busy: 0 });
      expect(before).toBeGreaterThan(0);
      expect(after).toBe(0);
    },
  );

  test.if(hasPython)(
    `the same for a ${mode} checkpoint of a database in which nothing happens, among many`,
    async () => {
      await using it = await begin(8, { quietAfterMs: 50 });
      await it.pushPinAside();
      while (it.pair.source.counts().active > 0) {
        await it.pair.source.tick();
        await Bun.sleep(1);
      }
      expect(isInTheWay(it.path)).toBe(true);
      const { before, result } = await it.looksInTheWay(mode);
      expect(result).toMatchObject({ busy: 0 });
      // Quiet databases are looked at in turn, four by each tick.
      expect(before).toBeLessThanOrEqual(4);
    },
  );
}

for (const mode of ["FULL", "RESTART", "TRUNCATE"]) {
  test(`a ${mode} checkpoint gets through when looks are so rare that SQLite asks more often, as on a busy machine`, async () => {
    await using it = await begin(1);
    const { application, pair } = it;
    await application.run("a", "INSERT INTO t VALUES (1)");
    await pair.settle();
    await application.run("a", "INSERT INTO t VALUES (2)");
    let isOver = false;
    const checkpoint = application.run("a", `PRAGMA wal_checkpoint(${mode})`).finally(() => (isOver = true));
    while (!isOver) {
      await Bun.sleep(busyPollMsMax + 20);
      if (pair.source.isAhead()) await pair.sync();
      await pair.source.tick();
    }
    // Its busy timeout would be over.
    expect((await checkpoint)[0]).toMatchObject({ busy: 0 });
    await pair.settle();
    expect(pair.copyHash("0.db")).toBe((await application.image("a")).sha256);
  }, 30_000);
}

test.if(hasPython)(
  "a checkpoint that waits for a reader's slot gets it when that reader ends: no new pin takes it meanwhile, and none keeps it",
  async () => {
    await using it = await begin(1);
    const { application, pair, path } = it;
    await application.run("a", "INSERT INTO t VALUES (1)");
    await pair.settle();
    expect((await it.looksInTheWay("TRUNCATE")).result).toMatchObject({ busy: 0 });
    // Of a reader of the log that is empty now, so the slot has the mark 0 when the checkpoint finds a frame to copy.
    const unlock = await lock(path, slot1Byte, "LOCK_SH");
    await application.run("a", "INSERT INTO t VALUES (2)");
    const checkpoint = application.run("a", "PRAGMA wal_checkpoint(RESTART)");
    while (!locks(path).others.includes(checkpointByte)) await Bun.sleep(1);
    // Its busy handler asks again after 100 ms by then.
    await Bun.sleep(500);
    await unlock();
    let isOver = false;
    const settled = checkpoint.finally(() => (isOver = true));
    while (!isOver) {
      if (pair.source.isAhead()) await pair.sync();
      await pair.source.tick();
      await Bun.sleep(1);
    }
    expect((await settled)[0]).toMatchObject({ busy: 0 });
    await pair.settle();
    expect(pair.copyHash("0.db")).toBe((await application.image("a")).sha256);
  },
);

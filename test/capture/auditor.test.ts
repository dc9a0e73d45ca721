/** When the list of locks is read, by what the kernel says of the users of a database. */
import { expect, spyOn, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { databaseLockByte, FileLocks } from "../../src/capture/file-locks.ts";
import { listMs } from "../../src/capture/limits.ts";
import { loadLockHolder } from "../../src/runtime/posix-locks.ts";
import { Application, Pair, temporaryFolder } from "../support/capture/pair.ts";

const hasPython = spawnSync("python3", ["-c", "import fcntl"]).status === 0;
const canAsk = (await loadLockHolder()) !== undefined;

async function begin(folder: string) {
  mkdirSync(join(folder, "app"), { recursive: true });
  // A database without users stays open: closing it would notice the stranger too.
  const pair = await Pair.open(folder, { limits: { dormantAfterMs: Number.POSITIVE_INFINITY } });
  const application = new Application();
  const path = join(pair.root, "a.db");
  await application.open("a", path);
  await application.run("a", "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1)");
  await pair.sync();
  return { pair, application, path };
}

/** Reads of the list while audits are due for so long, and how many the interval alone explains. */
async function countReads({ source }: Pair, forMs: number): Promise<{ reads: number; explained: number }> {
  const read = spyOn(FileLocks, "now");
  try {
    const startedAt = performance.now();
    while (performance.now() - startedAt < forMs) {
      await source.tick();
      source.isAhead();
      await Bun.sleep(10);
    }
    return { reads: read.mock.calls.length, explained: Math.floor((performance.now() - startedAt) / listMs) + 1 };
  } finally {
    read.mockRestore();
  }
}

test.if(canAsk)(
  "while the process that has a database open uses its index, audits do not read the list of locks",
  async () => {
    using folder = temporaryFolder();
    const { pair, application } = await begin(folder.path);
    await using _ = application;
    await using __ = pair;
    await countReads(pair, 300);
    const { reads, explained } = await countReads(pair, 1_500);
    expect(reads).toBeLessThanOrEqual(explained);
  },
);

test.if(canAsk && hasPython)(
  "a process that has the database open, and not its index, is noticed by an audit, and answers wait",
  async () => {
    using folder = temporaryFolder();
    const { pair, application, path } = await begin(folder.path);
    await using _ = pair;
    await application.kill();
    // Until the list was read for the last change of the folder: from here on only an audit asks.
    while ((await countReads(pair, 300)).reads > 0) await pair.sync();
    expect(pair.source.isAhead()).toBe(false);
    const script =
      "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_SH, 1, int(sys.argv[2])); print('locked', flush=True); sys.stdin.read()";
    const stranger = spawn("python3", ["-c", script, path, String(databaseLockByte + 2)], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(stranger.stdout, "data");
    // Ends with the time of the test when nothing notices.
    while (!pair.source.isAhead()) {
      await pair.source.tick();
      await Bun.sleep(10);
    }
    stranger.stdin.end();
    await once(stranger, "close");
  },
);

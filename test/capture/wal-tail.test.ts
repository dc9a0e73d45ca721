/** What is taken for older content of a log, and what for commits that the index does not have. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { EventLoopBudget } from "../../src/capture/event-loop-budget.ts";
import { WalTail } from "../../src/capture/wal-tail.ts";
import { temporaryFolder } from "../support/capture/pair.ts";

const headerBytes = 32;
const frameBytes = 24 + 4096;

/** A log with one commit, and its salts. */
function begin() {
  const folder = temporaryFolder();
  const path = join(folder.path, "app.db");
  const database = new Database(path);
  database.run("PRAGMA journal_mode=WAL");
  database.run("CREATE TABLE t(v)");
  const walFd = openSync(`${path}-wal`, "r+");
  const header = readFileSync(`${path}-wal`);
  return {
    walFd,
    salt1: header.readUInt32BE(16),
    salt2: header.readUInt32BE(20),
    frames: (header.byteLength - headerBytes) / frameBytes,
    walk: (salt1: number, salt2: number) =>
      new WalTail({ walFd }, () => Date.now()).walk(
        { salt1, salt2, mxFrame: 0, checksum1: 0, checksum2: 0 },
        new EventLoopBudget(),
      ),
    [Symbol.dispose]() {
      closeSync(walFd);
      database.close();
      folder[Symbol.dispose]();
    },
  };
}

test("the generation before that of the index, which a checkpoint has reset, is older content", async () => {
  using it = begin();
  expect(await it.walk((it.salt1 + 1) >>> 0, 4711)).toEqual({ kind: "uncommitted" });
});

test("commits in the log of an index that never had frames are not older content", async () => {
  using it = begin();
  expect(await it.walk(0, 0)).toMatchObject({ kind: "committed", goesOn: false });
});

test("commits of the generation of an index without frames are not older content", async () => {
  using it = begin();
  expect(await it.walk(it.salt1, it.salt2)).toMatchObject({ kind: "committed", goesOn: false });
});

test("a write over the generation before, which no writer that uses the index makes after a reset, is found", async () => {
  using it = begin();
  const nowMs = Date.now() + 60_000; // Stamps have settled.
  const tail = new WalTail({ walFd: it.walFd }, () => nowMs);
  const at = { salt1: (it.salt1 + 1) >>> 0, salt2: 4711, mxFrame: 0, checksum1: 0, checksum2: 0 };
  expect(await tail.walk(at, new EventLoopBudget())).toEqual({ kind: "uncommitted" });
  expect(tail.isQuiet(at)).toBe(true);
  // The page of the last frame: its checksum is wrong now, and nothing is behind it.
  writeSync(it.walFd, Buffer.from("other content"), 0, 13, headerBytes + it.frames * frameBytes - 100);
  expect(tail.isQuiet(at)).toBe(false);
  expect(await tail.walk(at, new EventLoopBudget())).toEqual({ kind: "rewritten" });
});

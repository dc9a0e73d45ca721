/** What an operator is told that stops nothing. */
import { expect, test } from "bun:test";
import { closeSync, mkdirSync, openSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FileLocks } from "../../../src/capture/file-locks.ts";
import { UnlistedLogs } from "../../../src/capture/unlisted-logs.ts";
import { adviseOnWriter } from "../../../src/capture/writer-version.ts";
import { Pair } from "../../support/capture/pair.ts";
import { begin, until } from "./parts.ts";

const create = "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (0)";

test("a database in WAL mode that is open below the data folder and that no pattern matches is reported, with the processes that have it open", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder, { databases: ["app.db", "x/*.db"], except: ["x/cache.db"] });
  mkdirSync(join(it.root, "x"));
  for (const name of ["app.db", "other.sqlite", "x/cache.db", "x/y.db"]) {
    await it.application.open(name, join(it.root, name));
    await it.application.run(name, create);
  }
  await it.application.open("elsewhere", join(it.folder, "elsewhere.db"));
  await it.application.run("elsewhere", create);
  await until(async () => {
    if (pair.source.isAhead()) await pair.sync();
    await pair.source.tick();
    return pair.warnings.some((text) => text.includes("other.sqlite"));
  });
  const told = pair.warnings.filter((text) => text.includes("no pattern"));
  expect(told.length).toBe(1);
  expect(told[0]).toContain(`${it.application.pid} (python3`);
  expect(told[0]).toContain("databases_except");
}, 20_000);

test("a database that is open before it is captured, as each new one is for a moment, is not reported; one that stays so is", async () => {
  await using it = await begin();
  await it.application.open("a", it.path);
  await it.application.run("a", create);
  const warnings: string[] = [];
  const unlisted = new UnlistedLogs({
    root: it.root,
    isExcepted: () => false,
    isCaptured: () => false,
    onWarning: (text) => warnings.push(text),
  });
  const look = (captured: ReadonlySet<bigint> = new Set()): void => {
    const locks = FileLocks.now();
    if (locks !== undefined) unlisted.look(locks, captured);
  };
  look();
  look(new Set([statSync(`${it.path}-shm`, { bigint: true }).ino]));
  look();
  expect(warnings).toEqual([]);
  look();
  look();
  expect(warnings).toEqual([expect.stringMatching(/^app\.db is a database that \d+ \(python3/)]);
}, 20_000);

test("the SQLite version that wrote a database last is reported once when it has the WAL-reset bug", async () => {
  await using it = await begin();
  const advice = (version: number): string | undefined => {
    const header = Buffer.alloc(100);
    header.writeUInt32BE(version, 96);
    const path = join(it.folder, "header");
    writeFileSync(path, header);
    const fd = openSync(path, "r");
    try {
      return adviseOnWriter("app.db", fd);
    } finally {
      closeSync(fd);
    }
  };
  expect(advice(3_051_002)).toContain("app.db was written by SQLite 3.51.2: before 3.51.3");
  for (const good of [3_051_003, 3_053_000, 0, 2_000_000, 99_000_000]) expect(advice(good)).toBeUndefined();
});

test("locks of other processes are read from the kernel's list, and nothing is said about a file that this process has no lock on", () => {
  const text = [
    "1: POSIX  ADVISORY  WRITE 20 fe:00:7 120 120",
    "2: POSIX  ADVISORY  READ 10 fe:00:7 128 128",
    "3: POSIX  ADVISORY  READ 20 fe:00:7 128 128",
    "3: -> POSIX  ADVISORY  WRITE 30 fe:00:7 120 120",
    "4: POSIX  ADVISORY  READ 40 00:2a:7 128 128",
    "5: FLOCK  ADVISORY  WRITE 50 fe:00:7 0 EOF",
    "6: OFDLCK ADVISORY  WRITE -1 fe:00:7 120 120",
    "7: POSIX  ADVISORY  READ 10 fe:00:70 1073741826 1073742335",
    "8: POSIX  ADVISORY  READ 60 fe:00:70 1073741826 1073742335",
    "9: POSIX  ADVISORY  READ 70 fe:00:8 0 EOF",
  ].join("\n");
  const locks = new FileLocks(text, 10);
  expect(locks.others(7n, 120, 120, true)).toEqual(new Set([20]));
  expect(locks.others(7n, 128, 128)).toEqual(new Set([20]));
  expect(locks.others(8n, 0, 0)).toBeUndefined();
  expect(locks.usersElsewhere({ device: 0n, inode: 70n }, { device: 0n, inode: 7n })).toEqual([60]);
  expect(locks.indexUsers()).toEqual([
    { pid: 20, inode: 7n },
    { pid: 40, inode: 7n },
  ]);
});

/** One file under several names, under a name that it did not have before, or under none any more. */
import { expect, spyOn, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { FileLocks } from "../../../src/capture/file-locks.ts";
import { begin, refusal, refusedAtTheGate, until } from "./parts.ts";
import { Pair } from "../../support/capture/pair.ts";
import { PythonApplication } from "./python-application.ts";

const create = "PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (0)";

test("a database that is renamed to a name that is captured, while its connection stays open, is refused: its log stays behind", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder, { limits: { attachWaitMsMax: 1500 } });
  await it.application.open("a", join(it.root, "app.tmp"));
  await it.application.run("a", create);
  renameSync(join(it.root, "app.tmp"), it.path);
  await it.application.run("a", "INSERT INTO t VALUES (1)");
  const error = await refusedAtTheGate(pair);
  expect([error.kind, error.database]).toEqual(["uncoordinated", "app.db"]);
  expect(error.found).toContain(`${it.application.pid} (python3`);
  expect(error.found).toContain("app.tmp-wal");
});

for (const query of ["?vfs=unix-none", "?vfs=unix-dotfile"])
  test(`a rename under an open connection without locks is refused too (${query})`, async () => {
    await using it = await begin();
    await using pair = await Pair.open(it.folder, { limits: { attachWaitMsMax: 1500 } });
    await it.application.open("a", join(it.root, "app.tmp"), query);
    await it.application.run("a", `PRAGMA locking_mode=EXCLUSIVE; ${create}`);
    renameSync(join(it.root, "app.tmp"), it.path);
    const error = await refusedAtTheGate(pair);
    expect([error.kind, error.database]).toEqual(["uncoordinated", "app.db"]);
    expect(error.found).toContain(`${it.application.pid} (python3`);
    expect(error.found).toContain("app.tmp-wal");
  });

test("a file that is renamed over that of another connection of the same process is refused: its log belongs to no file", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder, { limits: { attachWaitMsMax: 1500 } });
  await it.application.open("over", it.path);
  await it.application.run("over", create);
  await it.application.open("moved", join(it.root, "moved.db"));
  await it.application.run("moved", create);
  renameSync(join(it.root, "moved.db"), it.path);
  // Each in a log of its own, and both look right to the kernel: the process locks the file, and the index beside it.
  for (const connection of ["over", "moved"]) await it.application.run(connection, "INSERT INTO t VALUES (1)");
  const error = await refusedAtTheGate(pair);
  expect([error.kind, error.database]).toEqual(["replaced", "moved.db"]);
  expect(error.found).toContain(`${it.application.pid} (python3`);
});

test("a file that comes to the name of a log without one is held for its own reason, not released with the log", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder, { limits: { attachWaitMsMax: 60_000 } });
  const moved = join(it.root, "moved.db");
  await it.application.open("over", it.path);
  await it.application.run("over", create);
  await it.application.open("moved", moved);
  await it.application.run("moved", create);
  renameSync(moved, it.path);
  const held = () => pair.source.uncaptured().map(({ name, reason }) => `${name}, ${reason}`);
  while (!held().some((one) => one.startsWith("moved.db"))) {
    expect(pair.source.isAhead()).toBe(true);
    await pair.source.collect();
  }
  writeFileSync(moved, readFileSync(it.path).subarray(0, 100));
  for (let look = 0; look < 3; look++) {
    expect(pair.source.isAhead()).toBe(true);
    await pair.source.collect();
    expect(held()).toEqual([expect.stringContaining("a file that was just written")]);
  }
});

test("a log that a connection to a deleted file has left at a captured name holds nothing up", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder, { limits: { attachWaitMsMax: 1500 } });
  await it.application.open("a", join(it.root, "gone.db"));
  await it.application.run("a", create);
  unlinkSync(join(it.root, "gone.db"));
  await pair.settle();
  expect([pair.source.uncaptured(), readdirSync(it.root)]).toEqual([[], expect.arrayContaining(["gone.db-wal"])]);
});

test("a rename under an open connection is refused even when the list of locks lacks that connection, as a long list may", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder, { limits: { attachWaitMsMax: 1500 } });
  await it.application.open("a", join(it.root, "app.tmp"));
  await it.application.run("a", create);
  const without = (): FileLocks =>
    new FileLocks(
      readFileSync("/proc/locks", "latin1")
        .split("\n")
        .filter((line) => !line.includes(` ${it.application.pid} `))
        .join("\n"),
      process.pid,
    );
  using now = spyOn(FileLocks, "now").mockImplementation(without);
  using read = spyOn(FileLocks, "read").mockImplementation(() => Promise.resolve(without()));
  renameSync(join(it.root, "app.tmp"), it.path);
  const error = await refusedAtTheGate(pair);
  expect([error.kind, error.database]).toEqual(["uncoordinated", "app.db"]);
  expect(now.mock.calls.length + read.mock.calls.length).toBeGreaterThan(0);
});

test("a connection by another name of the file that is gone before the next look is found by the log that it keeps elsewhere", async () => {
  await using it = await begin();
  await it.application.open("a", it.path);
  await it.application.run("a", create);
  await using pair = await Pair.open(it.folder);
  const alias = join(it.folder, "alias.sqlite");
  linkSync(it.path, alias);
  await using other = new PythonApplication();
  await other.open("b", alias);
  await other.run("b", "SELECT * FROM sqlite_schema");
  unlinkSync(alias);
  // As with one file that is mounted into a container under another name: the link count does not tell.
  const error = await refusal(async () => {
    for (;;) {
      await pair.source.tick();
      if (pair.source.isAhead()) await pair.sync();
      await sleep(5);
    }
  });
  expect([error.kind, error.database]).toEqual(["uncoordinated", "app.db"]);
  expect(error.found).toContain("alias.sqlite-wal");
});

test("a database that was closed before it is renamed to a captured name is captured whole", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder);
  await it.application.open("a", join(it.root, "app.tmp"));
  await it.application.run("a", create);
  await it.application.close("a");
  renameSync(join(it.root, "app.tmp"), it.path);
  expect(pair.source.isAhead()).toBe(true);
  await pair.settle();
  await it.application.open("b", it.path);
  await it.application.run("b", "INSERT INTO t VALUES (1)");
  expect(await pair.sync()).toBe(1);
});

for (const when of ["at the start", "later"]) {
  test(`a file with a second name that no pattern matches is refused ${when}, with both names`, async () => {
    await using it = await begin();
    await it.application.open("a", join(it.root, "real.data"));
    await it.application.run("a", create);
    if (when === "at the start") {
      linkSync(join(it.root, "real.data"), it.path);
      const error = await refusal(() => Pair.open(it.folder));
      expect([error.kind, error.database]).toEqual(["linked", "app.db"]);
      expect(error.message).toContain("real.data");
      return;
    }
    await using pair = await Pair.open(it.folder, { limits: { attachWaitMsMax: 300 } });
    linkSync(join(it.root, "real.data"), it.path);
    const error = await refusedAtTheGate(pair);
    expect([error.kind, error.database]).toEqual(["linked", "app.db"]);
    expect(error.message).toContain("real.data");
  });
}

test("a second name for a captured file, in whichever folder, is noticed at once", async () => {
  await using it = await begin();
  await it.application.open("a", it.path);
  await it.application.run("a", create);
  await using pair = await Pair.open(it.folder);
  expect(pair.source.isAhead()).toBe(false);
  const other = join(it.folder, "elsewhere");
  mkdirSync(other);
  linkSync(it.path, join(other, "alias.sqlite"));
  const error = await refusedAtTheGate(pair);
  expect([error.kind, error.database]).toEqual(["linked", "app.db"]);
});

test("commits into databases whose files the application deleted while it had them open are refused", async () => {
  await using it = await begin();
  await it.application.open("a", it.path);
  await it.application.run("a", create);
  await using pair = await Pair.open(it.folder);
  for (const entry of readdirSync(it.root)) unlinkSync(join(it.root, entry));
  await it.application.run("a", "INSERT INTO t VALUES (1)");
  const error = await refusedAtTheGate(pair);
  expect([error.kind, error.database]).toEqual(["replaced", "app.db"]);
  expect(error.found).toContain(`${it.application.pid} (python3`);
});

test("a deleted database is watched for as long as a process has it open, and no longer", async () => {
  await using it = await begin();
  await it.application.open("a", it.path);
  await it.application.run("a", create);
  await using pair = await Pair.open(it.folder);
  spawnSync("sh", ["-c", `rm ${it.root}/*`]);
  expect(pair.source.isAhead()).toBe(true);
  while (pair.source.isAhead()) await pair.sync();
  await pair.source.tick();
  expect([...pair.replica.checksums().keys()]).toEqual([]);
  await it.application.run("a", "INSERT INTO t VALUES (1)");
  expect((await refusedAtTheGate(pair)).found).toContain("already deleted");
});

test("a connection that outlives its deleted database and does not write holds nothing up", async () => {
  await using it = await begin();
  await it.application.open("a", it.path);
  await it.application.run("a", create);
  await using pair = await Pair.open(it.folder);
  spawnSync("sh", ["-c", `rm ${it.root}/*`]);
  while (pair.source.isAhead()) await pair.sync();
  await it.application.close("a");
  await until(async () => {
    await pair.source.tick();
    return !readdirSync(`/proc/${process.pid}/fd`).some((fd) => linkOf(fd).includes(`${it.path} (deleted)`));
  });
  await it.application.open("b", it.path);
  await it.application.run("b", create);
  await pair.sync();
  expect([...pair.replica.checksums().keys()]).toEqual(["app.db"]);
});

function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/${process.pid}/fd/${fd}`);
  } catch {
    return "";
  }
}

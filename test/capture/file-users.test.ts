/** Which processes are said to have a database open, by what the kernel and its list of locks tell. */
import { expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { databaseLockByte, FileLocks } from "../../src/capture/file-locks.ts";
import { usersElsewhere, usersOf } from "../../src/capture/file-users.ts";
import { loadLockHolder } from "../../src/runtime/posix-locks.ts";
import { temporaryFolder } from "../support/capture/pair.ts";

const hasPython = spawnSync("python3", ["-c", "import fcntl"]).status === 0;

/**
 * A database and its index that another process has a lock on: of the database alone, as with its log beside another
 * name.
 */
async function begin() {
  await loadLockHolder();
  const folder = temporaryFolder();
  const [database, index] = ["a.db", "a.db-shm"].map((name) => join(folder.path, name)) as [string, string];
  for (const path of [database, index]) writeFileSync(path, "");
  const script =
    "import fcntl, sys; f = open(sys.argv[1], 'r+b'); fcntl.lockf(f, fcntl.LOCK_SH, 1, int(sys.argv[2])); print('locked', flush=True); sys.stdin.read()";
  const child = spawn("python3", ["-c", script, database, String(databaseLockByte + 2)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  await once(child.stdout, "data");
  const files = { dbFd: openSync(database, "r+"), shmFd: openSync(index, "r+") };
  return {
    ...{ pid: child.pid ?? 0, files },
    async [Symbol.asyncDispose]() {
      closeSync(files.dbFd);
      closeSync(files.shmFd);
      child.stdin.end();
      await once(child, "close");
      folder[Symbol.dispose]();
    },
  };
}

test.if(hasPython)("a process that the list of locks does not name is found by testing for its lock", async () => {
  await using it = await begin();
  expect(usersOf(it.files, () => new FileLocks("", process.pid))).toEqual([it.pid]);
});

test.if(hasPython)(
  "where the list of locks is that of another namespace, no process is accused of another log",
  async () => {
    await using it = await begin();
    expect(usersElsewhere(it.files, () => new FileLocks("", process.pid))).toEqual([]);
  },
);

test.if(hasPython)("where there is no list of locks, no process is accused of another log", async () => {
  await using it = await begin();
  expect(usersElsewhere(it.files, () => undefined)).toEqual([]);
});

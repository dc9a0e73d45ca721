import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { WalIndexReader, walIndexBytes } from "../../src/capture/wal-index.ts";
import { temporaryFolder } from "../support/capture/pair.ts";

test("a look at a header that has not changed gives the same object, and one that is torn is torn each time", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "app.db");
  const database = new DatabaseSync(path);
  database.exec("PRAGMA journal_mode=WAL; CREATE TABLE t(v); INSERT INTO t VALUES (1)");
  const whole = readFileSync(`${path}-shm`).subarray(0, walIndexBytes);
  database.close();
  const shmFd = openSync(join(folder.path, "index"), "w+");
  const put = (bytes: Uint8Array): number => writeSync(shmFd, bytes, 0, bytes.length, 0);
  try {
    const reader = new WalIndexReader({ shmFd });
    const kinds = (): string[] => [reader.look().kind, reader.look().kind];
    put(new Uint8Array(walIndexBytes));
    expect(kinds()).toEqual(["torn", "torn"]);
    put(whole);
    const first = reader.look();
    expect(first.kind).toBe("index");
    expect(reader.look()).toBe(first);
    const torn = new Uint8Array(whole);
    torn[16] = (torn[16] ?? 0) ^ 1;
    put(torn);
    expect(kinds()).toEqual(["torn", "torn"]);
    put(whole);
    expect(reader.look()).toEqual(first);
  } finally {
    closeSync(shmFd);
  }
});

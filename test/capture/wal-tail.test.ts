/** What the first look at a log takes for older content, and what for commits that the index does not have. */
import { Database } from "bun:sqlite";
import { expect, test } from "bun:test";
import { closeSync, openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Slice } from "../../src/capture/slice.ts";
import { WalTail } from "../../src/capture/wal-tail.ts";
import { temporaryFolder } from "../support/capture/pair.ts";

/** A log with one commit, and its salts. */
function begin() {
  const folder = temporaryFolder();
  const path = join(folder.path, "app.db");
  const database = new Database(path);
  database.run("PRAGMA journal_mode=WAL");
  database.run("CREATE TABLE t(v)");
  const walFd = openSync(`${path}-wal`, "r");
  const header = readFileSync(`${path}-wal`);
  return {
    salt1: header.readUInt32BE(16),
    salt2: header.readUInt32BE(20),
    walk: (salt1: number, salt2: number) =>
      new WalTail({ walFd }, () => Date.now()).walk(
        { salt1, salt2, mxFrame: 0, checksum1: 0, checksum2: 0 },
        new Slice(),
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

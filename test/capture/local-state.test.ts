import { expect, test } from "bun:test";
import { mkdirSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { localDatabases, verifyLocalState } from "../../src/capture/local-state.ts";
import { Application, Pair, temporaryFolder } from "../support/capture/pair.ts";

/** Databases as their processes left them when they were killed. */
async function leftBy(sql: string, rest: string, folder: string) {
  mkdirSync(join(folder, "app"));
  const path = join(folder, "app", "app.db");
  await using application = new Application();
  await application.open("a", path);
  await application.run(
    "a",
    "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; PRAGMA cache_size=5; CREATE TABLE t(id INTEGER PRIMARY KEY, v)",
  );
  const pair = await Pair.open(folder);
  if (sql !== "") await application.run("a", sql);
  await pair.sync();
  const checksum = pair.source.checksums().get("app.db");
  if (rest !== "") await application.run("a", rest);
  await application.kill();
  await pair.source.close({ fold: false });
  await pair.replica.close();
  return { path, checksum, copy: join(pair.copy, "app.db") };
}

const cases: Record<string, [string, string]> = {
  "only the log has it": ["INSERT INTO t(v) VALUES (randomblob(50000))", ""],
  "the log is backfilled halfway or whole": [
    "INSERT INTO t(v) VALUES (randomblob(50000)); PRAGMA wal_checkpoint(PASSIVE); INSERT INTO t(v) VALUES (randomblob(9000))",
    "",
  ],
  "it shrank": ["INSERT INTO t(v) VALUES (randomblob(50000)); DELETE FROM t; VACUUM", ""],
  "an open transaction was spilled into the log": [
    "INSERT INTO t(v) VALUES (randomblob(5000))",
    "BEGIN; INSERT INTO t(v) VALUES (randomblob(500000))",
  ],
};

for (const [what, [sql, rest]] of Object.entries(cases)) {
  test(`the committed state is found without SQLite when ${what}`, async () => {
    using folder = temporaryFolder();
    const { path, checksum, copy } = await leftBy(sql, rest, folder.path);
    const state = await verifyLocalState(path);
    expect(state.kind === "state" ? state.checksum : state).toEqual(checksum ?? new Uint8Array());
    const same = await verifyLocalState(copy);
    expect(same.kind === "state" ? same.checksum : same).toEqual(checksum ?? new Uint8Array());
  });
}

test("a commit that the journal does not have makes another checksum", async () => {
  using folder = temporaryFolder();
  const { path, checksum } = await leftBy("INSERT INTO t(v) VALUES (1)", "INSERT INTO t(v) VALUES (2)", folder.path);
  expect(await localDatabases(["*.db"]).committedChecksum(path)).not.toEqual(checksum);
});

test("a log that was cut off in the middle of a transaction counts up to the commit before", async () => {
  using folder = temporaryFolder();
  const { path } = await leftBy(
    "INSERT INTO t(v) VALUES (1)",
    "INSERT INTO t(v) VALUES (randomblob(50000))",
    folder.path,
  );
  const whole = await verifyLocalState(path);
  truncateSync(`${path}-wal`, 32 + 4 * 4120);
  const cut = await verifyLocalState(path);
  expect(cut.kind).toBe("state");
  expect(cut).not.toEqual(whole);
  // SQLite's own recovery agrees.
  await using application = new Application();
  await application.open("b", path);
  expect(await application.run("b", "SELECT count(*) AS n FROM t")).toEqual([{ n: 1 }]);
});

test("what cannot be proved says so, and what is not there is absent", async () => {
  using folder = temporaryFolder();
  const at = (name: string): string => join(folder.path, name);
  expect(await verifyLocalState(at("none.db"))).toEqual({ kind: "absent" });
  writeFileSync(at("empty.db"), "");
  expect(await verifyLocalState(at("empty.db"))).toEqual({ kind: "absent" });
  writeFileSync(at("junk.db"), Buffer.alloc(4096, 7));
  expect((await verifyLocalState(at("junk.db"))).kind).toBe("unknown");
  writeFileSync(at("junk.db-journal"), "x");
  expect((await verifyLocalState(at("junk.db"))).kind).toBe("unknown");
  expect(await localDatabases(["*.db"]).committedChecksum(at("junk.db"))).toBeUndefined();
});

test("local databases are found by the service's patterns", async () => {
  using folder = temporaryFolder();
  mkdirSync(join(folder.path, "tenants"));
  for (const name of ["app.db", "app.db-wal", "app.db-shm", "other.txt", "tenants/a.db", "tenants/b.db-journal"])
    writeFileSync(join(folder.path, name), "x");
  const databases = localDatabases(["app.db", "tenants/*.db", "tenants/*.db*"]);
  expect(await databases.find(folder.path)).toEqual(["app.db", "tenants/a.db"]);
  expect(await databases.find(join(folder.path, "missing"))).toEqual([]);
});

/** A file that begins as a database does, with these numbers in its header (fileformat.html, section 1.3). */
function headed(path: string, fields: Readonly<Record<number, [bytes: 2 | 4, value: number]>>): void {
  const content = Buffer.alloc(4 * 4096);
  content.write("SQLite format 3\0", "latin1");
  for (const [at, [bytes, value]] of Object.entries(fields)) content.writeUIntBE(value, Number(at), bytes);
  writeFileSync(path, content);
}

test("a page size that SQLite does not have is that of no database", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.db");
  for (const pageSize of [0, 256, 3000]) {
    headed(path, { 16: [2, pageSize] });
    expect(await verifyLocalState(path)).toMatchObject({ kind: "unknown" });
  }
});

test("the header's page count counts if it was written together with the file, and is not 0", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.db");
  const pageCount = async (changed: number, written: number, count: number): Promise<unknown> => {
    headed(path, { 16: [2, 4096], 24: [4, changed], 92: [4, written], 28: [4, count] });
    const state = await verifyLocalState(path);
    return state.kind === "state" ? state.pageCount : state;
  };
  expect(await pageCount(7, 7, 2)).toBe(2);
  expect(await pageCount(7, 6, 2)).toBe(4);
  expect(await pageCount(7, 7, 0)).toBe(4);
});

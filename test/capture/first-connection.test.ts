/** A switch to WAL beside writers that take locks, and beside one that does not. */
import { afterEach, beforeEach, expect, spyOn, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { CaptureError } from "../../src/capture/capture-error.ts";
import { pathOf } from "../../src/capture/data-path.ts";
import { identityAt } from "../../src/capture/file-identity.ts";
import { FirstConnection } from "../../src/capture/first-connection.ts";
import { SwitchedContent } from "../../src/capture/switched-content.ts";
import { temporaryFolder, Pair } from "../support/capture/pair.ts";
import { begin } from "./usage/parts.ts";

let folder: ReturnType<typeof temporaryFolder>;
let path: string;
beforeEach(() => {
  folder = temporaryFolder();
  path = join(folder.path, "app.db");
  run("PRAGMA page_size=1024; CREATE TABLE t(v); INSERT INTO t VALUES (randomblob(3000))");
});
afterEach(() => folder[Symbol.dispose]());

/** Another process commits, and ends. */
function run(sql: string, query = ""): void {
  const script = `import sqlite3; c = sqlite3.connect("file:${path}${query}", uri=True, isolation_level=None); c.executescript("${sql}")`;
  expect(spawnSync("python3", ["-c", script], { encoding: "utf8" }).stderr).toBe("");
}

/** `meanwhile`: right before the switch. */
function tryOpen(meanwhile: () => void): FirstConnection | undefined {
  const file = pathOf(folder.path, "app.db");
  const identity = identityAt(file);
  if (identity === undefined) throw new Error("there is no file");
  const isUnchanged = (): boolean => {
    meanwhile();
    return true;
  };
  return FirstConnection.tryOpen("app.db", file, { identity, isUnchanged });
}

/** As if SQLite had read page 1 for the switch before, and written it after. */
function loseFirstPage(work: () => void): void {
  const page = readFileSync(path).subarray(0, 1024);
  work();
  const fd = openSync(path, "r+");
  writeSync(fd, page, 0, page.length, 0);
  closeSync(fd);
}

for (const sql of ["INSERT INTO t VALUES (randomblob(9000))", "UPDATE t SET v=zeroblob(3000)", "CREATE TABLE u(v)"]) {
  test(`a commit without locks that the switch destroys is seen: ${sql.slice(0, 12)}`, () => {
    let found: unknown;
    try {
      tryOpen(() => loseFirstPage(() => run(sql, "?nolock=1")));
    } catch (error) {
      found = error;
    }
    expect(found).toBeInstanceOf(CaptureError);
    expect((found as CaptureError).kind).toBe("continuity");
    expect((found as CaptureError).message).toContain("takes no locks");
  });
}

for (const [what, meanwhile] of [
  ["nothing", () => undefined],
  ["a commit with locks", () => run("INSERT INTO t VALUES (1)")],
  ["a commit without locks whose page 1 the switch reads", () => run("INSERT INTO t VALUES (1)", "?nolock=1")],
  ["three commits with locks", () => run("INSERT INTO t VALUES (1); DELETE FROM t; VACUUM")],
] as const)
  test(`a switch after ${what} is no reason to refuse`, () => {
    const opened = tryOpen(meanwhile);
    expect(opened?.switched).toBeDefined();
    opened?.connection.close();
    for (const fd of opened?.own ?? []) closeSync(fd);
  });

test("such a commit ends the capture: a second look would find a database in WAL mode", async () => {
  await using it = await begin();
  await using pair = await Pair.open(it.folder);
  const lost = spyOn(SwitchedContent.prototype, "hasLostPage").mockReturnValue(true);
  try {
    await it.application.open("a", it.path);
    await it.application.run("a", "CREATE TABLE t(v)");
    await expect(pair.settle()).rejects.toThrow("takes no locks");
  } finally {
    lost.mockRestore();
  }
  expect(() => pair.source.isAhead()).toThrow("takes no locks");
});

/**
 * A database that cannot be captured, excluded by an operator: what waits is released, and the next primary does not
 * meet it again.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { Scene } from "./scene.ts";

setDefaultTimeout(120_000);

let scene: Scene | undefined;
afterEach(async () => {
  await scene?.close();
  scene = undefined;
});

const openApp =
  'app = sqlite3.connect(data + "/app.db", isolation_level=None); app.execute("PRAGMA journal_mode=WAL"); app.execute("CREATE TABLE IF NOT EXISTS t(v)")';
/** What an encrypted database looks like from outside. */
const makeSealed =
  'open(data + "/sealed.db", "wb").write(b"no header of SQLite, " * 20); open(data + "/sealed.db-wal", "wb").write(b"x")';
const insert = (value: number): string => `app.execute("INSERT INTO t VALUES (${value})")`;
const read = 'result = [row[0] for row in app.execute("SELECT v FROM t ORDER BY v")]';

test("requests that wait for it are answered when it is excluded, every later primary leaves it out, and the act is an event", async () => {
  scene = await Scene.open({ host: 'uncaptured_patience = "60s"', atStart: `${openApp}; ${makeSealed}` });
  const here = scene;
  const waiting = here.must(insert(1));
  await here.until("it to be held", async () => (await here.stead("databases")).stdout.includes("held"));
  const listed = await here.stead("databases");
  expect(listed.stdout).toMatch(/sealed\.db +held/);
  // The advice is wrapped to the width of the table.
  expect(listed.stdout.replace(/\s+/g, " ")).toContain("stead databases exclude sealed.db");
  const excluded = await here.stead("databases", "exclude", "sealed.db");
  expect([excluded.stderr, excluded.code]).toEqual(["", 0]);
  expect(excluded.stdout).toMatch(/sealed\.db +excluded/);
  await waiting;
  expect((await here.events()).find(({ what }) => what === "database-excluded")?.detail).toContain("sealed.db");

  // The application of the next primary makes the same file again.
  await here.killPrimary();
  await here.must(insert(2));
  expect(await here.must(read)).toEqual([1, 2]);
  expect((await here.stead("databases")).stdout).toMatch(/sealed\.db +excluded/);
  const status = await here.cluster.statusOf(await here.primary());
  expect(status?.warnings.join()).toContain("sealed.db: excluded by an operator");

  // Included again, it holds answers as before.
  expect((await here.stead("databases", "include", "sealed.db")).code).toBe(0);
  await here.until("it to be held again", async () => /sealed\.db +held/.test((await here.stead("databases")).stdout));
  expect((await here.stead("databases", "exclude", "sealed.db")).code).toBe(0);
  await here.must(insert(3));
});

test("a database that is captured is excluded only with --force, and then its history stays in the vault", async () => {
  scene = await Scene.open({ atStart: openApp });
  await scene.must(insert(1));
  const refused = await scene.stead("databases", "exclude", "app.db");
  expect([refused.code, refused.stderr]).toEqual([5, expect.stringContaining("app.db is captured")]);
  expect((await scene.stead("databases", "exclude", "app.db", "--force")).code).toBe(0);
  await scene.must(insert(2));
  const before = await scene.killPrimary();
  // Not captured: the next primary's application begins with none.
  expect(await scene.must(read)).toEqual([]);
  await scene.cluster.start(before);
  await scene.cluster.whenWhole(30_000, new AbortController().signal);
});

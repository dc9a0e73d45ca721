/** The same usage in several languages and libraries, under real hosts whose primary is killed with its group: nothing that was acknowledged is missing. */
import { Database } from "bun:sqlite";
import { afterEach, describe, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Action, betterSqlite, bun, type Engine, libsql, nodeSqlite, python, turso } from "./engine-actions.ts";
import { Scene } from "./scene.ts";

setDefaultTimeout(120_000);

let scene: Scene | undefined;
afterEach(async () => {
  await scene?.close();
  scene = undefined;
});

const engines: readonly Engine[] = [python, nodeSqlite, betterSqlite, bun, libsql, turso];
const create: Action = { exec: "CREATE TABLE IF NOT EXISTS t(v)" };
const wal: Action = { exec: "PRAGMA journal_mode=WAL" };
const insert = (value: number): Action => ({ exec: `INSERT INTO t VALUES (${value})` });

const begin = (engine: Engine): Promise<Scene> => Scene.open({ host: 'uncaptured_patience = "2s"', ...(engine.command === undefined ? {} : { command: engine.command }) });

/** Inserts 1 to 6, one for each request; which were acknowledged, and what the others got. */
async function insertAll(here: Scene, engine: Engine) {
  const acknowledged: number[] = [];
  const refused: number[] = [];
  for (let value = 1; value <= 6; value++) {
    const { status } = await here.run(engine.code([insert(value)]));
    if (status === 200) acknowledged.push(value);
    else refused.push(status);
  }
  return { acknowledged, refused };
}

/** What is in `app.db` of the primary that comes after this one was killed. */
async function afterKill(here: Scene): Promise<readonly unknown[]> {
  await here.killPrimary();
  const path = join((await here.primary()).folder, "data", "app.db");
  if (!existsSync(path)) return [];
  const database = new Database(path, { readonly: true });
  try {
    const [check] = database.query<{ integrity_check: string }, []>("PRAGMA integrity_check").all();
    if (check?.integrity_check !== "ok") throw new Error(check?.integrity_check);
    const hasTable = database.query("SELECT 1 FROM sqlite_master WHERE name='t'").all().length > 0;
    return hasTable ? database.query<{ v: number }, []>("SELECT v FROM t").all().map(({ v }) => v) : [];
  } finally {
    database.close();
  }
}

for (const engine of engines) {
  if (engine.missing !== undefined) console.log(`skipped, usage with ${engine.name}: ${engine.missing}`);
  describe.skipIf(engine.missing !== undefined)(engine.name, () => {
    // The rest of what applications do it does as SQLite does, or not at all.
    if (engine === turso) {
      test("multiprocess_wal: what is written is refused or there", async () => {
        const here = (scene = await begin(engine));
        await here.run(engine.code([{ open: "app.db" }, create]));
        const { acknowledged, refused } = await insertAll(here, engine);
        expect(refused.length).toBeGreaterThan(0);
        expect(await afterKill(here)).toEqual(expect.arrayContaining(acknowledged));
      });
      return;
    }

    test("commits, and a copy by VACUUM INTO that is renamed over the one before, are there after a kill", async () => {
      const here = (scene = await begin(engine));
      await here.must(engine.code([{ open: "app.db" }, wal, create]));
      const { acknowledged, refused } = await insertAll(here, engine);
      expect(refused).toEqual([]);
      const folder = join((await here.primary()).folder, "data");
      for (let night = 0; night < 2; night++) await here.must(engine.code([{ exec: `VACUUM INTO '${folder}/night.tmp'` }, { rename: ["night.tmp", "night.db"] }]));
      expect(await afterKill(here)).toEqual(acknowledged);
      expect(existsSync(join((await here.primary()).folder, "data", "night.db"))).toBe(true);
    });

    test("a database that is renamed to a matching name while it is open: what is written then is refused or there", async () => {
      const here = (scene = await begin(engine));
      await here.must(engine.code([{ open: "app.tmp" }, wal, create]));
      await here.run(engine.code([{ rename: ["app.tmp", "app.db"] }]));
      const { acknowledged, refused } = await insertAll(here, engine);
      expect(refused.length).toBeGreaterThan(0);
      expect(await afterKill(here)).toEqual(expect.arrayContaining(acknowledged));
    });

    test("databases that are deleted while they are open take no acknowledged write with them", async () => {
      const here = (scene = await begin(engine));
      await here.must(engine.code([{ open: "app.db" }, wal, create]));
      await here.run(engine.code([{ clear: true }]));
      const { acknowledged } = await insertAll(here, engine);
      expect(await afterKill(here)).toEqual(expect.arrayContaining(acknowledged));
    });

    for (const query of engine.takesUris ? ["?vfs=unix-none", "?vfs=unix-dotfile", "?nolock=1"] : []) {
      test(`exclusive mode with ${query}: what is written is refused or there`, async () => {
        const here = (scene = await begin(engine));
        await here.run(engine.code([{ open: "app.db", query }, { exec: "PRAGMA locking_mode=EXCLUSIVE" }, wal, create]));
        const { acknowledged, refused } = await insertAll(here, engine);
        expect(refused.length).toBeGreaterThan(0);
        expect(await afterKill(here)).toEqual(expect.arrayContaining(acknowledged));
      });
    }
  });
}

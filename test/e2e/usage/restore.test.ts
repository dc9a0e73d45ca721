/**
 * What applications do with whole database files at run time, under real hosts: no failover for it, and nothing missing
 * after the next one.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { Scene } from "./scene.ts";

setDefaultTimeout(120_000);

let scene: Scene | undefined;
afterEach(async () => {
  await scene?.close();
  scene = undefined;
});

const open =
  'app = sqlite3.connect(data + "/app.db", isolation_level=None); app.execute("PRAGMA journal_mode=WAL"); app.execute("CREATE TABLE IF NOT EXISTS t(v)")';
const insert = (value: number): string => `app.execute("INSERT INTO t VALUES (${value})")`;
const read = 'result = [row[0] for row in app.execute("SELECT v FROM t ORDER BY v")]';
const night =
  'app.execute("VACUUM INTO ?", (data + "/backup.tmp",)); os.replace(data + "/backup.tmp", data + "/backup.db")';
const readBackup =
  'backup = sqlite3.connect(data + "/backup.db"); result = [row[0] for row in backup.execute("SELECT v FROM t ORDER BY v")]; backup.close()';

const epoch = async (here: Scene): Promise<number | undefined> =>
  (await here.cluster.statusOf(await here.primary()))?.epoch;

test("an application restores a backup: it closes, renames its files away, renames others in, and begins again", async () => {
  const here = (scene = await Scene.open({ atStart: open }));
  await here.must(insert(1));
  await here.must('app.execute("VACUUM INTO ?", (data + "/kept.bak",))');
  await here.must(insert(2));
  const before = await epoch(here);
  const rename =
    'app.close(); [os.rename(data + "/app.db" + s, data + "/old" + s) for s in ["", "-wal", "-shm"] if os.path.exists(data + "/app.db" + s)]; os.rename(data + "/kept.bak", data + "/app.db")';
  await here.must(`${rename}; ${open}; ${insert(3)}; ${read}`);
  expect(await here.must(read)).toEqual([1, 3]);
  expect(await epoch(here)).toBe(before);
  await here.killPrimary();
  expect(await here.must(read)).toEqual([1, 3]);
});

test("a nightly job writes a copy with VACUUM INTO and renames it over the one of the night before", async () => {
  const here = (scene = await Scene.open({ atStart: open }));
  const before = await epoch(here);
  for (let value = 1; value <= 4; value++) {
    await here.must(insert(value));
    await here.must(night);
  }
  expect([await epoch(here), await here.must(readBackup)]).toEqual([before, [1, 2, 3, 4]]);
  await here.killPrimary();
  expect([await here.must(read), await here.must(readBackup)]).toEqual([
    [1, 2, 3, 4],
    [1, 2, 3, 4],
  ]);
});

test("a hard link for the time of a backup lets answers wait, and no more", async () => {
  const here = (scene = await Scene.open({ atStart: open }));
  await here.must(insert(1));
  const before = await epoch(here);
  // The application removes it in a later request than the one that waits.
  const waiting = here.must(`os.link(data + "/app.db", data + "/copy.bak"); ${insert(2)}`);
  await here.until("it to be held", async () => (await here.stead("databases")).stdout.includes("held"));
  const removing = here.must('os.remove(data + "/copy.bak")');
  await Promise.all([waiting, removing]);
  expect([await epoch(here), await here.must(read)]).toEqual([before, [1, 2]]);
});

test("databases that are made, used and deleted in quick succession end nothing", async () => {
  const here = (scene = await Scene.open({ atStart: open }));
  const before = await epoch(here);
  const quick =
    'q = sqlite3.connect(data + f"/quick-{i % 3}.db"); q.execute("PRAGMA journal_mode=WAL"); q.execute("CREATE TABLE t(v)"); q.execute("INSERT INTO t VALUES (1)"); q.commit(); q.close()';
  // This host removes what is left of a log as well.
  const remove =
    'for s in ["", "-wal", "-shm"]:\n    try: os.remove(data + f"/quick-{i % 3}.db" + s)\n    except FileNotFoundError: pass';
  for (let round = 0; round < 5; round++) {
    await here.must(`for i in range(20):\n  ${quick}\n  ${remove}\n${insert(round)}`);
  }
  expect([await epoch(here), await here.must(read)]).toEqual([before, [0, 1, 2, 3, 4]]);
  await here.killPrimary();
  expect(await here.must(read)).toEqual([0, 1, 2, 3, 4]);
});

/** A damaged database is not taken over as the first content of a vault, unless an operator says so. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { HostMember } from "../../../harness/cluster.ts";
import { selfCommand } from "../../../src/runtime/self-command.ts";
import { Scene } from "./scene.ts";

setDefaultTimeout(60_000);

let scene: Scene | undefined;
afterEach(async () => {
  await scene?.close();
  scene = undefined;
});

test("a corrupt page is refused with what was found; --accept-damaged takes the database as it is, with a warning", async () => {
  scene = await Scene.prepare({ hosts: 1 });
  const here = scene;
  const [host] = here.cluster.hosts as readonly [HostMember];
  const path = join(host.folder, "data", "app.db");
  const database = new DatabaseSync(path);
  database.exec("CREATE TABLE t (x); INSERT INTO t VALUES (1); CREATE TABLE u (x); INSERT INTO u VALUES (2)");
  database.close();
  const bytes = readFileSync(path);
  bytes.fill(0xff, bytes.length - 4096); // The page of u.
  writeFileSync(path, bytes);

  const started = await here.cluster.start(host);
  await here.until("the refusal", async () => (await here.cluster.statusOf(host))?.role === "failed");
  const reason = (await here.cluster.statusOf(host))?.reason;
  expect(reason).toMatch(
    /not accepted as the first content of the vault: app\.db is damaged: database disk image is malformed/,
  );
  expect(reason).toContain("--accept-damaged");
  expect(readFileSync(path)).toEqual(bytes);
  started.signal("SIGKILL");
  await started.ended;

  host.process = await here.bench.keeper.start(
    [...selfCommand(), "host", "--accept-damaged", host.configFile],
    host.folder,
    host.logFile,
  );
  for (const gateway of here.cluster.gateways) await here.cluster.start(gateway);
  await here.primary();
  expect((await here.cluster.statusOf(host))?.warnings.join()).toContain(
    "accepted as it is (--accept-damaged): app.db is damaged",
  );
  expect(await here.must('result = sqlite3.connect(data + "/app.db").execute("SELECT x FROM t").fetchall()')).toEqual([
    [1],
  ]);
});

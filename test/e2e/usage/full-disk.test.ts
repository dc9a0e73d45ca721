/**
 * A data disk on which the databases do not fit: a restore says how much is missing and where, and continues when there
 * is room.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { statfsSync } from "node:fs";
import { join } from "node:path";
import type { HostMember } from "../../../harness/cluster.ts";
import { canMount, withMount } from "../mounts.ts";
import { Scene } from "./scene.ts";

setDefaultTimeout(120_000);

let scene: Scene | undefined;
afterEach(async () => {
  await scene?.close();
  scene = undefined;
});

test.if(canMount)(
  "a second host whose data disk is too small says how many bytes are missing, and follows when it has grown",
  async () => {
    scene = await Scene.prepare({
      atStart:
        'app = sqlite3.connect(data + "/app.db", isolation_level=None); app.execute("PRAGMA journal_mode=WAL"); app.execute("CREATE TABLE IF NOT EXISTS t(v)")',
    });
    const here = scene;
    const [first, second] = here.cluster.hosts as readonly [HostMember, HostMember];
    await here.cluster.start(first);
    for (const gateway of here.cluster.gateways) await here.cluster.start(gateway);
    await here.primary();
    await here.must('app.execute("INSERT INTO t VALUES (zeroblob(6000000))")');
    expect((await here.stead("checkpoint")).code).toBe(0);
    const data = join(second.folder, "data");
    await withMount(data, "small", async () => {
      const process = await here.cluster.start(second);
      const reason = async (): Promise<string> => (await here.cluster.statusOf(second))?.reason ?? "";
      await here.until("what is missing", async () => (await reason()).includes("missing"));
      expect(await reason()).toMatch(
        new RegExp(
          `the disk at ${data} is too full to restore: the databases need 60\\d{5} bytes, \\d+ are free, \\d+ are missing`,
        ),
      );
      const { bavail, bsize, blocks } = statfsSync(data);
      expect(bavail * bsize).toBeGreaterThan(0.9 * blocks * bsize); // Nothing was written there.
      spawnSync("mount", ["-o", "remount,size=64m", data]);
      await here.until("it to follow", async () => (await here.cluster.statusOf(second))?.role === "secondary");
      await here.killPrimary();
      expect(await here.must('result = app.execute("SELECT length(v) FROM t").fetchone()[0]')).toBe(6_000_000);
      process.signal("SIGKILL");
      await process.ended;
    });
  },
);

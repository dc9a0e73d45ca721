/** Hosts that may have few descriptors open, and an application that has many databases open at the same time. */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { exitCodes } from "../../../src/cli/output/exit-codes.ts";
import { selfCommand } from "../../../src/runtime/self-command.ts";
import { Scene } from "./scene.ts";

setDefaultTimeout(120_000);

/** With 256 descriptors. */
const limited: readonly [string, ...string[]] = ["sh", "-c", 'ulimit -n 256 && exec "$@"', "sh", ...selfCommand()];

let scene: Scene | undefined;
afterEach(async () => {
  await scene?.close();
  scene = undefined;
});

const tenants = 30;
const openAll = `
apps = [sqlite3.connect(data + "/%d.db" % nth, isolation_level=None, timeout=10) for nth in range(${tenants})]
for app in apps: app.execute("PRAGMA journal_mode=WAL"); app.execute("CREATE TABLE IF NOT EXISTS t(v)")
`;
const insert = (value: number): string => `for app in apps: app.execute("INSERT INTO t VALUES (${value})")`;
const read = 'result = sorted(set(str([row[0] for row in app.execute("SELECT v FROM t ORDER BY v")]) for app in apps))';

test("thirty databases that are open and written to at the same time are served with 256 descriptors, also by the next primary", async () => {
  scene = await Scene.open({ atStart: openAll, program: limited });
  const here = scene;
  const epochOf = async (): Promise<number> => Math.max(...(await here.statuses()).map((status) => status?.epoch ?? 0));
  const values: number[] = [];
  const writeFor = async (times: number): Promise<void> => {
    for (let nth = 0; nth < times; nth++) {
      values.push(values.length);
      await here.must(insert(values.length - 1));
    }
  };
  for (const round of [1, 2]) {
    const epoch = await epochOf();
    await writeFor(40);
    expect(await epochOf()).toBe(epoch);
    if (round === 2) break;
    await here.killPrimary();
    expect(await epochOf()).toBe(epoch + 1);
  }
  expect(await here.must(read)).toEqual([`[${values.join(", ")}]`]);
  for (const status of await here.statuses()) expect(status?.impairments ?? []).toEqual([]);
});

test("sixty databases are too many for 256 descriptors: the configuration check and the start of the host say so, and what to do", async () => {
  scene = await Scene.prepare();
  const [host] = scene.cluster.hosts;
  if (host === undefined) throw new Error("there is no host");
  const data = join(host.folder, "data");
  mkdirSync(data, { recursive: true });
  for (let nth = 0; nth < 2 * tenants; nth++)
    new DatabaseSync(join(data, `${nth}.db`)).exec("PRAGMA journal_mode=WAL; CREATE TABLE t(v)");
  const [program, ...args] = limited;
  for (const command of [["config", "check"], ["host"]]) {
    const { status, stderr } = spawnSync(program, [...args, ...command, host.configFile], {
      encoding: "utf8",
      timeout: 30_000,
    });
    expect([status, stderr]).toEqual([
      exitCodes.configuration,
      expect.stringContaining("a limit of 256 open files, and 60 databases"),
    ]);
    expect(stderr).toContain("LimitNOFILE=");
  }
});

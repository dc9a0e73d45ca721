/**
 * `stead rehearse` on real processes: what would fail at the first failover is found, and nothing of the attempt is
 * left.
 */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type DemoApplication, demoApplication } from "../../harness/applications.ts";
import type { Cluster, GatewayMember, HostMember } from "../../harness/cluster.ts";
import { type Bench, type CommandResult, never, openBench, runStead } from "./harness.ts";

setDefaultTimeout(90_000);

const withinMs = 30_000;
let bench: Bench;
beforeEach(() => {
  bench = openBench();
});
afterEach(() => bench.close());

/** Notes, after a script that runs in the host's folder. */
function notesAfter(script: string): DemoApplication {
  const notes = demoApplication("notes", bench.folder);
  return { ...notes, command: ["/bin/sh", "-c", `${script}\nexec "$@"`, "notes", ...notes.command] };
}

interface Started {
  readonly cluster: Cluster;
  readonly gateway: GatewayMember;
  readonly primary: HostMember;
  readonly secondary: HostMember;
}

async function started(
  application: DemoApplication,
  prepare: (cluster: Cluster) => void = () => undefined,
): Promise<Started> {
  const cluster = await bench.cluster({ hosts: 2, gateways: 1, application });
  prepare(cluster);
  const [gateway] = cluster.gateways;
  if (gateway === undefined) throw new Error("no gateway");
  await Promise.all([...cluster.hosts, gateway].map((member) => cluster.start(member)));
  const primary = await cluster.whenWhole(withinMs, never);
  const secondary = cluster.hosts.find(({ id }) => id !== primary.id);
  if (secondary === undefined) throw new Error("no secondary");
  await until(async () => (await write(gateway, "before")) === 201);
  return { cluster, gateway, primary, secondary };
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

const write = ({ url }: GatewayMember, text: string): Promise<number> =>
  fetch(`${url}/notes`, { method: "POST", body: JSON.stringify({ text }) }).then(
    ({ status }) => status,
    () => 0,
  );

const stead = (gateway: GatewayMember, ...args: string[]): Promise<CommandResult> =>
  runStead([...args, "--config", gateway.configFile], { withinMs: 60_000 });
const rehearsalFolder = ({ folder }: HostMember): string => join(folder, "data.stead", "rehearsal");

/** Processes whose environment names the folder. */
const processesOf = (folder: string): number[] =>
  readdirSync("/proc").flatMap((name) => {
    try {
      return readFileSync(`/proc/${name}/environ`, "utf8").includes(`STEAD_DATA=${folder}`) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });

test("what keeps the application from starting on a secondary is found by a rehearsal, shown in status, and the next one tells that it is mended", async () => {
  const application = notesAfter('[ -e marker ] || { echo "the licence file marker is missing" >&2; exit 1; }');
  const { cluster, gateway, secondary } = await started(application, (made) =>
    writeFileSync(join(made.hosts[0]?.folder ?? "", "marker"), ""),
  );
  const failed = await stead(gateway, "rehearse", secondary.id);
  expect(failed.code).toBe(8);
  expect(failed.stdout).toMatch(/FAILED[^]*exit code 1 before it was ready[^]*the licence file marker is missing/);
  expect((await cluster.statusOf(secondary))?.rehearsal).toMatchObject({
    ok: false,
    startMs: null,
    detail: expect.stringContaining("marker is missing"),
  });
  const status = await stead(gateway, "status");
  expect(status.stdout.replaceAll(/\s+/g, " ")).toMatch(
    /rehearsal of \S+Z failed: .*the licence file marker is missing/,
  );
  expect(existsSync(rehearsalFolder(secondary))).toBe(false);
  writeFileSync(join(secondary.folder, "marker"), "");
  expect((await stead(gateway, "rehearse", secondary.id)).code).toBe(0);
  expect((await stead(gateway, "status")).stdout).not.toContain("rehearsal");
  const events = JSON.parse((await stead(gateway, "status", "--json")).stdout) as {
    services: { events: { what: string; host: string | null }[] }[];
  };
  expect(events.services[0]?.events.filter(({ host }) => host === secondary.id).map(({ what }) => what)).toEqual(
    expect.arrayContaining(["rehearsal-failed", "rehearsed"]),
  );
});

test("a rehearsal that goes well leaves nothing, what it wrote is nowhere, and the secondary follows on and takes over", async () => {
  const { cluster, gateway, primary, secondary } = await started(demoApplication("notes", bench.folder));
  const result = await stead(gateway, "rehearse", secondary.id, "--json");
  expect(result.code).toBe(0);
  expect(JSON.parse(result.stdout)).toMatchObject({ host: secondary.id, ok: true, detail: null });
  expect(existsSync(rehearsalFolder(secondary))).toBe(false);
  if (process.platform === "linux") expect(processesOf(rehearsalFolder(secondary))).toEqual([]);
  expect(await write(gateway, "after")).toBe(201);
  const position = (await cluster.statusOf(primary))?.position ?? Infinity;
  await until(async () => ((await cluster.statusOf(secondary))?.position ?? 0) >= position);
  expect((await stead(gateway, "switchover", secondary.id)).code).toBe(0);
  const notes = await (await fetch(`${gateway.url}/changes?after=0&limit=100`)).text();
  expect(notes).toContain("before");
  expect(notes).toContain("after");
  expect(readFileSync(secondary.logFile, "utf8")).not.toContain("secondary -> restoring");
});

test("a failover does not wait for a rehearsal that runs: it is killed, and the host takes over", async () => {
  const application = notesAfter(
    'if [ -n "$STEAD_REHEARSAL" ]; then echo "rehearsing"; touch rehearsing; exec sleep 600; fi',
  );
  const { cluster, gateway, primary, secondary } = await started(application);
  const rehearsal = stead(gateway, "rehearse", secondary.id);
  await until(() => existsSync(join(secondary.folder, "rehearsing")));
  const second = await stead(gateway, "rehearse", secondary.id);
  expect(second).toMatchObject({ code: 5, stderr: expect.stringContaining("already running here") });
  primary.process?.signal("SIGKILL");
  await until(async () => (await cluster.statusOf(secondary))?.role === "primary");
  const cut = await rehearsal;
  expect(cut.code).toBe(5);
  expect(cut.stderr).toContain("the rehearsal was ended");
  await until(() => !existsSync(rehearsalFolder(secondary)));
  if (process.platform === "linux") expect(processesOf(rehearsalFolder(secondary))).toEqual([]);
  expect((await cluster.statusOf(secondary))?.rehearsal).toBe(null);
  const refused = await stead(gateway, "rehearse", secondary.id);
  expect(refused).toMatchObject({
    code: 5,
    stderr: expect.stringContaining("only a secondary rehearses; this host is primary"),
  });
});

test("a rehearsal that its host did not survive is cleared away when the host starts again", async () => {
  const application = notesAfter('if [ -n "$STEAD_REHEARSAL" ]; then touch rehearsing; exec setsid sleep 600; fi');
  const { cluster, gateway, secondary } = await started(application);
  const rehearsal = stead(gateway, "rehearse", secondary.id);
  await until(() => existsSync(join(secondary.folder, "rehearsing")));
  secondary.process?.signal("SIGKILL");
  await secondary.process?.ended;
  expect((await rehearsal).code).toBe(5);
  expect(existsSync(rehearsalFolder(secondary))).toBe(true);
  rmSync(join(secondary.folder, "rehearsing"));
  await cluster.start(secondary);
  await cluster.whenWhole(withinMs, never);
  await until(() => !existsSync(rehearsalFolder(secondary)));
  if (process.platform === "linux") expect(processesOf(rehearsalFolder(secondary))).toEqual([]);
});

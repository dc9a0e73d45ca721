/**
 * A copied configuration with another id: two real processes on the same folders, and on the same gateway's database.
 */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { exitCodes } from "../../src/cli/output/exit-codes.ts";
import type { Cluster, GatewayMember, HostMember } from "../../harness/cluster.ts";
import { freePorts } from "../../src/runtime/free-ports.ts";
import { type Bench, never, openBench, runStead } from "./harness.ts";

setDefaultTimeout(60_000);

const withinMs = 20_000;
let bench: Bench;
beforeEach(() => {
  bench = openBench();
});
afterEach(() => bench.close());

const filesBelow = (folder: string): string[] => readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();

/** The member's configuration with another id, and other ports, beside its own; `change` for the rest. */
async function copyOf(member: HostMember | GatewayMember, change: (text: string) => string): Promise<string> {
  const ports = await freePorts(2);
  let next = 0;
  const text = readFileSync(member.configFile, "utf8")
    .replace(/^id = .*$/m, 'id = "other"')
    .replaceAll(
      /^(control|listen|admin) = "127\.0\.0\.1:\d+"$/gm,
      (_, key: string) => `${key} = "127.0.0.1:${ports[next++] ?? 0}"`,
    );
  const name = join(member.folder, "copy.toml");
  return bench.write(name.slice(bench.folder.length), change(text));
}

async function started(): Promise<{ cluster: Cluster; host: HostMember }> {
  const cluster = await bench.cluster({ hosts: 1, gateways: 0 });
  const [host] = cluster.hosts;
  if (host === undefined) throw new Error("no host");
  await cluster.start(host);
  await cluster.whenWhole(withinMs, never);
  return { cluster, host };
}

const write = (host: HostMember): Promise<number> =>
  fetch(`${host.dataUrl}/notes`, { method: "POST", body: '{"text":"kept"}' }).then(({ status }) => status);

test("a second host on the folders of one that runs, or hangs, is refused, moves nothing, and the first continues", async () => {
  const { host } = await started();
  expect(await write(host)).toBe(201);
  const folders = ["data", "data.stead"].map((name) => join(host.folder, name));
  const before = folders.map(filesBelow);
  for (const [change, key] of [
    [(text: string) => text, "state"],
    [(text: string) => text.replace(/^data = /m, 'state = "another"\ndata = '), "data"],
    [(text: string) => text.replace(/^data = "data"$/m, 'state = "data.stead"\ndata = "another-data"'), "state"],
  ] as const) {
    const { code, stderr } = await runStead(["host", await copyOf(host, change)], { withinMs });
    expect([code, stderr]).toEqual([exitCodes.resource, expect.stringContaining(`of host.${key}`)]);
    expect(stderr).toMatch(/accepted: one running host for each.*\n {2}do: stop that host/);
    expect(folders.map(filesBelow)).toEqual(before);
  }
  host.process?.signal("SIGSTOP");
  const frozen = await runStead(["host", await copyOf(host, (text) => text)], { withinMs });
  host.process?.signal("SIGCONT");
  expect(frozen.code).toBe(exitCodes.resource);
  expect(await write(host)).toBe(201);
});

test("a host that is started right after SIGKILL has its folders at once, and its application had no part of the lock", async () => {
  const { cluster, host } = await started();
  if (process.platform === "linux")
    expect(processesWith(join(host.folder, "data", ".stead-host.lock"))).toEqual([host.process?.pid ?? 0]);
  for (let turn = 0; turn < 5; turn += 1) {
    host.process?.signal("SIGKILL");
    await host.process?.ended;
    await cluster.start(host);
    await cluster.until(
      "the host again",
      withinMs,
      never,
      () => "",
      () => cluster.statusOf(host),
    );
  }
});

test("a second gateway on the database of one that runs is refused, whatever its id and ports, and has it once the first is killed", async () => {
  const cluster = await bench.cluster({ hosts: 1, gateways: 1 });
  const [gateway] = cluster.gateways;
  if (gateway === undefined) throw new Error("no gateway");
  await cluster.start(gateway);
  const answers = (): Promise<true | undefined> =>
    fetch(`${gateway.adminUrl}/health`).then(
      () => true as const,
      () => undefined,
    );
  await cluster.until("the gateway", withinMs, never, () => "", answers);
  const copy = await copyOf(gateway, (text) => text);
  const { code, stderr } = await runStead(["gateway", copy], { withinMs });
  expect([code, stderr]).toEqual([
    exitCodes.resource,
    expect.stringContaining(join(realpathSync(gateway.folder), "gateway.db")),
  ]);
  expect(stderr).toMatch(/accepted: one running gateway for each.*\n {2}do: stop that gateway/);
  expect(await answers()).toBe(true);
  gateway.process?.signal("SIGKILL");
  await gateway.process?.ended;
  await cluster.start(gateway);
  await cluster.until("the gateway again", withinMs, never, () => "", answers);
});

/** Process ids of those that have the file open. */
function processesWith(file: string): number[] {
  const path = realpathSync(file);
  const isOpen = (pid: string): boolean => {
    try {
      return readdirSync(`/proc/${pid}/fd`).some((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`) === path);
    } catch {
      return false; // It ended meanwhile, or is not ours.
    }
  };
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && isOpen(name))
    .map(Number);
}

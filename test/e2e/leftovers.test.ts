/**
 * An application that is out of reach of signals to its process group, under real hosts: what is left of it, and what
 * is said about it.
 */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { type DemoApplication, demoApplication } from "../../harness/applications.ts";
import type { Cluster, HostMember } from "../../harness/cluster.ts";
import { descendantsOf, livingOf } from "../../harness/process-table.ts";
import { type Bench, never, openBench } from "./harness.ts";

setDefaultTimeout(60_000);

const withinMs = 20_000;
let bench: Bench;
beforeEach(() => {
  bench = openBench();
});
afterEach(() => bench.close());

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

/** Notes, but in a session of its own: what `docker run`, `setsid` and daemons have in common. */
function escapedNotes(): DemoApplication {
  const notes = demoApplication("notes", bench.folder);
  const file = bench.write("escape.sh", 'exec setsid "$@"\n');
  return { ...notes, command: ["/bin/sh", file, ...notes.command] };
}

async function started(application = escapedNotes()): Promise<{ cluster: Cluster; host: HostMember }> {
  const cluster = await bench.cluster({ hosts: 1, gateways: 1, application });
  const [host] = cluster.hosts;
  if (host === undefined) throw new Error("no host");
  for (const member of [...cluster.hosts, ...cluster.gateways]) await cluster.start(member);
  await cluster.whenWhole(withinMs, never);
  await until(async () => (await write(cluster).catch(() => 0)) === 201);
  return { cluster, host };
}

/** By the gateway: it promotes a host that was restarted. */
const write = ({ gateways }: Cluster): Promise<number> =>
  fetch(`${gateways[0]?.url}/notes`, { method: "POST", body: '{"text":"kept"}' }).then(({ status }) => status);

async function end(host: HostMember, signal: NodeJS.Signals): Promise<void> {
  host.process?.signal(signal);
  await host.process?.ended;
}

/** Processes that have a file below the folder open. */
const usersOf = (folder: string): number[] =>
  readdirSync("/proc").flatMap((name) => {
    try {
      const files = readdirSync(`/proc/${name}/fd`).map((descriptor) => readlinkSync(`/proc/${name}/fd/${descriptor}`));
      return files.some((file) => file.startsWith(`${folder}/`)) ? [Number(name)] : [];
    } catch {
      return [];
    }
  });

test.skipIf(process.platform !== "linux")(
  "an application in a session of its own is gone after an orderly stop of its host",
  async () => {
    const { host } = await started();
    const family = descendantsOf(host.process?.pid ?? 0);
    expect(family.length).toBeGreaterThan(1);
    await end(host, "SIGTERM");
    expect(livingOf(family)).toEqual([]);
    expect(usersOf(join(host.folder, "data"))).toEqual([]);
  },
);

test.skipIf(process.platform !== "linux")(
  "an application that outlived its killed host is gone before the next run of the host serves",
  async () => {
    const { cluster, host } = await started();
    const family = descendantsOf(host.process?.pid ?? 0);
    await end(host, "SIGKILL");
    await cluster.start(host);
    await until(async () => (await write(cluster).catch(() => 0)) === 201);
    expect(livingOf(family)).toEqual([]);
  },
);

test.skipIf(process.platform !== "linux")(
  "a host waits while a stranger has its database open for writing, and names the process",
  async () => {
    const { cluster, host } = await started();
    await end(host, "SIGTERM");
    const database = join(host.folder, "data", "notes.db");
    const stranger = spawn("/bin/sh", ["-c", `exec 9>>"${database}"; exec sleep 1000`], {
      stdio: "ignore",
      env: { PATH: process.env["PATH"] },
    });
    await until(() => usersOf(join(host.folder, "data")).includes(stranger.pid ?? 0));
    await cluster.start(host);
    const log = (): string => readFileSync(join(host.folder, "log.txt"), "utf8");
    await until(() => log().includes(`process ${stranger.pid} (sleep 1000) has ${database} open for writing (end it`));
    stranger.kill("SIGKILL");
    await until(async () => (await write(cluster).catch(() => 0)) === 201);
  },
);

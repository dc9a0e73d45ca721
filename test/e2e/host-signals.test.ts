/** Signals to a real host process. */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { type Cluster, type HostMember } from "../../harness/cluster.ts";
import { type Bench, never, openBench } from "./harness.ts";

setDefaultTimeout(60_000);

let bench: Bench;
beforeEach(() => {
  bench = openBench();
});
afterEach(() => bench.close());

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 10));
}

async function started(): Promise<{ cluster: Cluster; host: HostMember }> {
  const cluster = await bench.cluster({ hosts: 1, gateways: 0 });
  const [host] = cluster.hosts;
  if (host === undefined) throw new Error("no host");
  await cluster.start(host);
  await cluster.whenWhole(20_000, never);
  return { cluster, host };
}

const change = (host: HostMember, edit: (text: string) => string): void =>
  writeFileSync(host.configFile, edit(readFileSync(host.configFile, "utf8")));

test("SIGHUP takes over what a running host can change, and refuses the rest by its key", async () => {
  const { cluster, host } = await started();
  const log = (): string => readFileSync(host.logFile, "utf8");
  change(host, (text) => text.replace(/^id = /m, "priority = 7\nnofailover = true\nid = "));
  host.process?.signal("SIGHUP");
  await until(async () => (await cluster.statusOf(host))?.priority === 7);
  expect((await cluster.statusOf(host))?.nofailover).toBe(true);
  change(host, (text) => text.replace("priority = 7", 'priority = 8\nlease = "3s"'));
  host.process?.signal("SIGHUP");
  await until(() => log().includes("configuration refused"));
  expect(log()).toContain("lease, drift_margin of [host] cannot change while the host runs");
  change(host, () => "nonsense");
  host.process?.signal("SIGHUP");
  await until(() => log().split("configuration refused").length === 3);
  const status = await cluster.statusOf(host);
  expect([status?.role, status?.priority, host.process?.end]).toEqual(["primary", 7, undefined]);
});

test.each(["SIGTERM", "SIGINT", "SIGQUIT"] as const)("%s makes a primary step down in order", async (signal) => {
  const { host } = await started();
  host.process?.signal(signal);
  expect((await host.process?.ended)?.code).toBe(0);
  expect(readFileSync(host.logFile, "utf8")).toContain("stepped down");
});

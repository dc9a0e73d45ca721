import { afterEach, beforeEach, expect, test } from "bun:test";
import type { ServiceConfig } from "../../../src/config/types.ts";
import { runStead } from "../../support/cli/run-cli.ts";
import { secret, TestCluster, until } from "../../support/gateway/cluster.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = new TestCluster();
});
afterEach(() => cluster.stop());

const stead = (...args: string[]) =>
  runStead(args, {
    cwd: "/",
    env: { STEAD_SECRET: secret, STEAD_GATEWAY: `127.0.0.1:${cluster.gateway?.adminPort ?? 0}` },
  });
const service = (name: string, hosts: readonly string[], change: Partial<ServiceConfig> = {}): ServiceConfig => ({
  name,
  match: { host: undefined, path: undefined },
  hosts: hosts.map((id) => ({
    id,
    controlUrl: cluster.host(id).controlUrl,
    priority: undefined,
    nofailover: undefined,
  })),
  rejoin: "auto",
  firstByte: [],
  ...change,
});

test("a drained primary is switched over, is no candidate until it is set back, and the exit codes say so", async () => {
  await Promise.all([cluster.addHost("a", { priority: 1 }), cluster.addHost("b")]);
  await cluster.startGateway();
  await cluster.serving();
  await until(() => cluster.service().hosts.every(({ role }) => role !== null));
  const drained = await stead("hosts", "drain", "a", "--json");
  expect([drained.code, (JSON.parse(drained.out) as { primary: string }).primary]).toEqual([0, "b"]);
  await until(() => cluster.service().hosts.every(({ role }) => role === "primary" || role === "secondary"));
  expect((await stead("failover", "--dry-run")).out).toContain("not a: nofailover is set");
  const last = await stead("hosts", "drain", "b");
  expect([last.code, last.err.includes("still primary")]).toEqual([5, true]);
  expect((await stead("hosts", "set", "a", "--nofailover", "no", "--priority", "own")).code).toBe(0);
  expect((await stead("hosts", "drain", "b")).code).toBe(0);
  expect(cluster.service().primary).toBe("a");
  expect((await stead("hosts", "drain", "unregistered")).code).toBe(5);
  expect((await stead("hosts", "set", "a")).code).toBe(2);
  expect((await stead("hosts", "set", "a", "--nofailover", "perhaps")).code).toBe(2);
});

test("a forced failover says what may be lost", async () => {
  await Promise.all([cluster.addHost("a", { priority: 1 }), cluster.addHost("b")]);
  await cluster.startGateway();
  await cluster.serving();
  await until(() => cluster.service().hosts.every(({ role }) => role !== null));
  const forced = await stead("failover", "--force");
  expect([forced.code, forced.out.includes("may be lost: nothing on hosts with durability strict")]).toEqual([0, true]);
});

test("with manual rejoin a failed primary leaves the registry until `stead hosts add`", async () => {
  await Promise.all([cluster.addHost("a", { priority: 1 }), cluster.addHost("b")]);
  await cluster.startGateway({ services: [service("notes", ["a", "b"], { rejoin: "manual" })] });
  await cluster.serving();
  const isSecondary = (id: string) => () =>
    cluster.service().hosts.some((host) => host.id === id && host.role === "secondary");
  await until(isSecondary("b"));
  expect((await stead("switchover")).code).toBe(0);
  await until(isSecondary("a"));
  expect((await stead("switchover", "a")).code).toBe(0); // a planned change is no failure
  expect(cluster.service().hosts.map(({ id }) => id)).toEqual(["a", "b"]);
  await cluster.host("a").end();
  await cluster.serving("a");
  await until(() => cluster.service().hosts.length === 1);
  expect(cluster.service().events.some(({ what, host }) => what === "host-removed" && host === "a")).toBe(true);
  await cluster.host("a").start();
  expect((await stead("hosts", "add", "a", cluster.host("a").controlUrl, "--json")).code).toBe(0);
  await until(() => cluster.service().hosts.find(({ id }) => id === "a")?.role === "secondary");
});

test("services are told apart by host name and path, and a failover of one does not delay the other's requests", async () => {
  const other = { service: "other", logFolder: `${cluster.folder}/other-log` };
  await Promise.all([cluster.addHost("a"), cluster.addHost("x", other)]);
  const gateway = await cluster.startGateway({
    services: [
      service("notes", ["a"], { match: { host: "notes.example", path: undefined } }),
      service("other", ["x"], { match: { host: "notes.example", path: "/other" } }),
    ],
  });
  const serving = (name: string): boolean =>
    gateway.status().services.find((each) => each.name === name)?.phase === "serving";
  await until(() => serving("notes") && serving("other"));
  const ask = (path: string, host = "notes.example") =>
    fetch(`http://127.0.0.1:${gateway.port}${path}`, { headers: { host } });
  const hostOf = async (path: string): Promise<string> => ((await (await ask(path)).json()) as { host: string }).host;
  expect([await hostOf("/"), await hostOf("/other/x"), await hostOf("/others")]).toEqual(["a", "x", "a"]);
  expect((await ask("/", "unknown.example")).status).toBe(404);
  // No host can take over for `notes`: its request is held, and meanwhile every request of `other` is answered.
  await cluster.host("a").end();
  await until(() => gateway.status().services[0]?.phase === "down");
  let answered = false;
  const held = hostOf("/").finally(() => (answered = true));
  await until(() => (gateway.status().services[0]?.waiting.requests ?? 0) > 0);
  for (let i = 0; i < 20; i++) expect(await hostOf("/other")).toBe("x");
  expect(answered).toBe(false);
  await cluster.host("a").start();
  expect(await held).toBe("a");
});

/** What clients get in maintenance, and when no primary comes. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { runStead } from "../../support/cli/run-cli.ts";
import { selfCommand } from "../../../src/runtime/self-command.ts";
import { secret, TestCluster, until } from "../../support/gateway/cluster.ts";

let cluster: TestCluster;
beforeEach(() => {
  cluster = new TestCluster();
});
afterEach(() => cluster.stop());

const service = (maintenance?: { html?: string; retryAfterMs: number }) => [
  {
    name: "notes",
    match: {},
    hosts: [...cluster.hosts.values()].map(({ options, controlUrl }) => ({
      ...{ id: options.id, controlUrl },
      ...{ priority: undefined, nofailover: undefined },
    })),
    rejoin: "auto" as const,
    firstByte: [],
    maintenance,
  },
];

async function ask(accept = "*/*") {
  const answer = await fetch(`http://127.0.0.1:${cluster.gateway?.port ?? 0}/`, { headers: { accept } });
  const fields = ["retry-after", "stead-outcome", "content-type"].map((name) => answer.headers.get(name));
  return { status: answer.status, fields, text: await answer.text() };
}
const stead = (...args: string[]) =>
  runStead(args, {
    env: { STEAD_SECRET: secret, STEAD_GATEWAY: `127.0.0.1:${cluster.gateway?.adminPort ?? 0}` },
    cwd: cluster.folder,
  });

test("on: the page, also for what waits, until its end; the primary serves all the while", async () => {
  await cluster.addHost("a");
  await cluster.startGateway({ services: service({ html: "<h1>Soon</h1>", retryAfterMs: 5_000 }) });
  await cluster.serving();
  // A plain pause stops nothing.
  await cluster.client.pause({ reason: "only automation" });
  expect((await ask()).status).toBe(200);
  expect((await stead("maintenance", "on", "--reason", "schema 12")).out).toBe(
    "service notes: in maintenance; every request gets the maintenance page\n",
  );
  expect(await ask()).toEqual({
    status: 503,
    fields: ["5", "not-executed", "text/html; charset=utf-8"],
    text: "<h1>Soon</h1>",
  });
  const program = await ask("application/json");
  expect(JSON.parse(program.text)).toEqual({ error: "maintenance", message: "the service is in maintenance" });
  expect(cluster.service()).toMatchObject({ phase: "serving", routedTo: "a", maintenance: { reason: "schema 12" } });
  // Answered on purpose: no failure of a request.
  expect(cluster.service().requests).toMatchObject({ ok: 1, failed: 0, maintenance: 2 });
  expect((await stead("status")).out).toContain("IN MAINTENANCE (schema 12)");
  // It holds over a restart.
  await cluster.gateway?.close(0);
  await cluster.startGateway({ services: service() });
  await cluster.serving();
  expect((await ask()).text).toContain("<h1>Back soon</h1>");
  expect((await stead("maintenance", "on", "--for", "1s")).code).toBe(0);
  expect((await ask()).fields[0]).toBe("1");
  await until(() => cluster.service().maintenance === null);
  expect((await ask()).status).toBe(200);
  const told = cluster.service().events.filter(({ what }) => what.startsWith("maintenance"));
  expect(told.map(({ what }) => what)).toEqual(["maintenance-on", "maintenance-off"]);
  expect((await stead("sql", "--csv", "select * from maintenance")).out).toBe("service,since,until,reason\r\n");
});

test("without a primary, requests wait as long as before, and then get the page where one is configured", async () => {
  await cluster.addHost("a");
  const hold = { requestsMax: 1_000, bytesMax: 10_000_000, timeMs: 300 };
  await cluster.startGateway({ hold, services: service({ html: "<h1>Soon</h1>", retryAfterMs: 5_000 }) });
  await cluster.serving();
  await cluster.host("a").end();
  await until(() => cluster.service().phase === "down");
  expect(await ask()).toEqual({
    status: 503,
    fields: ["5", "not-executed", "text/html; charset=utf-8"],
    text: "<h1>Soon</h1>",
  });
  expect(JSON.parse((await ask("application/json")).text)).toMatchObject({
    error: expect.stringMatching(/^hold_|^no_/),
  });
  // What waits gets the page at once when maintenance begins: it would wait for ten seconds.
  await cluster.gateway?.close(0);
  await cluster.startGateway({ services: service() });
  const waiting = ask();
  await until(() => cluster.service().waiting.requests === 1);
  expect((await stead("maintenance", "on")).code).toBe(0);
  expect((await waiting).text).toContain("<h1>Back soon</h1>");
  expect((await stead("maintenance", "off")).out).toBe("service notes: requests go to the primary again\n");
});

test("with workers, each one answers with the page, also one that started later", async () => {
  await cluster.addHost("a");
  const worker = [...selfCommand(), "gateway-worker", "g1"] as const;
  await cluster.startGateway(
    { workers: 2, services: service({ html: "<h1>Soon</h1>", retryAfterMs: 5_000 }) },
    { worker },
  );
  await cluster.serving();
  await cluster.client.maintenance({ on: true });
  const pids = () => cluster.gateway?.status().workers.map(({ pid }) => pid ?? 0) ?? [];
  await until(async () => (await ask()).text === "<h1>Soon</h1>");
  const before = pids();
  for (const pid of before) process.kill(pid, "SIGKILL");
  await until(() =>
    cluster.gateway?.status().workers.every(({ state, pid }) => state === "serving" && !before.includes(pid ?? 0)),
  );
  expect((await ask()).text).toBe("<h1>Soon</h1>");
  await cluster.client.maintenance({ on: false });
  await until(async () => (await ask()).status === 200);
});

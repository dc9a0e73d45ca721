import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { GatewayClient } from "../../../src/control/gateway-client.ts";
import { fileDisk } from "../../../src/gateway/state/replication-disk.ts";
import { putEpoch } from "../../../src/gateway/state/rows.ts";
import { StateStore } from "../../../src/gateway/state/store.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { freePort } from "../../../src/runtime/free-ports.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { secret, TestCluster, until } from "../../support/gateway/cluster.ts";

let cluster: TestCluster;
let application: Server | null = null;
beforeEach(() => {
  cluster = new TestCluster();
});
afterEach(async () => {
  await new Promise((resolve) => (application === null ? resolve(null) : application.close(resolve)));
  application = null;
  await cluster.stop();
});

/** Something that serves on the data port of a host whose control port no gateway can reach. */
async function serveData(port: number): Promise<void> {
  const server = createServer((_request, response) => response.end(JSON.stringify({ host: "still there" })));
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  application = server;
}

describe("static stability", () => {
  test("a gateway that cannot reach any control port routes to the primary that its database remembers", async () => {
    const { options } = await cluster.addHost("a");
    await cluster.startGateway();
    await cluster.serving();
    await cluster.gateway?.close(0);
    await cluster.host("a").end();
    await serveData(options.dataPort);
    await cluster.startGateway();
    expect(await cluster.ask()).toEqual({ status: 200, host: "still there" });
    await until(() => cluster.service().phase === "down");
    expect(await cluster.ask()).toEqual({ status: 200, host: "still there" });
    expect(cluster.service()).toMatchObject({
      primary: "a",
      routedTo: "a",
      reason: expect.stringContaining("no host can take over") as string,
    });
  });

  test("a database that cannot be written stops nothing, and is shown in status and metrics", async () => {
    mkdirSync(join(cluster.folder, "gateway.db"));
    await cluster.addHost("a");
    await cluster.startGateway();
    await cluster.serving();
    expect(await cluster.ask()).toEqual({ status: 200, host: "a" });
    const { troubles, database } = cluster.gateway?.status() ?? { troubles: [], database: null };
    expect(troubles).toEqual([database?.trouble ?? "no trouble"]);
    const metrics = await fetch(`http://127.0.0.1:${cluster.gateway?.adminPort ?? 0}/metrics`, {
      headers: { authorization: `Bearer ${secret}` },
    });
    expect(await metrics.text()).toContain("stead_database_ok 0\n");
  });

  test("hosts that do not accept the secret are named, and no host is replaced for it", async () => {
    await Promise.all([cluster.addHost("a", { priority: 1 }), cluster.addHost("b")]);
    await cluster.startGateway();
    await cluster.serving();
    await cluster.gateway?.close(0);
    const before = cluster.service().failovers;
    await cluster.startGateway({ secret: "the operator's mistake" });
    const noted = await until(
      () => cluster.service().hosts.every(({ notes }) => notes.length > 0) && cluster.service(),
    );
    expect(noted.hosts.map(({ notes }) => notes)).toEqual([
      ["the cluster secret was not accepted, or it is of another cluster"],
      ["the cluster secret was not accepted, or it is of another cluster"],
    ]);
    expect(await cluster.ask()).toEqual({ status: 200, host: "a" });
    expect(cluster.service().failovers).toEqual(before);
  });

  test("a pause outlasts a restart of the gateway, and a lost primary is replaced when it ends", async () => {
    await Promise.all([cluster.addHost("a", { priority: 1 }), cluster.addHost("b")]);
    await cluster.startGateway();
    await cluster.serving();
    await cluster.client.pause({});
    await cluster.gateway?.close(0);
    await cluster.startGateway();
    await cluster.serving();
    await cluster.host("a").end();
    await until(() => cluster.service().phase === "down");
    expect(cluster.service()).toMatchObject({
      ...{ paused: true, epoch: 1 },
      reason: expect.stringMatching(/^automation is paused: requests wait.*`stead failover` replaces the primary now/),
    });
    const answer = cluster.ask();
    await cluster.client.resume({});
    expect(await answer).toEqual({ status: 200, host: "b" });
  });

  test("a control address that belongs to another host is named, and that host is not taken for it", async () => {
    await cluster.addHost("a");
    await cluster.startGateway();
    await cluster.serving();
    const { controlUrl } = cluster.host("a");
    await cluster.client.addHost({ id: "twin", controlUrl });
    const twin = await until(() => cluster.service().hosts.find(({ id, notes }) => id === "twin" && notes.length > 0));
    expect([twin.notes, twin.health === "up"]).toEqual([[`${controlUrl} is host:notes/a, not host:notes/twin`], false]);
  });

  test("no request is routed to a primary whose vault was recreated; status says why, and what to do", async () => {
    await cluster.addHost("a");
    const disk = fileDisk(join(cluster.folder, "gateway.db"));
    const before = new StateStore({ disk, gateway: "g1", clock: systemClock, random: systemRandom });
    await before.open();
    before.write(putEpoch({ service: "notes", epoch: 7, host: "a", dataUrl: "http://127.0.0.1:1", firstSeenAtMs: 1 }));
    await before.close();
    await cluster.startGateway();
    const notes = await until(
      () => cluster.service().hosts.find(({ role, epoch }) => role === "primary" && epoch === 1)?.notes,
    );
    expect(notes).toEqual([
      expect.stringMatching(
        /^primary of epoch 1, .* a new one, and then every gateway has to be started without its database$/,
      ),
    ]);
    expect(cluster.service()).toMatchObject({ epoch: 7, routedTo: null });
  });

  test("a gateway without any host holds requests and says so in its health, and that it is alive", async () => {
    await cluster.startGateway();
    const base = `http://127.0.0.1:${cluster.gateway?.adminPort ?? 0}`;
    const health = await fetch(`${base}/health/notes`);
    expect([health.status, await health.json()]).toEqual([
      503,
      { ok: false, services: [{ service: "notes", ok: false, reasons: ["no primary is known yet"] }] },
    ]);
    expect((await fetch(`${base}/liveness`)).status).toBe(200);
    expect(await new GatewayClient(base, secret, systemClock).failover({})).toMatchObject({
      kind: "refused-by-gateway",
      error: "no host is registered",
    });
  });

  test("an address in use is said so, and nothing is left running", async () => {
    const port = await freePort();
    await serveData(port);
    await expect(cluster.startGateway({ listen: { host: "127.0.0.1", port } })).rejects.toThrow(/in use/);
    await expect(cluster.startGateway({ adminListen: { host: "127.0.0.1", port } })).rejects.toThrow();
  });
});

/** Who is told what happens: through a whole gateway, with fake hosts as processes. */
import { afterEach, expect, test } from "bun:test";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import type { NotifyTarget } from "../../../src/config/types.ts";
import { TestCluster, until } from "../../support/gateway/cluster.ts";

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A receiver; `answers` false: it takes the request and says nothing. */
async function receiver(answers: boolean): Promise<{ readonly bodies: { id: string; kind: string }[]; url: string }> {
  const bodies: { id: string; kind: string }[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (part: Buffer) => (text += part.toString()));
    request.on("end", () => {
      bodies.push(JSON.parse(text) as { id: string; kind: string });
      if (answers) response.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  closing.push(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return { bodies, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/` };
}

const webhook = (name: string, url: string): NotifyTarget => ({
  ...{ name, timeoutMs: 600_000, kinds: ["failover", "switchover"], severity: "info", services: undefined },
  to: {
    ...{ kind: "http", format: "webhook", url },
    ...{ secret: undefined, bearer: undefined, routingKey: undefined, topic: undefined },
  },
});

test("a receiver that hangs delays neither failovers nor another receiver; status, SQL, metrics and a test show both", async () => {
  const cluster = new TestCluster();
  closing.push(() => cluster.stop());
  const hanging = await receiver(false);
  const good = await receiver(true);
  for (const id of ["a", "b", "c"]) await cluster.addHost(id);
  await cluster.startGateway({ notify: [webhook("hanging", hanging.url), webhook("good", good.url)] });
  const first = (await cluster.serving()).primary ?? "";
  await cluster.host(first).end();
  const second = (await cluster.serving(first)).primary ?? "";
  await until(() => hanging.bodies.length === 1 && good.bodies.length === 1);
  // The first notification is still on its way to the hanging one.
  await cluster.host(second).end();
  const third = (await cluster.serving(second)).primary;
  expect(await cluster.ask()).toEqual({ status: 200, host: third });
  // Its answer is known a moment after the receiver has the second one.
  await until(() => good.bodies.length === 2 && cluster.gateway?.status().notify[1]?.queued === 0);
  expect(good.bodies.map(({ kind }) => kind)).toEqual(["failover", "failover"]);
  expect(hanging.bodies).toHaveLength(1);
  expect(cluster.gateway?.status().notify).toMatchObject([
    { name: "hanging", to: "webhook", queued: 2, failure: null },
    { name: "good", queued: 0, failure: null },
  ]);
  const sql = await cluster.client.sql({
    sql: "select notification, target, outcome, kind from deliveries order by notification",
  });
  expect(sql).toMatchObject({
    kind: "ok",
    value: { rows: good.bodies.map(({ id }) => [id, "good", "told", "failover"]) },
  });
  expect(await cluster.client.notifyTest({ target: "good" })).toMatchObject({
    value: { gateway: "g1", results: [{ target: "good", failure: null }] },
  });
  expect(good.bodies.at(-1)).toMatchObject({ kind: "test" });
  expect(await cluster.client.notifyTest({ target: "other" })).toMatchObject({ code: "unknown-target" });
  const metrics = (await cluster.gateway?.metrics.text()) ?? "";
  expect(metrics).toContain('stead_notifications_total{target="good",outcome="told"} 2');
});

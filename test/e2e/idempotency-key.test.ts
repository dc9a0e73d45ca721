/**
 * A client that repeats a request with its `Idempotency-Key`: after failovers, by another gateway, by a gateway that
 * was killed and started again. It is executed once, and each answer is the first one, byte for byte.
 */
import { afterEach, beforeEach, expect, setDefaultTimeout, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { demoApplication } from "../../harness/applications.ts";
import type { Cluster, GatewayMember } from "../../harness/cluster.ts";
import { type Bench, never, openBench } from "./harness.ts";

setDefaultTimeout(120_000);

const withinMs = 30_000;
let bench: Bench;
beforeEach(() => {
  bench = openBench();
});
afterEach(() => bench.close());

interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly body: string;
}

/** Repeats until the request is not in progress and no gateway is away, as a client does. */
async function post(gateway: GatewayMember, key: string, text: string): Promise<Answer> {
  for (;;) {
    const answer = await fetch(`${gateway.url}/notes`, {
      method: "POST",
      headers: { "Idempotency-Key": key },
      body: JSON.stringify({ text }),
    }).catch(() => undefined);
    if (answer !== undefined && ![409, 502, 503].includes(answer.status))
      return { status: answer.status, type: answer.headers.get("content-type"), body: await answer.text() };
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function killPrimary(cluster: Cluster): Promise<void> {
  const { process } = await cluster.whenWhole(withinMs, never);
  process?.signal("SIGKILL");
  await process?.ended;
}

async function restart(cluster: Cluster): Promise<void> {
  for (const host of cluster.hosts) if (host.process?.end !== undefined) await cluster.start(host);
}

test("is executed once across two failovers and a gateway's restart, and answered with the same bytes", async () => {
  const cluster = await bench.cluster({
    ...{ hosts: 3, gateways: 2, application: demoApplication("notes", bench.folder) },
    serviceExtra: "idempotency_key = true\n",
  });
  const [one, other] = cluster.gateways;
  if (one === undefined || other === undefined) throw new Error("no gateways");
  await Promise.all([...cluster.hosts, one, other].map((member) => cluster.start(member)));
  await cluster.whenWhole(withinMs, never);

  const first = await post(one, "order-1", "one order");
  expect(first.status).toBe(201);
  await killPrimary(cluster);
  expect(await post(other, "order-1", "one order")).toEqual(first);
  await restart(cluster);

  one.process?.signal("SIGKILL");
  await one.process?.ended;
  await cluster.start(one);
  await killPrimary(cluster);
  expect(await post(one, "order-1", "one order")).toEqual(first);
  expect(await post(other, "order-1", "one order")).toEqual(first);
  // Another body is another request.
  expect((await post(one, "order-1", "another order")).status).toBe(422);

  const stored = await Promise.all(["1", "2"].map((id) => fetch(`${one.url}/notes/${id}`)));
  expect(stored.map(({ status }) => status)).toEqual([200, 404]);
});

test("outlives the gateway that sent it: its repetition by another one gets the answer", async () => {
  const ledger = demoApplication("ledger", bench.folder);
  const command = [ledger.command[0], join(import.meta.dirname, "slow-orders.py"), bench.folder] as const;
  const cluster = await bench.cluster({
    ...{ hosts: 2, gateways: 2, application: { ...ledger, command, readyPath: "/" } },
    serviceExtra: "idempotency_key = true\n",
  });
  const [one, other] = cluster.gateways;
  if (one === undefined || other === undefined) throw new Error("no gateways");
  await Promise.all([...cluster.hosts, one, other].map((member) => cluster.start(member)));
  await cluster.whenWhole(withinMs, never);
  const send = (gateway: GatewayMember): Promise<Response> =>
    fetch(`${gateway.url}/orders`, { method: "POST", headers: { "Idempotency-Key": "order-1" }, body: "an order" });

  const cut = send(one).then(
    ({ status }) => status,
    () => "cut",
  );
  while ((await (await fetch(other.url)).text()) !== "1") await new Promise((resolve) => setTimeout(resolve, 10));
  one.process?.signal("SIGKILL");
  expect(await cut).toBe("cut");
  // The application has it still.
  expect((await send(other)).status).toBe(409);
  writeFileSync(join(bench.folder, "answer"), "");
  let answer = await send(other);
  for (; answer.status === 409; answer = await send(other)) await new Promise((resolve) => setTimeout(resolve, 10));
  expect([answer.status, await answer.text()]).toEqual([201, "1"]);
  expect(await (await fetch(other.url)).text()).toBe("1");
});

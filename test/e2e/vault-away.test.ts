/**
 * The vault's folder is gone for some seconds, for every host at once: no host is replaced, and held requests are
 * answered.
 */
import { afterEach, expect, setDefaultTimeout, test } from "bun:test";
import { renameSync } from "node:fs";
import { join } from "node:path";
import type { ClusterStatus } from "../../src/control/gateway-api.ts";
import { GatewayClient } from "../../src/control/gateway-client.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { type Bench, never, openBench } from "./harness.ts";

// Generous: this test waits for conditions, and the machine may be busy.
setDefaultTimeout(120_000);

const withinMs = 60_000;
let bench: Bench;
afterEach(() => bench.close());

test("a vault that is away for every host is a state of its own, costs no epoch, and the write that waited for it succeeds", async () => {
  bench = openBench();
  const cluster = await bench.cluster({ hosts: 3 });
  await Promise.all([...cluster.hosts, ...cluster.gateways].map((member) => cluster.start(member)));
  await cluster.whenWhole(withinMs, never);
  const [gateway] = cluster.gateways;
  if (gateway === undefined) throw new Error("there is no gateway");
  const client = new GatewayClient(gateway.adminUrl, cluster.secret, systemClock);
  const status = async (): Promise<ClusterStatus["services"][number]> => {
    const answer = await client.cluster();
    const service = answer.kind === "ok" ? answer.value.services[0] : undefined;
    if (service === undefined) throw new Error(`the gateway does not tell its status: ${JSON.stringify(answer)}`);
    return service;
  };
  const until = (
    what: string,
    look: (now: ClusterStatus["services"][number]) => boolean,
  ): Promise<ClusterStatus["services"][number]> =>
    cluster.until(
      what,
      withinMs,
      never,
      () => "it does not come",
      async () => {
        const now = await status();
        return look(now) ? now : undefined;
      },
    );
  await cluster.until(
    "the gateway to listen",
    withinMs,
    never,
    () => "it does not answer",
    async () => ((await client.cluster()).kind === "ok" ? true : undefined),
  );
  const before = await until("the service to serve", ({ phase }) => phase === "serving");

  const vault = join(bench.folder, "vault");
  renameSync(vault, `${vault}.away`);
  const waiting = fetch(`${gateway.url}/notes`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: '{"text":"x"}',
  });
  const away = await until("the vault to be missed", (now) => now.vault.state === "away");
  expect([away.phase, away.epoch, away.primary]).toEqual(["serving", before.epoch, before.primary]);
  renameSync(`${vault}.away`, vault);
  expect((await waiting).status).toBeLessThan(300);
  const after = await until("the vault to be back", (now) => now.vault.state === "well");
  expect([after.phase, after.epoch, after.primary]).toEqual(["serving", before.epoch, before.primary]);
});

import { afterEach, expect, test } from "bun:test";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Cluster } from "../../harness/cluster.ts";
import { GatewayFleet } from "../../harness/gateway-fleet.ts";
import { GatewayViewError } from "../../harness/gateway-view.ts";
import { refusalStatus, type RefusalCode } from "../../src/control/refused.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { sealedHandler } from "../support/control/sealed.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close();
});

/** One gateway that refuses every order with `code`, and what its fleet says. */
async function fleetThatRefuses(code: RefusalCode): Promise<{ fleet: GatewayFleet; said: string[] }> {
  const server = createServer(
    sealedHandler("s", { role: "gateway", id: "g1" }, (_, response) =>
      response.writeHead(refusalStatus[code]).end(JSON.stringify({ error: "it is so", code, advice: "do this" })),
    ),
  );
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const adminUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const said: string[] = [];
  const cluster = { caller: "s", gateways: [{ id: "g1", adminUrl }] } as unknown as Cluster;
  return { fleet: new GatewayFleet(cluster, "notes", systemClock, (text) => void said.push(text)), said };
}

test("a switchover that another gateway's failover overtook counts as done, with any words of the refusal", async () => {
  const { fleet, said } = await fleetThatRefuses("overtaken");
  await fleet.switchover(AbortSignal.timeout(20_000));
  expect(said).toEqual(["another gateway was faster: the gateway's switchover: it is so (do this)"]);
});

test("a switchover that is refused for another reason fails with it", async () => {
  for (const code of ["conflict", "unfinished", "no-answer"] as const) {
    const { fleet, said } = await fleetThatRefuses(code);
    const failure: unknown = await fleet.switchover(AbortSignal.timeout(20_000)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(GatewayViewError);
    expect([(failure as GatewayViewError).code, said]).toEqual([code, []]);
  }
});

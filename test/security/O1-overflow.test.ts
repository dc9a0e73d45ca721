/**
 * Attack: a client, or a gateway's crowd, holds as many connections to a host as it may have. Those beyond were reset,
 * which looks like a host that died with the request: the client got 502 with `Stead-Outcome: unknown`, and its order
 * may have been executed or not, though the application never saw it.
 *
 * Rule: the host's front answers 503 with `Stead-Outcome: not-executed`, as far as its descriptors allow, so a gateway
 * sends the request again (http/server/overflow.ts).
 */
import { afterEach, expect, test } from "bun:test";
import { Front } from "../../src/host/application/front.ts";
import { Upstream } from "../../src/http/upstream/upstream.ts";
import { HttpServer } from "../../src/http/server/server.ts";
import { forwardOptionsOf } from "../../src/gateway/route/listener.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { defaultDataPlane, defaultGatewayLimits } from "../support/config/data-plane.ts";
import { until } from "../support/gateway/cluster.ts";
import { RawBackend } from "../support/http/raw-backend.ts";
import { RawClient } from "../support/http/raw-client.ts";
import type { ForwardOutcome } from "../../src/http/upstream/exchange.ts";

const connectionsMax = 3;
const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

/** A front whose connections are all taken by requests that the application does not answer. */
async function fullFront(): Promise<{ front: Front; seen: () => string }> {
  let seen = "";
  const backend = await RawBackend.answering("");
  backend.onConnection = (socket) => socket.on("data", (chunk) => (seen += chunk.toString("latin1")));
  const front = await Front.listen({
    ...{ listen: { host: "127.0.0.1", port: 0 }, clock: systemClock },
    limits: { ...defaultGatewayLimits, connectionsMax },
  });
  undo.push(
    () => backend.close(),
    () => front.close(),
  );
  front.serve({
    ...{
      epoch: 1,
      position: 9,
      applicationHost: "127.0.0.1",
      applicationPort: backend.port,
      isReady: true,
      maySpareEnding: true,
    },
    gate: () => undefined,
    whenReady: () => Promise.resolve(),
    endings: { listen: () => undefined, isNoticed: () => Promise.resolve(false), isUnderWay: false },
    onCheckpointAsked: () => undefined,
  });
  for (let n = 0; n < connectionsMax; n++) (await client(front.port)).send(`GET /${n} HTTP/1.1\r\nHost: a\r\n\r\n`);
  await until(() => front.active === connectionsMax);
  return { front, seen: () => seen };
}

async function client(port: number): Promise<RawClient> {
  const opened = await RawClient.connect(port);
  undo.push(() => opened.destroy());
  return opened;
}

test("a request on a connection beyond the bound is answered: not executed, and the connection ends", async () => {
  const { front, seen } = await fullFront();
  for (const request of [
    "GET /beyond HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /beyond HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST /beyond HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
  ]) {
    const beyond = await client(front.port);
    beyond.send(request);
    const answer = await beyond.untilEnd();
    expect(answer).toStartWith("HTTP/1.1 503 ");
    expect(answer).toContain("\r\nStead-Outcome: not-executed\r\n");
    expect(answer).toContain("\r\nConnection: close\r\n");
  }
  expect(seen()).not.toContain("/beyond");
  expect(front.connections).toBe(connectionsMax);
}, 20_000);

test("a gateway learns that it may send the request again, and where to", async () => {
  const { front } = await fullFront();
  const upstream = new Upstream({ host: "127.0.0.1", port: front.port, epoch: 1, clock: systemClock });
  const options = { ...forwardOptionsOf({ dataPlane: defaultDataPlane }), upstreamIsHost: true };
  const outcomes: ForwardOutcome[] = [];
  const gateway = await HttpServer.listen({
    ...{ host: "127.0.0.1", port: 0, clock: systemClock },
    onExchange: async (exchange) => {
      outcomes.push(await exchange.forward(upstream, options));
      await exchange.respond({ status: 204 });
    },
  });
  undo.push(
    () => upstream.abort("over"),
    () => gateway.abort(),
  );
  const asking = await client(gateway.port);
  asking.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
  await asking.until((received) => received.includes("204"));
  expect(outcomes).toMatchObject([{ kind: "not-executed", bodyHeld: true }]);
}, 20_000);

test("what is beyond that is bounded: silent ones are closed soon, and more of them are closed at once", async () => {
  const { front } = await fullFront();
  const silent = await Promise.all(Array.from({ length: 60 }, () => client(front.port)));
  await until(() => silent.filter(({ ended, closed }) => ended || closed).length >= 60 - 32);
  await Promise.all(silent.map((each) => each.untilEnd()));
  expect(front.connections).toBe(connectionsMax);
}, 20_000);

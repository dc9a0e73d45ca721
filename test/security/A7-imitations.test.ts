/**
 * Attacks A7 and A8: `Stead-Outcome` in a trailer of an application reached the client, who could take it for the
 * gateway's word; and an application whose responses a client can cause made 185 checkpoints in 5 s with
 * `Stead-Checkpoint: now`.
 *
 * Rule: no field with the prefix `Stead-` of an application or a client passes, in a head, an interim response or a
 * trailer; and requests for checkpoints are bounded, without losing one.
 */
import { afterEach, expect, test } from "bun:test";
import { Front } from "../../src/host/application/front.ts";
import { AskedCheckpoints } from "../../src/host/primary/asked-checkpoints.ts";
import { forwardOptionsOf } from "../../src/gateway/route/listener.ts";
import { HttpServer } from "../../src/http/server/server.ts";
import { Upstream } from "../../src/http/upstream/upstream.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { defaultDataPlane, defaultGatewayLimits } from "../support/config/data-plane.ts";
import { ManualClock } from "../support/http/manual-clock.ts";
import { RawBackend } from "../support/http/raw-backend.ts";
import { RawClient } from "../support/http/raw-client.ts";

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

const forgedAnswer = [
  "HTTP/1.1 103 Early Hints",
  "Stead-Outcome: not-executed",
  "",
  "HTTP/1.1 200 OK",
  "Stead-Outcome: unknown",
  "STEAD-Checkpoint: now",
  "Trailer: Stead-Outcome",
  "Transfer-Encoding: chunked",
  "",
  "2",
  "ok",
  "0",
  "Stead-Outcome: not-executed",
  "stead-cause: forged",
  "X-Sum: s",
  "",
  "",
].join("\r\n");

async function received(port: number, request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"): Promise<string> {
  const client = await RawClient.connect(port);
  undo.push(() => client.destroy());
  client.send(request);
  return client.until((text) => text.includes("X-Sum: s\r\n\r\n"));
}

/** A host's front with an application of raw bytes. */
async function front(onCheckpointAsked: () => void = () => undefined): Promise<{ port: number; backend: RawBackend }> {
  const backend = await RawBackend.answering(forgedAnswer);
  const listening = await Front.listen({
    ...{ listen: { host: "127.0.0.1", port: 0 }, limits: defaultGatewayLimits, clock: systemClock },
  });
  undo.push(
    () => backend.close(),
    () => listening.close(),
  );
  listening.serve({
    epoch: 1,
    position: 9,
    gate: () => undefined,
    applicationHost: "127.0.0.1",
    applicationPort: backend.port,
    whenReady: () => Promise.resolve(),
    isReady: true,
    endings: { listen: () => undefined, isNoticed: () => Promise.resolve(false), isUnderWay: false },
    maySpareEnding: true,
    onCheckpointAsked,
  });
  return { port: listening.port, backend };
}

test("nothing of an application begins with Stead- at the client of a host: head, interim response or trailer", async () => {
  const { port } = await front();
  expect(await received(port)).not.toMatch(/\nstead-/i);
});

test("nor at the client of a gateway in front of a plain host", async () => {
  const backend = await RawBackend.answering(forgedAnswer);
  const upstream = new Upstream({ host: "127.0.0.1", port: backend.port, clock: systemClock });
  const options = forwardOptionsOf({ dataPlane: defaultDataPlane });
  const server = await HttpServer.listen({
    ...{ host: "127.0.0.1", port: 0, clock: systemClock },
    onExchange: async (exchange) => void (await exchange.forward(upstream, options)),
  });
  undo.push(
    () => backend.close(),
    () => upstream.abort("over"),
    () => server.abort(),
  );
  expect(await received(server.port)).not.toMatch(/\nstead-/i);
});

test("nothing of a client begins with Stead- at the application, except what the front reads itself", async () => {
  const { port, backend } = await front();
  let arrived = "";
  backend.onConnection = (socket) => socket.on("data", (chunk) => (arrived += chunk.toString("latin1")));
  await received(
    port,
    "POST / HTTP/1.1\r\nHost: a\r\nStead-Checkpoint: now\r\nStead-Cause: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nStead-Epoch: 9\r\nX-T: t\r\n\r\n",
  );
  expect(arrived).toContain("X-T: t");
  expect(arrived).not.toMatch(/\nstead-/i);
});

test("requests for checkpoints are bounded: one per interval, and one follows for those that came too early", () => {
  const clock = new ManualClock();
  const begun: number[] = [];
  const asked = new AskedCheckpoints({ clock, intervalMs: 10_000, begin: () => begun.push(clock.now()) > 0 });
  for (let ms = 0; ms < 5_000; ms += 5) {
    asked.onAsked();
    clock.advance(5);
  }
  expect(begun).toEqual([0]);
  clock.advance(100_000);
  expect(begun).toEqual([0, 10_000]);
  asked.onAsked();
  expect(begun).toEqual([0, 10_000, 105_000]);
});

test("a request that meets a checkpoint in progress, which may have begun before it, is not lost", () => {
  const clock = new ManualClock();
  let isWriting = true;
  let begun = 0;
  const asked = new AskedCheckpoints({
    ...{ clock, intervalMs: 1_000 },
    begin: () => {
      if (!isWriting) begun++;
      return !isWriting;
    },
  });
  asked.onAsked();
  clock.advance(2_500);
  expect(begun).toBe(0);
  isWriting = false;
  clock.advance(1_000);
  expect(begun).toBe(1);
  asked.onAsked();
  asked.close();
  clock.advance(10_000);
  expect(begun).toBe(1);
  expect(clock.timers).toBe(0);
});

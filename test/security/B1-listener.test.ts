/**
 * Attack: a program listens at the address of a dead host or gateway, gets the cluster's secret from its callers, and
 * answers as the host would: it becomes the primary.
 *
 * Rule: no call contains the secret, and no answer is believed that does not prove it (src/control/channel).
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { GatewayClient } from "../../src/control/gateway-client.ts";
import { HostClient } from "../../src/control/host-client.ts";
import type { PromoteEvent } from "../../src/control/host-api.ts";
import { PeerClient } from "../../src/gateway/peers/peer-client.ts";
import { systemClock } from "../../src/runtime/clock.ts";

const secret = "the-secret-that-no-listener-may-learn";
const { signal } = new AbortController();
/** All that callers sent. */
let heard = "";
/** What the listener says to each path. */
const words: Record<string, string> = {
  "/v1/status": JSON.stringify(primary()),
  "/v1/status/stream": `${JSON.stringify(primary())}\n`,
  "/v1/promote": '{"kind":"done","epoch":9,"position":9,"dataUrl":"http://127.0.0.1:1"}\n',
  "/v1/hosts": '{"hosts":[]}',
};
const listener = createServer((request, response) => {
  heard += `${request.url} ${JSON.stringify(request.headers)}`;
  request.on("data", (chunk: Buffer) => (heard += chunk.toString()));
  request.on("end", () => response.end(words[request.url ?? ""] ?? "{}"));
});
let url = "";
beforeAll(async () => {
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(listener.address() as AddressInfo).port}`;
});
afterAll(() => listener.close());

function primary(): object {
  const who = { version: 1, service: "notes", host: "a", instance: "i", role: "primary", reason: null };
  const log = { epoch: 9, epochHost: "a", position: 3, lastRecordAgeMs: null, vacated: false };
  const urls = { dataUrl: "http://127.0.0.1:1", controlUrl: "http://127.0.0.1:2" };
  return {
    ...who,
    ...log,
    ...urls,
    priority: 0,
    nofailover: false,
    leaseMs: 1000,
    checkpoint: null,
    setAside: [],
    warnings: [],
  };
}

test("a listener at a host's address is not believed to be a primary, nor to have obeyed", async () => {
  const client = new HostClient(url, secret, systemClock);
  expect((await client.status(5_000)).kind).toBe("invalid");
  const seen: unknown[] = [];
  expect((await client.streamStatus((status) => seen.push(status), signal)).kind).toBe("invalid");
  const events: PromoteEvent[] = [];
  const order = { gateway: "g", epoch: 8, gatewaysRegistered: 1, gatewaysSeeingDown: ["g"], planned: false };
  expect((await client.promote(order, (event) => events.push(event), signal)).kind).toBe("invalid");
  expect([seen, events]).toEqual([[], []]);
});

test("a listener at a gateway's address is not believed by commands and peers", async () => {
  expect((await new GatewayClient(url, secret, systemClock).hosts()).kind).toBe("invalid");
  const from = { id: "g", origin: "g-00000-00000000", adminUrl: url, registered: null, leaving: false };
  const empty = { vector: null, known: 0, push: null, after: null, next: null, tables: {}, rows: [], views: [] };
  const peer = new PeerClient(url, secret, systemClock);
  expect((await peer.sync({ format: 1, from, ...empty }, 5_000, signal)).kind).toBe("failed");
  peer.close();
});

test("and it has heard all calls, but not the secret", () => {
  for (const path of [...Object.keys(words), "/v1/peer/sync"]) expect(heard).toContain(`${path} {`);
  expect(heard).not.toContain(secret);
});

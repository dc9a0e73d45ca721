/**
 * Mutual TLS between processes: who is served, by which certificate; which server is believed, before a byte is sent to
 * it; and that certificates and the authority are replaced under load without a failed call.
 *
 * Rule: src/control/tls/cluster-tls.ts. A fake authority, another cluster of the same authority, another role, another
 * id, no certificate and clear text must each be refused on both sides.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { type AddressInfo, connect, createServer } from "node:net";
import { ChannelClient } from "../../src/control/channel/client.ts";
import { Keyring } from "../../src/control/channel/keyring.ts";
import { ChannelServer } from "../../src/control/channel/server.ts";
import { anyOf, hostParty, type Party } from "../../src/control/channel/transcript.ts";
import { callJson, type JsonAnswer } from "../../src/control/json-call.ts";
import { createApi } from "../../src/control/server/api.ts";
import { authenticate, clusterSecret } from "../../src/control/server/authentication.ts";
import { requireCertificate } from "../../src/control/server/certificate.ts";
import { sealedChannel } from "../../src/control/server/channel.ts";
import { type ApiListener, listenApi } from "../../src/control/server/listener.ts";
import type { SecureCalls, TlsCallOptions } from "../../src/control/channel/secure-calls.ts";
import type { ClusterTls } from "../../src/control/tls/cluster-tls.ts";
import { tlsConnect } from "../../src/control/tls/tls-connect.ts";
import { Front } from "../../src/host/application/front.ts";
import { Upstream } from "../../src/http/upstream/upstream.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { silentLog, TestAuthority } from "../support/control/cluster-certificates.ts";
import { defaultGatewayLimits } from "../support/config/data-plane.ts";

const secret = "a-secret-of-the-tests-only";
const a = hostParty("notes", "a");
const b = hostParty("notes", "b");
const g1: Party = { role: "gateway", id: "g1" };
const alice: Party = { role: "operator", id: "alice" };

let ours: TestAuthority;
beforeAll(async () => void (ours = await TestAuthority.create()));
afterAll(() => ours.remove());

const keyring = (cluster = "prod"): Keyring => new Keyring([secret], cluster);
const callerOf = (self: Party, tls?: SecureCalls, cluster?: string): ChannelClient =>
  new ChannelClient(keyring(cluster), self, systemClock, tls);

/** A server that serves gateways, and counts what it executes. */
async function serve(tls: ClusterTls | undefined, self: Party = a) {
  const executed: string[] = [];
  const app = createApi({ part: "host", manual: "docs/CONTROL-API.md", log: silentLog });
  app.use(requireCertificate(tls?.cluster, (_, path) => (path === "/open" ? ["gateway", "host"] : ["gateway"])));
  app.use(sealedChannel(new ChannelServer(keyring(), self, systemClock)), authenticate(clusterSecret(secret)));
  app.all("*", (c) => {
    executed.push(c.req.path);
    return c.json({ executed: executed.length });
  });
  const listener = await listenApi(app, { host: "127.0.0.1", port: 0 }, { tls });
  return { executed, listener };
}

/** A process that does not keep the rules. */
const changed = (tls: ClusterTls, options: Partial<TlsCallOptions>): SecureCalls => ({
  isExpired: false,
  callOptions: (to: Party) => ({ ...tls.callOptions(to), ...options }),
});

const call = (listener: ApiListener, channel: ChannelClient, path = "/v1/promote", to = a): Promise<JsonAnswer> =>
  callJson(
    { baseUrl: `http://127.0.0.1:${listener.port}`, to, clock: systemClock, caller: channel },
    { method: "POST", path, body: {}, timeoutMs: 5_000 },
  );

test("a server executes calls of a certificate with the role that the call needs, and of no other", async () => {
  const { executed, listener } = await serve(await ours.open(a));
  const theirs = await TestAuthority.create();
  const stranger = await theirs.certify(g1);
  stranger.trust(ours.current);
  const refused = {
    "a host's certificate": callerOf(b, await ours.open(b)),
    "an operator's certificate": callerOf(alice, await ours.open(alice)),
    "a gateway's call with a host's certificate": callerOf(g1, await ours.open(b)),
    "a gateway's call with another gateway's": callerOf(g1, await ours.open({ role: "gateway", id: "g2" })),
    "another authority": callerOf(g1, stranger.open()),
    "clear text": callerOf(g1),
  };
  for (const [what, channel] of Object.entries(refused))
    expect([what, (await call(listener, channel)).kind]).toEqual([what, expect.stringMatching(/unauth|reset|invalid/)]);
  expect(executed).toEqual([]);
  expect(await call(listener, callerOf(g1, await ours.open(g1)))).toMatchObject({ kind: "answer", status: 200 });
  expect((await call(listener, callerOf(b, await ours.open(b)), "/open")).kind).toBe("answer");
  expect(executed).toEqual(["/v1/promote", "/open"]);
  await listener.close();
  theirs.remove();
});

test("a caller with the certificate of another role is told which it is and which are accepted", async () => {
  const { listener } = await serve(await ours.open(a));
  expect(await call(listener, callerOf(b, await ours.open(b)))).toEqual({
    kind: "unauthorized",
    message:
      "not authenticated: the certificate is of host:notes/b in prod; accepted: for this call, one of gateway in prod",
  });
  await listener.close();
});

test("two clusters under one authority, with one secret, stay two", async () => {
  const { executed, listener } = await serve(await ours.open(a));
  // It believes the server, and names this cluster in the channel: only its certificate is of the other one.
  const other = await ours.open(g1, "staging");
  expect((await call(listener, callerOf(g1, other, "staging"))).kind).toBe("invalid");
  const pretending = changed(other, { checkServerIdentity: () => undefined });
  expect((await call(listener, callerOf(g1, pretending))).kind).toBe("unauthorized");
  expect(executed).toEqual([]);
  await listener.close();
});

test("a client sends nothing to a server whose certificate is not that of the one it means", async () => {
  const theirs = await TestAuthority.create();
  const servers = {
    "another host": await ours.open(b),
    "a gateway": await ours.open(g1),
    "a host of another cluster": await ours.open(a, "staging"),
    "another authority": await theirs.open(a),
  };
  const channel = callerOf(g1, await ours.open(g1));
  for (const [what, tls] of Object.entries(servers)) {
    const { executed, listener } = await serve(tls);
    expect([what, (await call(listener, channel)).kind, executed]).toEqual([what, "invalid", []]);
    await listener.close();
  }
  theirs.remove();
});

test("a process with certificates tells a listener in clear text nothing but the begin of a handshake", async () => {
  const received: Buffer[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", (bytes: Buffer) => {
      received.push(bytes);
      socket.end("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const answer = await callJson(
    { baseUrl: `http://127.0.0.1:${port}`, to: a, clock: systemClock, caller: callerOf(g1, await ours.open(g1)) },
    { method: "POST", path: "/v1/promote", body: {}, timeoutMs: 5_000 },
  );
  expect(answer.kind).not.toBe("answer");
  // 0x16: a handshake record (RFC 8446, 5.1).
  expect(received.map((bytes) => bytes[0])).toEqual([0x16]);
  expect(Buffer.concat(received).toString("latin1")).not.toContain("promote");
  server.close();
});

test("connections that begin no handshake are bounded in number and time, as without TLS", async () => {
  const limits = { connectionsMax: 2, connectionsPerAddressMax: 2, firstHeadMs: 200, bodyMs: 200, idleMs: 200 };
  const app = createApi({ part: "host", manual: "", log: silentLog });
  const listener = await listenApi(app, { host: "127.0.0.1", port: 0 }, { tls: await ours.open(a), limits });
  const closed = Array.from(
    { length: 3 },
    () =>
      new Promise<void>((resolve) => {
        connect(listener.port, "127.0.0.1")
          .on("error", () => undefined)
          .on("close", () => resolve());
      }),
  );
  await Promise.all(closed);
  expect(listener.connections).toBe(0);
  await listener.close();
});

/** One request to a front; resolves with the first line of the answer, or why there is none. */
const ask = (port: number, tls: SecureCalls | undefined, to: Party = a): Promise<string> =>
  new Promise((resolve) => {
    const tcp = tls === undefined ? undefined : tlsConnect(tls, to);
    const upstream = new Upstream({ host: "127.0.0.1", port, clock: systemClock, tcp });
    const end = (how: string): void => {
      resolve(how);
      upstream.abort("done");
    };
    upstream.acquire({
      mayReuseOld: true,
      onRefused: () => end("refused"),
      onConnection(connection) {
        connection.use({
          onData: (chunk) => {
            end(chunk.toString("latin1").split("\r\n")[0] ?? "");
            return undefined;
          },
          onEnd: () => end("closed"),
          onDrain: () => undefined,
          onGone: () => end("closed"),
          onExpired: () => end("expired"),
        });
        connection.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
      },
    });
  });

const openFront = (tls: ClusterTls): Promise<Front> =>
  Front.listen({ listen: { host: "127.0.0.1", port: 0 }, limits: defaultGatewayLimits, clock: systemClock, tls });

test("the front of a host serves gateways of its cluster only, and a gateway sends requests to that host only", async () => {
  const front = await openFront(await ours.open(a));
  const notPrimary = "HTTP/1.1 503 Service Unavailable";
  expect(await ask(front.port, await ours.open(g1))).toBe(notPrimary);
  expect(await ask(front.port, await ours.open(g1), b)).toBe("refused");
  expect(await ask(front.port, await ours.open(g1), anyOf("gateway"))).toBe("refused");
  expect(await ask(front.port, await ours.open(b))).toBe("closed");
  expect(await ask(front.port, await ours.open(alice))).toBe("closed");
  expect(await ask(front.port, undefined)).not.toBe(notPrimary);
  await front.close();
});

test("certificates and the authority are replaced under load, and no call and no request fails", async () => {
  const [host, gateway] = [await ours.certify(a), await ours.certify(g1)];
  const opened = { host: host.open(), gateway: gateway.open() };
  const { listener } = await serve(opened.host);
  const front = await openFront(opened.host);
  const channel = callerOf(g1, opened.gateway);
  const answers: string[] = [];
  let isOver = false;
  const load = [0, 1].map(async (kind) => {
    while (!isOver)
      answers.push(kind === 0 ? (await call(listener, channel)).kind : await ask(front.port, opened.gateway));
  });
  const someAnswers = async (): Promise<void> => {
    const before = answers.length;
    while (answers.length < before + 20) await systemClock.sleep(1);
  };
  const step = async (act: () => Promise<unknown>, ...processes: readonly ClusterTls[]): Promise<void> => {
    await act();
    for (const each of processes) {
      each.look();
      await someAnswers();
    }
  };
  await someAnswers();
  const lost = await ours.open(g1);
  await step(() => gateway.issue(ours.current), opened.gateway);
  await step(() => host.issue(ours.current), opened.host);
  const before = await ours.replace();
  if (before === undefined) throw new Error("there was an authority");
  const both = async (): Promise<void> => void [host, gateway].map((each) => each.trust(ours.current, before));
  await step(both, opened.host, opened.gateway);
  await step(() => gateway.issue(ours.current), opened.gateway);
  await step(() => host.issue(ours.current), opened.host);
  const one = async (): Promise<void> => void [host, gateway].map((each) => each.trust(ours.current));
  await step(one, opened.gateway, opened.host);
  isOver = true;
  await Promise.all(load);
  expect([...new Set(answers)].toSorted()).toEqual(["HTTP/1.1 503 Service Unavailable", "answer"]);
  // A certificate of the authority before is of no use any more.
  const pretending = changed(lost, { ca: [ours.current.cert] });
  expect((await call(listener, callerOf(g1, pretending))).kind).not.toBe("answer");
  expect(await ask(front.port, pretending)).not.toStartWith("HTTP");
  await front.close();
  await listener.close();
});

/**
 * Attack A2: connections that never begin their TLS handshake counted for no limit and had no time limit (limits 50 in
 * all and 20 per address: one address held 1,500). With the descriptors used up, the gateway took its own EMFILE for a
 * refusal of the primary and deposed a healthy primary.
 *
 * Rule: a connection counts from the moment it is accepted and has a time limit for its first request; a call that this
 * machine could not make is never evidence about a host, whatever has used up its descriptors.
 */
import { afterEach, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { connect as connectTls } from "node:tls";
import type { HttpLimits } from "../../src/http/limits.ts";
import { HttpServer } from "../../src/http/server/server.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { hasSpareDescriptors, verifyRefusal } from "../../src/runtime/tcp/refusal.ts";
import { secret, TestCluster, until } from "../support/gateway/cluster.ts";
import { certificateA } from "../support/http/certificates.ts";
import { freePorts } from "../../src/runtime/free-ports.ts";

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

async function tlsServer(limits: Partial<HttpLimits>): Promise<HttpServer> {
  const server = await HttpServer.listen({
    ...{ host: "127.0.0.1", port: 0, clock: systemClock, tls: certificateA, limits },
    onExchange: (exchange) => exchange.respond({ status: 200, body: "answered" }),
  });
  undo.push(() => server.abort());
  return server;
}

/** A connection that sends nothing. */
function silent(port: number): Socket {
  const socket = connect({ port, host: "127.0.0.1" });
  socket.on("error", () => undefined).resume();
  undo.push(() => socket.destroy());
  return socket;
}

const isClosed = ({ destroyed }: Socket): boolean => destroyed;

const answerOverTls = (port: number): Promise<string> =>
  new Promise((resolve, reject) => {
    const socket = connectTls({ port, host: "127.0.0.1", rejectUnauthorized: false });
    let received = "";
    socket.on("secureConnect", () => socket.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    socket.on("data", (chunk: Buffer) => (received += chunk.toString()));
    socket.on("error", reject);
    socket.on("close", () => resolve(received));
  });

test("a connection counts before its handshake, and the bound of one address holds", async () => {
  const server = await tlsServer({ connectionsMax: 50, connectionsPerAddressMax: 20 });
  const sockets = Array.from({ length: 100 }, () => silent(server.port));
  await until(() => sockets.filter(isClosed).length >= 80);
  await until(() => server.connections === 20);
  expect(await answerOverTls(server.port)).toEndWith("answered");
}, 20_000);

test("a connection without a handshake, or with a part of one, is closed after the time for a first request", async () => {
  const server = await tlsServer({ firstRequestMs: 200 });
  const sockets = [silent(server.port), silent(server.port), silent(server.port)];
  sockets[1]?.write(Buffer.from([0x16, 3, 1, 2, 0, 1]));
  await until(() => server.connections === 3);
  await until(() => server.connections === 0 && sockets.every(isClosed));
}, 20_000);

test("a handshake that is complete does not extend the time for the first request", async () => {
  const server = await tlsServer({ firstRequestMs: 300, idleMs: 60_000 });
  const socket = connectTls({ port: server.port, host: "127.0.0.1", rejectUnauthorized: false });
  undo.push(() => socket.destroy());
  await once(socket, "secureConnect");
  await once(socket.resume(), "close");
  expect(server.connections).toBe(0);
}, 20_000);

test("a server that drains waits for handshakes in progress, and none is counted twice", async () => {
  const server = await tlsServer({});
  for (let n = 0; n < 5; n++) expect(await answerOverTls(server.port)).toEndWith("answered");
  await until(() => server.connections === 0);
  silent(server.port);
  await until(() => server.connections === 1);
  await server.close({ drainMs: 60_000 });
  expect(server.connections).toBe(0);
}, 20_000);

/** A gateway whose process can be told to use up its descriptors. */
async function gatewayProcess(cluster: TestCluster, descriptors: number, limits: readonly string[] = []) {
  const [port = 0, adminPort = 0] = await freePorts(2);
  const file = join(cluster.folder, "stead.toml");
  const hosts = [...cluster.hosts.values()].flatMap(({ options: { id }, controlUrl }) => [
    "[[service.host]]",
    `id = "${id}"`,
    `control = "${controlUrl}"`,
  ]);
  writeFileSync(join(cluster.folder, "stead.secret"), secret, { mode: 0o600 });
  writeFileSync(
    file,
    [
      "[cluster]",
      'secret_file = "stead.secret"',
      "[gateway]",
      'id = "g1"',
      `listen = "127.0.0.1:${port}"`,
      `admin = "127.0.0.1:${adminPort}"`,
      `database = "${join(cluster.folder, "gateway.db")}"`,
      "[gateway.probe]",
      'interval = "50ms"',
      'timeout = "200ms"',
      "[gateway.limits]",
      ...limits,
      "[[service]]",
      'name = "notes"',
      ...hosts,
      "",
    ].join("\n"),
  );
  const main = new URL("A2-gateway.ts", import.meta.url).pathname;
  const child = spawn("sh", ["-c", `ulimit -n ${descriptors} && exec "$0" "$@"`, process.execPath, main, file], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  undo.push(() => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<string> => String((await lines.next()).value);
  expect(await next()).toBe("ready");
  const ask = async (path: string): Promise<{ status: number; text: string }> => {
    const answer = await fetch(`http://127.0.0.1:${adminPort}${path}`, {
      headers: { authorization: `Bearer ${secret}` },
      keepalive: false,
    });
    return { status: answer.status, text: await answer.text() };
  };
  return { port, ask, tell: (line: string) => child.stdin.write(`${line}\n`), next };
}

interface Seen {
  readonly troubles: readonly string[];
  readonly services: readonly {
    readonly epoch: number;
    readonly routedTo: string | null;
    readonly failovers: readonly { readonly kind: string }[];
    readonly hosts: readonly { readonly health: string }[];
  }[];
}

test("a gateway without descriptors takes no decision, says so, and recovers", async () => {
  const cluster = new TestCluster();
  undo.push(() => cluster.stop());
  await cluster.addHost("a", { priority: 10 });
  await cluster.addHost("b");
  const gateway = await gatewayProcess(cluster, 400);
  const status = async (): Promise<Seen> => JSON.parse((await gateway.ask("/v1/cluster")).text) as Seen;
  await until(async () => (await status()).services[0]?.routedTo === "a");
  gateway.tell("exhaust 3000");
  expect(await gateway.next()).toBe("exhausted");
  expect(await gateway.next()).toBe("freed");
  const health = await gateway.ask("/health");
  const { services, troubles } = await status();
  expect(services[0]).toMatchObject({ epoch: 1, routedTo: "a" });
  expect(services[0]?.failovers.map(({ kind }) => kind)).toEqual(["first"]);
  expect(services[0]?.hosts.map((host) => host.health)).toEqual(["up", "up"]);
  expect(troubles.join()).toContain("out of descriptors");
  expect(health).toMatchObject({ status: 503, text: expect.stringContaining("out of descriptors") });
  const metrics = (await gateway.ask("/metrics")).text;
  expect(Number(/^stead_own_shortages_total (\d+)$/m.exec(metrics)?.[1])).toBeGreaterThan(0);
  await until(async () => (await gateway.ask("/health")).status === 200);
}, 60_000);

test("no call that needs a descriptor takes its lack for a refusal: of a host, a plain host, an application, a predecessor", async () => {
  const server = await HttpServer.listen({
    ...{ host: "127.0.0.1", port: 0, clock: systemClock },
    onExchange: (exchange) => exchange.respond({ status: 200, body: "{}" }),
  });
  undo.push(() => server.abort());
  const main = new URL("A2-callers.ts", import.meta.url).pathname;
  const command = ["sh", "-c", 'ulimit -n 200 && exec "$0" "$@"', process.execPath, main, String(server.port)];
  const child = Bun.spawn(command, { stdout: "pipe", stderr: "inherit" });
  expect(JSON.parse(await new Response(child.stdout).text())).toEqual({
    call: "no-evidence",
    plain: "no-evidence",
    connection: "unmade",
    request: "unmade",
    predecessor: "unknown",
  });
}, 30_000);

test("idle connections beyond the limit of open files leave the gateway its descriptors", async () => {
  const cluster = new TestCluster();
  undo.push(() => cluster.stop());
  await cluster.addHost("a", { priority: 10 });
  await cluster.addHost("b");
  const gateway = await gatewayProcess(cluster, 600, ["connections_per_address = 10000"]);
  await until(async () => (await gateway.ask("/health")).status === 200);
  const sockets = Array.from({ length: 1500 }, () => silent(gateway.port));
  await until(() => sockets.filter(isClosed).length > 1200);
  const { troubles, services } = JSON.parse((await gateway.ask("/v1/cluster")).text) as Seen;
  expect(services[0]?.epoch).toBe(1);
  expect(troubles.join()).toContain("gateway.limits.connections");
  expect(troubles.join()).not.toContain("out of descriptors");
}, 60_000);

test("more connections than the limit of open files allows refuse the start, with what is accepted", async () => {
  const { checkConnections, fittingConnections } = await import("../../src/http/server/descriptor-room.ts");
  expect(checkConnections("gateway.limits.connections", 500, 1000)).toEqual({
    found: "gateway.limits.connections = 500, and a limit of 1000 open files",
    accepted: "at most 436 connections, or at least 1128 open files",
    advice: expect.stringContaining("LimitNOFILE="),
  });
  expect(checkConnections("gateway.limits.connections", 436, 1000)).toBeUndefined();
  expect(fittingConnections(10_000, 1000)).toBe(436);
  expect(fittingConnections(10_000, 1_000_000)).toBe(10_000);
});

test("a refusal is believed only when it is repeated with descriptors to spare", async () => {
  const [closed = 0] = await freePorts(1);
  const verdict = (url: string): Promise<string> => new Promise((resolve) => verifyRefusal(new URL(url), resolve));
  expect(hasSpareDescriptors()).toBe(true);
  expect(await verdict(`http://127.0.0.1:${closed}`)).toBe("refused");
  expect(await verdict(`http://localhost:${closed}`)).toBe("refused");
  const server = await tlsServer({});
  expect(await verdict(`http://127.0.0.1:${server.port}`)).toBe("reached");
});

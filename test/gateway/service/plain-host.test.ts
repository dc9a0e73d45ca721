/** Plain hosts: ordinary HTTP servers behind a real gateway, routed, held and failed over between. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { parseConfig } from "../../../src/config/load.ts";
import { TestCluster, until } from "../../support/gateway/cluster.ts";

class PlainServer {
  seen: string[] = [];
  well = true;
  authorization: string | undefined;
  readonly #name: string;
  #server: Server | null = null;
  port = 0;

  constructor(name: string) {
    this.#name = name;
  }

  async start(): Promise<this> {
    const server = createServer((request, response) => {
      this.authorization ??= request.headers.authorization;
      if (request.url === "/health") return void response.writeHead(this.well ? 200 : 503).end();
      this.seen.push(`${request.method} ${request.url}`);
      request.resume().on("end", () => response.end(JSON.stringify({ host: this.#name })));
    });
    await new Promise<void>((resolve) => server.listen(this.port, "127.0.0.1", resolve));
    this.port = (server.address() as AddressInfo).port;
    this.#server = server;
    return this;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    server?.closeAllConnections();
    await new Promise<void>((resolve) => (server === null ? resolve() : server.close(() => resolve())));
  }
}

let cluster: TestCluster;
let a: PlainServer;
let b: PlainServer;
beforeEach(async () => {
  cluster = new TestCluster();
  a = await new PlainServer("a").start();
  b = await new PlainServer("b").start();
  const hosts = [a, b].map(({ port }, nth) => ({
    id: "ab".charAt(nth),
    controlUrl: `plain:http://127.0.0.1:${port}/health`,
    priority: 2 - nth,
    nofailover: undefined,
  }));
  await cluster.startGateway({
    services: [{ name: "notes", match: { host: undefined, path: undefined }, hosts, rejoin: "auto", firstByte: [] }],
  });
  await cluster.serving();
});
afterEach(async () => {
  await cluster.stop();
  await Promise.all([a.stop(), b.stop()]);
});

test("the plain host that is preferred gets the requests, and never the cluster's secret", async () => {
  expect(await cluster.ask()).toEqual({ status: 200, host: "a" });
  expect(await cluster.ask("POST")).toEqual({ status: 200, host: "a" });
  expect([a.authorization, b.authorization]).toEqual([undefined, undefined]);
});

test("when the preferred plain host is gone, requests are held and answered by the other one", async () => {
  await a.stop();
  expect(await Promise.all(Array.from({ length: 20 }, () => cluster.ask("POST")))).toEqual(
    Array.from({ length: 20 }, () => ({ status: 200, host: "b" })),
  );
  expect(b.seen).toHaveLength(20);
  await a.start();
  await until(() => cluster.service().hosts.find(({ id }) => id === "a")?.health === "up");
  expect(await cluster.ask()).toEqual({ status: 200, host: "b" });
});

test("a health path that answers 503 moves the traffic although requests still succeed", async () => {
  a.well = false;
  await cluster.serving("a");
  expect(await cluster.ask()).toEqual({ status: 200, host: "b" });
});

test("a switchover moves the traffic on order", async () => {
  expect(await cluster.client.switchover({ host: "b" })).toMatchObject({ kind: "ok", value: { primary: "b" } });
  expect(await cluster.ask()).toEqual({ status: 200, host: "b" });
});

const text = (hosts: string, gateway = ""): string =>
  `[cluster]\nsecret = "0123456789abcdef"\n[gateway]\nid = "g"\nlisten = "127.0.0.1:0"\ndatabase = "g.db"\n${gateway}\n[[service]]\nname = "notes"\n${hosts}`;
const plain = (id: string, more = `url = "http://127.0.0.1:${id.charCodeAt(0)}"`): string =>
  `[[service.host]]\nid = "${id}"\ncontrol = "none"\n${more}\n`;

test.each([
  [
    "mixed with a controlled one",
    text(`${plain("a")}[[service.host]]\nid = "b"\ncontrol = "http://127.0.0.1:7701"\n`),
    "beside hosts with a control API",
  ],
  ["without its url", text(plain("a", "")), '"none" without url'],
  ["together with peers", text(plain("a"), 'peers = ["http://10.0.0.2:7700"]'), "peers together with hosts"],
  [
    "twice at one address",
    text(plain("a", 'url = "http://127.0.0.1:1"') + plain("b", 'url = "http://127.0.0.1:1"')),
    "the address of",
  ],
])("a plain host %s is refused", (_name, content, found) => {
  const result = parseConfig("/etc/stead.toml", content, { env: {} });
  expect(result.kind === "invalid" ? result.problems.map((problem) => problem.found).join("\n") : "accepted").toContain(
    found,
  );
});

test("plain hosts are read from the file", () => {
  const result = parseConfig(
    "/etc/stead.toml",
    text(plain("a") + plain("b", 'url = "http://127.0.0.1:8081"\nhealth = "/up"')),
    { env: {} },
  );
  expect(
    result.kind === "ok" ? result.config.services[0]?.hosts.map(({ controlUrl }) => controlUrl) : result.problems,
  ).toEqual(["plain:http://127.0.0.1:97/", "plain:http://127.0.0.1:8081/up"]);
});

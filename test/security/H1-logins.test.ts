/**
 * Attack H1: an application that logs in connections (NTLM, Negotiate) served client B, who had no credentials, as
 * "alice", because a gateway and a host share their upstream connections between clients.
 *
 * Rule: once a request with such credentials, or an answer that asks for them, has passed on a connection, that
 * connection belongs to the client connection it was used for until this ends, at every hop.
 */
import { afterEach, expect, test } from "bun:test";
import { createServer, type Socket } from "node:net";
import { defaultHttpLimits, type HttpLimits } from "../../src/http/limits.ts";
import { HttpServer } from "../../src/http/server/server.ts";
import { Upstream } from "../../src/http/upstream/upstream.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { until } from "../support/gateway/cluster.ts";
import { RawClient } from "../support/http/raw-client.ts";

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

/** An application that serves each request of a connection as the user who logged in on it. */
async function application(scheme: string, challenge = `WWW-Authenticate: ${scheme}`) {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket)).on("error", () => undefined);
    let user = "";
    let rest = "";
    socket.on("data", (chunk) => {
      rest += chunk.toString("latin1");
      for (let end = rest.indexOf("\r\n\r\n"); end !== -1; end = rest.indexOf("\r\n\r\n")) {
        const head = rest.slice(0, end);
        rest = rest.slice(end + 4);
        const token = new RegExp(`authorization: *${scheme} (\\S+)`, "i").exec(head)?.[1];
        if (token?.startsWith("user-") === true) user = token.slice(5);
        const body = user === "" ? "anonymous" : user;
        const status = user === "" && !head.startsWith("GET /public") ? `401 Unauthorized\r\n${challenge}` : "200 OK";
        socket.write(`HTTP/1.1 ${status}\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  undo.push(
    () => server.close(),
    () => sockets.forEach((socket) => socket.destroy()),
  );
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return { port: address.port, sockets };
}

async function hop(port: number, upstreamIsHost: boolean, limits: Partial<HttpLimits> = {}) {
  const upstream = new Upstream({ host: "127.0.0.1", port, clock: systemClock, limits });
  const server = await HttpServer.listen({
    ...{ host: "127.0.0.1", port: 0, clock: systemClock, limits },
    onExchange: async (exchange) => {
      const { kind } = await exchange.forward(upstream, { upstreamIsHost });
      if (kind !== "completed" && !exchange.hasResponseStarted) await exchange.respond({ status: 502, body: kind });
    },
  });
  undo.push(
    () => upstream.abort("over"),
    () => server.abort(),
  );
  return { port: server.port, upstream };
}

class Client {
  readonly #client: RawClient;
  #seen = 0;

  private constructor(client: RawClient) {
    this.#client = client;
  }

  static async connect(port: number): Promise<Client> {
    const client = await RawClient.connect(port);
    undo.push(() => client.destroy());
    return new Client(client);
  }

  /** Returns status and body of the answer, as `200 alice`. */
  async ask(fields = "", path = "/"): Promise<string> {
    this.#client.send(`GET ${path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
    const answer = /HTTP\/1\.1 (\d+)[^]*?Content-Length: (\d+)[^]*?\r\n\r\n/;
    let status = "";
    let body = "";
    await this.#client.until((received) => {
      const found = answer.exec(received.slice(this.#seen));
      if (found === null) return false;
      const from = this.#seen + found.index + found[0].length;
      if (received.length < from + Number(found[2])) return false;
      status = found[1] ?? "";
      body = received.slice(from, from + Number(found[2]));
      this.#seen = from + body.length;
      return true;
    });
    return `${status} ${body}`;
  }

  destroy(): void {
    this.#client.destroy();
  }
}

for (const scheme of ["NTLM", "Negotiate", "ntlm"])
  test(`${scheme}: no other client is served as the one that logged in, through gateway and host`, async () => {
    const { port, sockets } = await application(scheme);
    const front = await hop(port, false);
    const gateway = await hop(front.port, true);
    const alice = await Client.connect(gateway.port);
    expect(await alice.ask()).toBe("401 anonymous");
    expect(await alice.ask(`Authorization: ${scheme} user-alice\r\n`)).toBe("200 alice");
    expect(await alice.ask()).toBe("200 alice");
    const others = await Promise.all(Array.from({ length: 5 }, () => Client.connect(gateway.port)));
    for (const other of others) expect(await other.ask("", "/public")).toBe("200 anonymous");
    const bob = await Client.connect(gateway.port);
    expect(await bob.ask()).toBe("401 anonymous");
    expect(await bob.ask(`Authorization: ${scheme} user-bob\r\n`)).toBe("200 bob");
    expect(await alice.ask()).toBe("200 alice");
    expect(await bob.ask("", "/public")).toBe("200 bob");
    // Their connections end with them, down to the application, and serve no one else.
    alice.destroy();
    bob.destroy();
    for (const other of others) other.destroy();
    await until(() => gateway.upstream.stats.connections === gateway.upstream.stats.unused);
    for (let n = 0; n < 10; n++)
      expect(await (await Client.connect(gateway.port)).ask("", "/public")).toBe("200 anonymous");
    expect(sockets.size).toBeLessThan(20);
  }, 20_000);

test("credentials in the first request, without a challenge before, pin the connection as well", async () => {
  const { port } = await application("NTLM");
  const { port: proxy } = await hop(port, true);
  const alice = await Client.connect(proxy);
  expect(await alice.ask("Proxy-Authorization: Basic x\r\nAuthorization: NTLM user-alice\r\n")).toBe("200 alice");
  expect(await (await Client.connect(proxy)).ask("", "/public")).toBe("200 anonymous");
});

for (const challenge of [
  'WWW-Authenticate: Basic realm="a", Negotiate',
  "WWW-Authenticate: Basic\r\nWWW-Authenticate: NTLM",
  "WWW-Authenticate: NEGOTIATE",
  "Proxy-Authenticate: NTLM",
  "Persistent-Auth: true",
])
  test(`an answer with ${JSON.stringify(challenge)} pins the connection`, async () => {
    const { port } = await application("Session", challenge);
    const { port: proxy } = await hop(port, true);
    const alice = await Client.connect(proxy);
    expect(await alice.ask()).toBe("401 anonymous");
    // From here on nothing in the heads says that the connection is logged in.
    expect(await alice.ask("Authorization: Session user-alice\r\n")).toBe("200 alice");
    expect(await (await Client.connect(proxy)).ask("", "/public")).toBe("200 anonymous");
    expect(await alice.ask()).toBe("200 alice");
  });

test("ordinary credentials pin nothing: connections stay shared", async () => {
  const { port } = await application("NTLM", 'WWW-Authenticate: Basic realm="a", Bearer');
  const { port: proxy, upstream } = await hop(port, true);
  for (const credentials of ["Basic bmVnb3RpYXRl", "Bearer ntlm", "Digest username=negotiate"])
    expect(await (await Client.connect(proxy)).ask(`Authorization: ${credentials}\r\n`)).toBe("401 anonymous");
  expect(upstream.stats).toMatchObject({ connected: 1, unused: 1 });
});

test("pinned connections do not use up the bound of shared ones", async () => {
  const { port } = await application("NTLM");
  const { port: proxy } = await hop(port, true, { upstreamConnectionsMax: 1 });
  const clients = await Promise.all(Array.from({ length: 5 }, () => Client.connect(proxy)));
  for (const client of clients) expect(await client.ask("Authorization: NTLM user-x\r\n")).toBe("200 x");
  expect(await (await Client.connect(proxy)).ask("", "/public")).toBe("200 anonymous");
});

test("a pinned connection that the application has closed is replaced by one that is not logged in", async () => {
  const { port, sockets } = await application("NTLM");
  const { port: proxy, upstream } = await hop(port, true);
  const alice = await Client.connect(proxy);
  expect(await alice.ask("Authorization: NTLM user-alice\r\n")).toBe("200 alice");
  for (const socket of sockets) socket.destroy();
  await until(() => upstream.stats.connections === 0);
  expect(await alice.ask()).toBe("401 anonymous");
  expect(await alice.ask("Authorization: NTLM user-alice\r\n")).toBe("200 alice");
  upstream.drain("the host steps down");
  expect(upstream.stats.connections).toBe(0);
  expect(defaultHttpLimits.idleMs).toBeGreaterThan(defaultHttpLimits.upstreamIdleMs);
});

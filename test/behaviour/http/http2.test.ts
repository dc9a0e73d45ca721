/** HTTP/2 in front, by real clients: node:http2, and curl where it is. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { connect as connectHttp2, type ClientHttp2Session, type IncomingHttpHeaders } from "node:http2";
import { connect as connectTls } from "node:tls";
import { proxyAppServer } from "../../../src/gateway/route/proxy-app.ts";
import { forwardedFields } from "../../../src/http/proxy/forwarded-fields.ts";
import { certificateA } from "../../support/http/certificates.ts";
import { proxied, type Proxied } from "../../support/http/proxied.ts";
import { answerEach, type BackendConnection } from "../../support/http/raw-backend.ts";
import { waitFor } from "../../support/http/raw-client.ts";

let proxy: Proxied;
let session: ClientHttp2Session;
let onData: (connection: BackendConnection) => void = () => undefined;
/** The last head that the upstream got. */
let seen = "";

const start = (limits: Record<string, number> = {}): Promise<Proxied> =>
  proxied({
    limits: { bodyBytesMax: 1_000_000, ...limits },
    server: { tls: certificateA, app: (server) => proxyAppServer(server, ["h2"]) },
    forward: {
      editRequestFields: forwardedFields({ trustedProxies: [], underscoreFields: "drop" }),
    },
    onData: (connection) => onData(connection),
  });
const open = (port: number): ClientHttp2Session =>
  connectHttp2(`https://127.0.0.1:${port}`, { rejectUnauthorized: false });

beforeAll(async () => {
  proxy = await start();
  session = open(proxy.server.port);
});
afterAll(async () => {
  session.destroy();
  await proxy[Symbol.asyncDispose]();
});
beforeEach(() => {
  onData = () => undefined;
});

/** Answers each whole request without a body. */
const answering = (answer: string): void => {
  onData = answerEach(answer, (request) => (seen = request));
};

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly hints: IncomingHttpHeaders[];
  readonly trailers: IncomingHttpHeaders | undefined;
  readonly body: string;
  readonly code: number;
}

function ask(fields: Record<string, string | string[]>, body?: string, by = session): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const stream = by.request(fields, { endStream: body === undefined });
    const hints: IncomingHttpHeaders[] = [];
    let headers: IncomingHttpHeaders = {};
    let trailers: IncomingHttpHeaders | undefined;
    let text = "";
    stream.on("headers", (found) => hints.push(found));
    stream.on("response", (found) => (headers = found));
    stream.on("trailers", (found) => (trailers = found));
    stream.on("data", (chunk: Buffer) => (text += chunk.toString("latin1")));
    stream.on("error", () => undefined);
    stream.on("close", () =>
      resolve({ status: Number(headers[":status"]), headers, hints, trailers, body: text, code: stream.rstCode ?? 0 }),
    );
    stream.on("timeout", reject);
    if (body !== undefined) stream.end(body);
  });
}

describe("a request", () => {
  test("reaches the upstream with its exact target, its cookies in one field, and the client's address", async () => {
    answering("HTTP/1.1 418 Teapot\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 5\r\n\r\nshort");
    const answer = await ask({
      ":path": "/a/../b//%2e?q=%20",
      ":authority": "notes.example",
      cookie: ["c=1", "d=2"],
      "x-own": "z",
      te: "trailers",
    });
    expect(answer).toMatchObject({ status: 418, body: "short" });
    expect(answer.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
    expect(seen).toStartWith("GET /a/../b//%2e?q=%20 HTTP/1.1\r\n");
    const lines = seen.toLowerCase().split("\r\n");
    for (const line of ["host: notes.example", "cookie: c=1; d=2", "x-own: z", "x-forwarded-proto: https"])
      expect(lines).toContain(line);
    expect(lines).toContain("x-forwarded-for: 127.0.0.1");
  });

  test("has its body, and HEAD has none", async () => {
    onData = (connection) => {
      if (!connection.received.endsWith("0\r\n\r\n")) return;
      const length = connection.received.length.toString(16);
      connection.socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${length}\r\n`);
      connection.socket.write(`${connection.received}\r\n0\r\n\r\n`, "latin1");
      connection.received = "";
    };
    const body = "0123456789".repeat(30_000);
    const posted = await ask({ ":method": "POST" }, body);
    expect([posted.status, posted.body.length > body.length, posted.code]).toEqual([200, true, 0]);
    answering("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    expect(await ask({ ":method": "HEAD" })).toMatchObject({ status: 200, body: "" });
  });

  test("with a body that is shorter or longer than it says does not reach the upstream whole", async () => {
    let whole = 0;
    onData = ({ received }) => {
      if (received.includes("\r\n\r\nhello")) whole++;
    };
    const short = await ask({ ":method": "POST", "content-length": "5" }, "hel");
    expect([short.status === 200, whole]).toEqual([false, 0]);
  });

  test("beyond the limits of the data plane gets its refusal", async () => {
    expect((await ask({ ":path": `/${"x".repeat(8_192)}` })).status).toBe(414);
    expect((await ask({ ":method": "POST" }, "x".repeat(1_000_001))).status).toBe(413);
  });
});

describe("an answer", () => {
  test("has its trailers: a call of gRPC ends with its status", async () => {
    answering(
      "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\nTrailer: Grpc-Status\r\n\r\n" +
        "7\r\n\0\0\0\0\x02hi\r\n0\r\nGrpc-Status: 0\r\nGrpc-Message: fine\r\n\r\n",
    );
    const answer = await ask({ ":method": "POST", "content-type": "application/grpc", te: "trailers" }, "\0\0\0\0\0");
    expect(answer).toMatchObject({
      ...{ status: 200, body: "\0\0\0\0\x02hi", code: 0 },
      trailers: { "grpc-status": "0", "grpc-message": "fine" },
    });
  });

  test("has its early hints before it", async () => {
    answering(
      "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    const answer = await ask({});
    expect(answer).toMatchObject({ status: 200, body: "ok" });
    expect(answer.hints[0]).toMatchObject({ ":status": 103, link: "</a.css>; rel=preload" });
  });

  test("begins while the request's body is still being sent, and continues with it", async () => {
    onData = (connection) => {
      if (connection.received.includes("first"))
        connection.socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n");
      if (connection.received.includes("last")) connection.socket.write("4\r\ndone\r\n0\r\n\r\n");
      connection.received = "";
    };
    const stream = session.request({ ":method": "POST" }, { endStream: false });
    stream.write("first");
    let body = "";
    stream.on("data", (chunk: Buffer) => (body += chunk.toString()));
    await waitFor(() => body === "part");
    stream.end("last");
    await waitFor(() => body === "partdone");
  });

  test("that is lost in the middle is a broken stream, not an end, and the connection continues", async () => {
    onData = ({ socket }) => {
      socket.write("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nx");
      socket.destroy();
    };
    const answer = await ask({});
    expect(answer.code).not.toBe(0);
    answering("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    expect((await ask({})).body).toBe("ok");
  });

  test("has no fields of a connection", async () => {
    answering(
      "HTTP/1.1 200 OK\r\nUpgrade: h2c\r\nConnection: upgrade, x-hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=1\r\nContent-Length: 0\r\n\r\n",
    );
    const { status, headers } = await ask({});
    expect([status, headers["upgrade"], headers["x-hop"], headers["keep-alive"]]).toEqual([
      200,
      undefined,
      undefined,
      undefined,
    ]);
  });
});

test("a client that cancels its stream ends its request upstream", async () => {
  onData = ({ socket }) => void socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
  const stream = session.request({});
  stream.on("error", () => undefined);
  await new Promise((resolve) => stream.once("data", resolve));
  const connection = proxy.backend.last;
  stream.close(8);
  await waitFor(() => connection.ended || connection.closed);
});

test("a client without HTTP/2 is served by the listener's own code on the same port", async () => {
  answering("HTTP/1.1 299 Own Words\r\nX-Odd-CASE: 1\r\nContent-Length: 0\r\n\r\n");
  const socket = connectTls({
    port: proxy.server.port,
    host: "127.0.0.1",
    rejectUnauthorized: false,
    ALPNProtocols: ["http/1.1"],
  });
  let received = "";
  socket.on("data", (chunk: Buffer) => (received += chunk.toString("latin1")));
  socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await waitFor(() => received.includes("\r\n\r\n"));
  expect(received).toStartWith("HTTP/1.1 299 Own Words\r\nX-Odd-CASE: 1\r\n");
  socket.destroy();
});

test("one connection counts once, whatever its streams; an idle one is closed in time", async () => {
  const own = await start({ idleMs: 150, firstRequestMs: 5_000 });
  const client = open(own.server.port);
  onData = () => undefined;
  const streams = [1, 2, 3].map(() => client.request({}));
  for (const each of streams) each.on("error", () => undefined);
  await waitFor(() => own.server.activeExchanges === 3);
  expect(own.server.connections).toBe(1);
  for (const each of streams) each.close(8);
  await waitFor(() => own.server.activeExchanges === 0);
  await waitFor(() => client.closed || client.destroyed);
  await waitFor(() => own.server.connections === 0);
  await own[Symbol.asyncDispose]();
});

test("a server that drains finishes the streams that it has, and takes no others", async () => {
  const own = await start();
  const client = open(own.server.port);
  client.on("error", () => undefined);
  let upstream: BackendConnection | undefined;
  onData = (connection) => void (upstream = connection);
  const answer = ask({}, undefined, client);
  await waitFor(() => upstream !== undefined);
  const closed = own.server.close({ drainMs: 5_000 });
  await waitFor(() => client.closed);
  upstream?.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlast");
  expect(await answer).toMatchObject({ status: 200, body: "last", code: 0 });
  await closed;
  expect(own.server.connections).toBe(0);
  await own[Symbol.asyncDispose]();
});

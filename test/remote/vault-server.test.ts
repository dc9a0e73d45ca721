import { afterEach, beforeEach, expect, test } from "bun:test";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { SessionKey } from "../../src/remote/session.ts";
import { messageBytesMax } from "../../src/remote/wire.ts";
import { RemoteStore } from "../../src/remote/remote-store.ts";
import { failureOf } from "../support/vault/log-fixture.ts";
import { clientOf, makeServedFolder, secret, type ServedFolder } from "../support/remote/served-vault.ts";

let served: ServedFolder;
beforeEach(async () => {
  served = await makeServedFolder();
});
afterEach(() => served.dispose());

/** What the server sends back, until it closes or has sent an answer. */
async function answerTo(socket: Socket, text: string): Promise<string> {
  socket.write(text);
  const [chunk] = (await once(socket, "data")) as [Buffer];
  return chunk.toString();
}

const raw = (): Socket => connect(served.port, "127.0.0.1");
const request = (method: string, target: string, body: string, more = ""): string =>
  `${method} ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${more}\r\n${body}`;
const nonce = "0123456789abcdef0123456789abcdef";

async function session(socket: Socket): Promise<SessionKey> {
  const answer = await answerTo(socket, request("POST", "/v1/session", JSON.stringify({ client: nonce })));
  const { server } = JSON.parse(answer.slice(answer.indexOf("\r\n\r\n"))) as { server: string };
  return new SessionKey(secret, nonce, server);
}
const signed = (key: SessionKey, number: number, method: string, target: string, body = ""): string => {
  const signature = key.signRequest(number, { method, target, body: Buffer.from(body) });
  return request(method, target, body, `Stead-Signature: ${signature}\r\n`);
};

test("a client with another secret is told so, and nothing is sent to a server that does not prove it", async () => {
  const store = new RemoteStore(clientOf(served.port, { secrets: () => ["another secret of length"] }));
  expect(await failureOf(store.get("identity.json"))).toMatchObject({
    kind: "unavailable",
    found: expect.stringContaining("does not have this cluster's secret"),
    advice: expect.stringContaining("[cluster]"),
  });
});

test("a request is answered once, on its own connection, with its own target and body", async () => {
  const [first, second] = [raw(), raw()];
  const key = await session(first);
  const put = signed(key, 0, "PUT", "/v1/objects/probes/a", "one");
  await session(second);
  expect(await answerTo(second, put)).toStartWith("HTTP/1.1 401");
  expect(await answerTo(first, put)).toStartWith("HTTP/1.1 201");
  expect(await answerTo(first, put)).toStartWith("HTTP/1.1 401");
  const third = raw();
  const other = signed(await session(third), 0, "PUT", "/v1/objects/probes/b", "one");
  expect(await answerTo(third, other.replace("probes/b", "probes/c"))).toStartWith("HTTP/1.1 401");
  const store = served.open();
  expect(await store.list("probes/")).toEqual(["probes/a"]);
  for (const socket of [first, second, third]) socket.destroy();
});

test("nothing but a greeting is accepted before the secret is proved, and a long body never is", async () => {
  for (const [text, status] of [
    [request("GET", "/v1/log/1", ""), 401],
    [request("PUT", "/v1/objects/probes/a", "x"), 401],
    ["PUT /v1/log/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n", 413],
    ["PUT /v1/log/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", 400],
    [request("POST", "/v1/session", '{"client": 7}'), 400],
  ] as const) {
    const socket = raw();
    expect(await answerTo(socket, text)).toStartWith(`HTTP/1.1 ${status}`);
    socket.destroy();
  }
  const socket = raw();
  const key = await session(socket);
  expect(await answerTo(socket, signed(key, 0, "GET", "/v1/log/boundary"))).toStartWith("HTTP/1.1 200");
  const head = `PUT /v1/log/1 HTTP/1.1\r\nHost: x\r\nContent-Length: ${messageBytesMax + 1}\r\n\r\n`;
  expect(await answerTo(socket, head)).toStartWith("HTTP/1.1 413");
  socket.destroy();
});

test("objects of the log are not written as objects, and keys that lead out of the vault do not exist", async () => {
  const store = served.open();
  for (const key of ["claims/0000000000000099", "seals/x", "marks/x", "segments/x", "large/x", "identity.json"]) {
    expect(await failureOf(store.putIfAbsent(key, new Uint8Array()))).toMatchObject({ kind: "denied" });
    expect(await failureOf(store.delete(key))).toMatchObject({ kind: "denied" });
  }
  const socket = raw();
  const key = await session(socket);
  expect(await answerTo(socket, signed(key, 0, "GET", "/v1/objects/../../etc/passwd"))).toStartWith("HTTP/1.1 400");
  socket.destroy();
});

test("its health needs no secret, and its status does", async () => {
  const get = async (path: string, headers = {}): Promise<Response> =>
    fetch(`http://127.0.0.1:${served.port}${path}`, { headers });
  expect((await get("/health")).status).toBe(200);
  expect((await get("/status")).status).toBe(401);
  const status = await get("/status", { authorization: `Bearer ${secret}` });
  expect(await status.json()).toMatchObject({ service: "notes", position: 0, boundary: 0 });
});

test("a listing of many keys comes in pages, whole and in order", async () => {
  const store = served.open();
  const keys = Array.from({ length: 25 }, (_, index) => `probes/h/${String(index).padStart(3, "0")}`);
  await Promise.all(keys.map((key) => store.putIfAbsent(key, new Uint8Array())));
  expect(await store.list("probes/")).toEqual(keys);
  expect(await store.list("probes/", { limit: 7, after: "probes/h/003" })).toEqual(keys.slice(4, 11));
});

test("a call that takes too long ends: a put is ambiguous then, and a read may be repeated", async () => {
  const silent = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data: () => undefined } });
  const store = new RemoteStore(clientOf(silent.port, { timeoutMs: 50 }));
  expect(await failureOf(store.get("identity.json"))).toMatchObject({ kind: "unavailable" });
  silent.stop(true);
  expect(await failureOf(store.putIfAbsent("probes/a", new Uint8Array()))).toMatchObject({ kind: "unavailable" });
});

test("an object that is larger than its reader accepts is refused before it is read", async () => {
  const store = served.open();
  await store.putIfAbsent("probes/a", new Uint8Array(1_000));
  expect(await failureOf(store.get("probes/a", 999))).toMatchObject({
    kind: "strange-object",
    what: "1000 bytes long",
  });
  expect((await store.get("probes/a", 1_000))?.length).toBe(1_000);
});

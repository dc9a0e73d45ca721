/**
 * Attacks on the channel itself, by one who can read, change, repeat, delay and answer everything between two
 * processes: replay, also after a restart; another body, path, method or field under the code of a call; an answer
 * given to another call or sent back as a request; lines of a stream cut, repeated, exchanged; a call passed to another
 * host, or to another cluster with the same secret; guesses without end.
 *
 * Rule: src/control/channel/transcript.ts.
 */
import { expect, test } from "bun:test";
import { type AddressInfo, connect, createServer as createTcpServer } from "node:net";
import { ChannelClient } from "../../src/control/channel/client.ts";
import { FrameReader, FrameWriter } from "../../src/control/channel/frames.ts";
import { Keyring } from "../../src/control/channel/keyring.ts";
import { ChannelServer } from "../../src/control/channel/server.ts";
import { answerField, anyOf, hostParty, operator, type Party } from "../../src/control/channel/transcript.ts";
import { callJson, callLines } from "../../src/control/json-call.ts";
import { createApi } from "../../src/control/server/api.ts";
import { authenticate, clusterSecret } from "../../src/control/server/authentication.ts";
import { sealedChannel } from "../../src/control/server/channel.ts";
import { limitGuesses } from "../../src/control/server/guess-limit.ts";
import { type ApiListener, listenApi } from "../../src/control/server/listener.ts";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";

const secret = "a-secret-of-the-tests-only";
const a = hostParty("notes", "a");
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** A server that counts what it executes. */
class Counting {
  executed: string[] = [];
  warnings: string[] = [];
  listener: ApiListener | undefined;

  async listen(port = 0, keyring = new Keyring([secret]), self: Party = a, clock: Clock = systemClock): Promise<this> {
    const log = {
      ...silent,
      warn: (what: string, fields: object = {}) => void this.warnings.push(`${what} ${JSON.stringify(fields)}`),
    };
    const app = createApi({ part: "host", manual: "docs/CONTROL-API.md", log });
    app.use(limitGuesses({ clock, log }), sealedChannel(new ChannelServer(keyring, self, clock)));
    app.use(authenticate(clusterSecret(secret)));
    app.all("*", async (c) => {
      this.executed.push(`${c.req.method} ${c.req.path} ${await c.req.text()}`);
      return c.json({ executed: this.executed.length });
    });
    this.listener = await listenApi(app, { host: "127.0.0.1", port });
    return this;
  }

  get port(): number {
    return this.listener?.port ?? 0;
  }

  async close(): Promise<void> {
    await this.listener?.close();
  }
}

const optionsOf = (port: number, to: Party = anyOf("host"), keyring = new Keyring([secret])) => ({
  ...{ baseUrl: `http://127.0.0.1:${port}`, to, clock: systemClock },
  caller: new ChannelClient(keyring, operator, systemClock),
});
const order = { method: "POST", path: "/v1/promote", body: { epoch: 8 }, timeoutMs: 5_000 } as const;

type Change = (bytes: Buffer, nth: number) => Buffer;

/** A wire that keeps each request, and changes what passes; `nth` counts connections. */
async function wire(port: number, request: Change, answer: Change = (bytes) => bytes) {
  const kept: Buffer[] = [];
  const server = createTcpServer((socket) => {
    const nth = kept.push(Buffer.alloc(0)) - 1;
    const other = connect(port, "127.0.0.1");
    for (const each of [socket, other])
      each.on("error", () => undefined).on("close", () => (socket.destroy(), other.destroy()));
    socket.on("data", (bytes: Buffer) => {
      kept[nth] = Buffer.concat([kept[nth] ?? Buffer.alloc(0), bytes]);
      other.write(request(bytes, nth));
    });
    other.on("data", (bytes: Buffer) => socket.write(answer(bytes, nth)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { kept, server, port: (server.address() as AddressInfo).port };
}

/** Sends bytes as they are; returns the status. */
const send = (port: number, bytes: Buffer): Promise<number> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
    socket.on("error", () => resolve(0));
    socket.once("data", (answer) => {
      resolve(Number(/^HTTP\/1.1 (\d+)/.exec(answer.toString("latin1"))?.[1] ?? 0));
      socket.destroy();
    });
  });

const replaced =
  (from: string, to: string): Change =>
  (bytes) => {
    const text = bytes.toString("latin1");
    return Buffer.from(text.replace(from, to), "latin1");
  };

test("a first call costs a second round trip, later ones none; the call is executed once", async () => {
  const server = await new Counting().listen();
  const line = await wire(server.port, (bytes) => bytes);
  const options = optionsOf(line.port);
  for (let nth = 1; nth <= 3; nth++)
    expect(await callJson(options, order)).toEqual({ kind: "answer", status: 200, body: { executed: nth } });
  expect([line.kept.length, server.executed.length]).toEqual([4, 3]);
  expect(server.executed[0]).toBe('POST /v1/promote {"epoch":8}');
  line.server.close();
  await server.close();
});

test("a call that is repeated is not executed again, not even by the next run of the server", async () => {
  const server = await new Counting().listen();
  const line = await wire(server.port, (bytes) => bytes);
  await callJson(optionsOf(line.port), order);
  const { port } = server;
  for (const bytes of line.kept) expect(await send(port, bytes)).toBe(401);
  expect(server.executed.length).toBe(1);
  await server.close();
  const next = await new Counting().listen(port);
  for (const bytes of line.kept) expect(await send(port, bytes)).toBe(401);
  expect(next.executed).toEqual([]);
  line.server.close();
  await next.close();
});

test("a call that was held back is not executed after its time, and is signed again when its sender still wants it", async () => {
  let nowMs = 0;
  const clock: Clock = { ...systemClock, now: () => nowMs };
  const server = await new Counting().listen(0, undefined, a, clock);
  const line = await wire(server.port, (bytes) => bytes);
  const options = optionsOf(line.port);
  await callJson(options, order);
  nowMs += 31_000;
  expect(await send(server.port, line.kept[1] ?? Buffer.alloc(0))).toBe(401);
  expect(server.executed.length).toBe(1);
  // The client's clock did not move: its estimate is 31 s behind, as after a pause of its machine.
  expect(await callJson(options, order)).toMatchObject({ kind: "answer", status: 200 });
  expect(server.executed.length).toBe(2);
  line.server.close();
  await server.close();
});

test("nothing of a call can be changed: body, path, method, fields, nor the host that is meant", async () => {
  const changes: [string, string][] = [
    ['{"epoch":8}', '{"epoch":9}'],
    ["/v1/promote", "/v1/restore"],
    ["/v1/promote", "/v1/promote?x"],
    ["POST", "PUT"],
    ["stead-gateway: gw1", "stead-gateway: gw2"],
    ["stead-gateway: gw1\r\n", ""],
    ["accept:", "stead-other: x\r\naccept:"],
    ["application/json\r\n", "text/json\r\n"],
    ["to=host:notes/b", "to=host:notes/a"],
    ["cluster=stead", "cluster=other"],
    ["run=-, ", ""],
  ];
  for (const [from, to] of changes) {
    const server = await new Counting().listen();
    const line = await wire(server.port, replaced(from, to));
    const target = from.startsWith("to=") ? hostParty("notes", "b") : a;
    const options = { ...optionsOf(line.port, target), headers: { "stead-gateway": "gw1" } };
    const { kind } = await callJson(options, order);
    expect([from, kind === "answer", server.executed]).toEqual([from, false, []]);
    expect(line.kept[0]?.toString("latin1").toLowerCase()).toContain(from.toLowerCase());
    line.server.close();
    await server.close();
  }
});

test("nothing of an answer can be changed, cut off, or given to another call", async () => {
  const server = await new Counting().listen();
  const changes: [string, Change][] = [
    ["the body", replaced('"executed"', '"executes"')],
    ["the status", replaced("200 OK", "409 Conflict")],
    ["the type", replaced("application/json", "application/jsom")],
    ["the server", replaced("from=host:notes/a", "from=host:notes/b")],
    ["the proof", replaced("code=", "code=A")],
  ];
  for (const [what, change] of changes) {
    const line = await wire(server.port, (bytes) => bytes, change);
    expect([what, (await callJson(optionsOf(line.port), order)).kind]).not.toEqual([what, "answer"]);
    line.server.close();
  }
  // The answer to the second call is that of the first once more.
  let kept: Buffer | undefined;
  const line = await wire(
    server.port,
    (bytes) => bytes,
    (bytes, nth) => (nth === 1 ? (kept = bytes) : nth === 2 ? (kept ?? bytes) : bytes),
  );
  const options = optionsOf(line.port);
  expect((await callJson(options, order)).kind).toBe("answer");
  expect((await callJson(options, order)).kind).toBe("invalid");
  line.server.close();
  await server.close();
});

test("an answer's proof is no credentials, and a server does not answer to itself", () => {
  const keyring = new Keyring([secret]);
  const [server, client] = [new ChannelServer(keyring, a, systemClock), new ChannelClient(keyring, a, systemClock)];
  const call = { method: "GET", path: "/v1/status", fields: [] };
  const signed = client.contact("http://127.0.0.1:1", a).sign({ ...call, fields: {}, body: undefined });
  const first = server.judge({ ...call, authorization: signed.authorization });
  if (first.kind !== "again") throw new Error(first.kind);
  // Reflected to its sender.
  expect(signed.judge(401, { [answerField]: signed.authorization }).kind).toBe("unauthorized");
  expect(server.judge({ ...call, authorization: `Stead-1 ${first.field}` }).kind).toBe("refused");
});

test("a call goes to no other host than the one that is meant, and to no other cluster with the same secret", async () => {
  const [b, other] = [
    await new Counting().listen(0, undefined, hostParty("notes", "b")),
    await new Counting().listen(0, new Keyring([secret], "other")),
  ];
  expect(await callJson(optionsOf(b.port, a), order)).toMatchObject({
    kind: "invalid",
    message: expect.stringContaining("is host:notes/b, not host:notes/a") as unknown,
  });
  expect((await callJson(optionsOf(b.port, anyOf("gateway")), order)).kind).toBe("invalid");
  expect((await callJson(optionsOf(other.port), order)).kind).toBe("unauthorized");
  expect([...b.executed, ...other.executed]).toEqual([]);
  await b.close();
  await other.close();
});

test("a stream's lines are believed one by one as they arrive; none can be repeated, exchanged, left out or cut off", async () => {
  const key = Buffer.alloc(32, 1);
  const writer = new FrameWriter(key);
  const [one, two, end] = [writer.write(Buffer.from("1\n")), writer.write(Buffer.from("2\n")), writer.close()];
  const read = (...frames: Buffer[]): string | undefined => {
    const reader = new FrameReader(key);
    const bytes = reader.read(Buffer.concat(frames));
    return bytes === undefined ? undefined : `${bytes.toString()}${reader.isOver ? "end" : ""}`;
  };
  expect([read(one), read(one, two), read(one, two, end)]).toEqual(["1\n", "1\n2\n", "1\n2\nend"]);
  for (const frames of [[two], [one, one], [one, two, one], [two, one], [one, end], [end], [one, two, end, one]])
    expect(read(...frames)).toBeUndefined();
  expect(new FrameReader(Buffer.alloc(32, 2)).read(one)).toBeUndefined();
});

test("a stream without its authenticated end was cut off", async () => {
  const server = await new Counting().listen();
  const line = await wire(
    server.port,
    (bytes) => bytes,
    (bytes) => {
      const text = bytes.toString("latin1");
      const at = text.indexOf("\r\n0 ") === -1 ? text.indexOf("\n0 ") : text.indexOf("\r\n0 ");
      return at === -1 ? bytes : Buffer.from(text.slice(0, at), "latin1");
    },
  );
  const lines: unknown[] = [];
  const call = { method: "GET", path: "/v1/lines", timeoutMs: 5_000, silenceMs: 300 } as const;
  const end = await callLines(optionsOf(line.port), call, (value) => lines.push(value) > 0);
  expect(["reset", "timeout"]).toContain(end.kind);
  line.server.close();
  await server.close();
});

test("guesses from one address are limited and logged once, and keep no process of the cluster out", async () => {
  let nowMs = 0;
  const clock: Clock = { ...systemClock, now: () => nowMs };
  const server = await new Counting().listen(0, undefined, a, clock);
  const guess = async (authorization: string): Promise<number> =>
    (await fetch(`http://127.0.0.1:${server.port}/v1/status`, { headers: { authorization } })).status;
  const statuses: number[] = [];
  for (let nth = 0; nth < 200; nth++) statuses.push(await guess(`Bearer ${nth}`));
  expect(statuses.filter((status) => status === 401).length).toBe(20);
  expect(statuses.filter((status) => status === 429).length).toBe(180);
  // Also the right one is not read now.
  expect(await guess(`Bearer ${secret}`)).toBe(429);
  expect(server.executed).toEqual([]);
  expect(server.warnings).toEqual([expect.stringContaining('"address":"127.0.0.1"')]);
  expect((await callJson(optionsOf(server.port), order)).kind).toBe("answer");
  nowMs += 1_000;
  expect(await guess(`Bearer ${secret}`)).toBe(200);
  nowMs += 60_000;
  await guess("Bearer x");
  expect(server.warnings.length).toBe(2);
  await server.close();
});

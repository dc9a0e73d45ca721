import { afterEach, describe, expect, test } from "bun:test";
import { Buffer } from "node:buffer";
import { bunTcp } from "../../../src/runtime/tcp/bun-tcp.ts";
import { duplicateDescriptor } from "../../../src/runtime/descriptors.ts";
import { nodeTcp } from "../../../src/runtime/tcp/node-tcp.ts";
import {
  joinBytesMax,
  BufferView,
  type ChunkUse,
  type Tcp,
  type TcpListener,
  type TcpSocket,
} from "../../../src/runtime/tcp/tcp.ts";

/** Records the events of a socket, and lets a test wait for them. */
class Recorder {
  readonly events: string[] = [];
  readonly chunks: Buffer[] = [];
  onEvent: ((event: string) => void) | undefined;
  #check: (() => void) | undefined;
  #inCall = false;
  /** Says of every chunk that it is consumed. */
  copies = false;

  readonly socket: TcpSocket | undefined;

  constructor(socket?: TcpSocket) {
    this.socket = socket;
    socket?.use(this);
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString("latin1");
  }

  onConnect(): void {
    this.#say("connect");
  }

  onData(chunk: Buffer): ChunkUse {
    const kept = this.copies ? Buffer.from(chunk) : chunk;
    this.chunks.push(kept);
    if (this.events.at(-1) !== "data") this.#say("data");
    else this.#check?.();
    return this.copies ? "consumed" : undefined;
  }

  onEnd(): void {
    this.#say("end");
  }

  onDrain(): void {
    this.#say("drain");
  }

  onClose(code: string | undefined): void {
    this.#say(code === undefined ? "close" : `close ${code}`);
  }

  /** Runs `call`; an event from within it is an error. */
  during(call: () => void): void {
    this.#inCall = true;
    call();
    this.#inCall = false;
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => (this.#check = resolve));
  }

  #say(event: string): void {
    this.events.push(this.#inCall ? `${event} from within a call` : event);
    this.onEvent?.(event);
    this.#check?.();
  }
}

const open: { close(): void }[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.close();
});

interface Pair {
  readonly client: TcpSocket;
  readonly atClient: Recorder;
  readonly server: TcpSocket;
  readonly atServer: Recorder;
}

async function pair(tcp: Tcp): Promise<Pair> {
  let accepted: (recorder: Recorder) => void = () => undefined;
  const server = new Promise<Recorder>((resolve) => (accepted = resolve));
  const listener = await tcp.listen({ host: "127.0.0.1", port: 0 }, (socket) => accepted(new Recorder(socket)));
  const atClient = new Recorder();
  const client = tcp.connect("127.0.0.1", listener.port, atClient);
  await atClient.until(() => atClient.events.includes("connect"));
  const atServer = await server;
  const other = atServer.socket as TcpSocket;
  open.push(listener, { close: () => client.destroy() }, { close: () => other.destroy() });
  return { client, atClient, server: other, atServer };
}

async function listening(tcp: Tcp, reusePort = false, port = 0): Promise<TcpListener> {
  const listener = await tcp.listen({ host: "127.0.0.1", port, reusePort }, (socket) => socket.destroy());
  open.push(listener);
  return listener;
}

/** Enough that the system cannot take all of it. */
const much = Buffer.alloc(32 * 1024 * 1024, "m");

const codeOf = async (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "no error",
    (error: { code?: string }) => error.code,
  );

describe.each([
  ["Bun's sockets", bunTcp],
  ["node:net", nodeTcp],
] as const)("%s", (_name, tcp) => {
  test("bytes and text go both ways, text as one byte per character", async () => {
    const { client, atClient, server, atServer } = await pair(tcp);
    client.write("caf\u00e9 ");
    client.write(Buffer.from([0, 1, 255]));
    server.write("answer");
    await atServer.until(() => atServer.text.length === 8);
    await atClient.until(() => atClient.text === "answer");
    expect(atServer.text).toBe("caf\u00e9 \u0000\u0001\u00ff");
  });

  test("pieces arrive in order, whatever their sizes, and are not altered by later writes", async () => {
    const { client, atServer } = await pair(tcp);
    const large = Buffer.alloc(200 * 1024, "L");
    client.writeAll(["a", Buffer.from("b"), "", "c"]);
    client.writeAll(["[", large, "]"]);
    client.writeAll(["x".repeat(70_000), Buffer.alloc(60_000, "y")]);
    client.writeAll(["z".repeat(300_000)]);
    client.writeAll([]);
    const all = `abc[${large.toString()}]${"x".repeat(70_000)}${"y".repeat(60_000)}${"z".repeat(300_000)}`;
    await atServer.until(() => atServer.text.length >= all.length);
    expect(atServer.text === all).toBe(true);
  });

  test("small writes of one turn arrive in order, among large ones and before the end", async () => {
    const { client, atServer } = await pair(tcp);
    const large = Buffer.alloc(100 * 1024, "L");
    client.write("a");
    client.write("b");
    client.write(large);
    client.write("c");
    client.writeAll(["(", new BufferView(Buffer.from("<slice>"), 1, 6), ")"]);
    client.write(new BufferView(large, 0, 50 * 1024));
    client.write("d");
    client.end();
    await atServer.until(() => atServer.events.includes("end"));
    expect(atServer.text === `ab${large.toString()}c(slice)${large.toString().slice(0, 50 * 1024)}d`).toBe(true);
  });

  test("a small write is not lost with a socket that is destroyed in the same turn", async () => {
    const { client, atServer } = await pair(tcp);
    client.write("last words");
    client.destroy();
    await atServer.until(() => atServer.events.includes("end"));
    expect(atServer.text).toBe("last words");
  });

  test("small writes of many sockets in one turn, more than fit together, all arrive where they belong", async () => {
    const pairs = await Promise.all(Array.from({ length: 8 }, () => pair(tcp)));
    const textOf = (nth: number, round: number): string => `${nth}.${round};`.repeat(600);
    const rounds = 12;
    expect(8 * rounds * textOf(0, 0).length).toBeGreaterThan(joinBytesMax);
    for (let round = 0; round < rounds; round++)
      for (const [nth, { client }] of pairs.entries()) client.write(textOf(nth, round));
    for (const [nth, { atServer }] of pairs.entries()) {
      const all = Array.from({ length: rounds }, (_, round) => textOf(nth, round)).join("");
      await atServer.until(() => atServer.text.length >= all.length);
      expect(atServer.text === all).toBe(true);
    }
  });

  test("chunks that are consumed alter nothing of what comes after", async () => {
    const { client, atServer } = await pair(tcp);
    atServer.copies = true;
    for (let nth = 0; nth < 50; nth++) client.write(Buffer.alloc(20_000 + nth, nth));
    const all = Buffer.concat(Array.from({ length: 50 }, (_, nth) => Buffer.alloc(20_000 + nth, nth)));
    await atServer.until(() => atServer.chunks.reduce((sum, chunk) => sum + chunk.length, 0) === all.length);
    expect(Buffer.concat(atServer.chunks).equals(all)).toBe(true);
  });

  test("a socket is clear only when none of its written bytes wait", async () => {
    const { client, atClient, server, atServer } = await pair(tcp);
    server.pause();
    client.write(much);
    expect(client.isClear).toBe(false);
    server.resume();
    await atServer.until(() => atServer.chunks.reduce((sum, chunk) => sum + chunk.length, 0) === much.length);
    await atClient.until(() => atClient.events.includes("drain"));
    expect(client.isClear).toBe(tcp === bunTcp);
  });

  test("both sockets know the addresses of both ends", async () => {
    const { client, server } = await pair(tcp);
    expect([server.remoteAddress, server.localAddress, client.localAddress]).toEqual([
      "127.0.0.1",
      "127.0.0.1",
      "127.0.0.1",
    ]);
    expect(server.remotePort).toBe(client.localPort);
    expect(server.localPort).toBeGreaterThan(0);
  });

  test("an end leaves the other direction open, and after the second end both close in order", async () => {
    const { client, atClient, server, atServer } = await pair(tcp);
    client.write("question");
    client.end();
    client.write("not sent");
    await atServer.until(() => atServer.events.includes("end"));
    server.write("late answer");
    await atClient.until(() => atClient.text === "late answer");
    atServer.during(() => server.end());
    await atClient.until(() => atClient.events.includes("close"));
    await atServer.until(() => atServer.events.includes("close"));
    expect(atServer.text).toBe("question");
    expect(atServer.events).toEqual(["data", "end", "close"]);
    expect(atClient.events).toEqual(["connect", "data", "end", "close"]);
  });

  test("bytes that the other side does not take wait, are counted, and drain once it takes them", async () => {
    const { client, atClient, server, atServer } = await pair(tcp);
    server.pause();
    client.writeAll(["head ", much]);
    const waiting = client.waitingBytes;
    expect(waiting).toBeGreaterThan(0);
    client.write("after");
    expect(client.waitingBytes).toBe(waiting + 5);
    expect(atClient.events).toEqual(["connect"]);
    server.resume();
    const bytes = 5 + much.length + 5;
    await atServer.until(() => atServer.chunks.reduce((sum, chunk) => sum + chunk.length, 0) === bytes);
    await atClient.until(() => atClient.events.includes("drain"));
    expect(client.waitingBytes).toBe(0);
    expect(atServer.text.startsWith("head m")).toBe(true);
    expect(atServer.text.endsWith("mafter")).toBe(true);
  });

  test("an end follows the bytes that wait", async () => {
    const { client, atClient, server, atServer } = await pair(tcp);
    server.pause();
    client.write(much);
    client.end();
    server.resume();
    await atServer.until(() => atServer.events.includes("end"));
    expect(atServer.text.length).toBe(much.length);
    server.end();
    await atClient.until(() => atClient.events.includes("close"));
  });

  test("a paused socket emits nothing until it is resumed", async () => {
    const { client, atClient, server, atServer } = await pair(tcp);
    client.pause();
    server.write("held back");
    server.end();
    client.write("ping");
    await atServer.until(() => atServer.text === "ping");
    expect(atClient.events).toEqual(["connect"]);
    client.resume();
    await atClient.until(() => atClient.events.includes("end"));
    expect(atClient.text).toBe("held back");
  });

  test("a reset is seen as a reset and a destroyed socket as gone; the side that caused it gets no event", async () => {
    const { client, atClient, atServer } = await pair(tcp);
    client.write("x");
    await atServer.until(() => atServer.text === "x");
    atClient.during(() => client.reset());
    await atServer.until(() => atServer.events.some((event) => event.startsWith("close")));
    expect(atServer.events.at(-1)).toBe("close ECONNRESET");
    const second = await pair(tcp);
    second.atServer.during(() => second.server.destroy());
    await second.atClient.until(() => second.atClient.events.includes("end"));
    expect(atClient.events).toEqual(["connect"]);
    expect(second.atServer.events).toEqual([]);
    client.write("unread");
    client.end();
    client.destroy();
  });

  test("a socket that is destroyed from within an event gets no further one", async () => {
    const { client, server, atServer } = await pair(tcp);
    atServer.onEvent = () => server.destroy();
    client.writeAll(["a", much]);
    client.end();
    await atServer.until(() => atServer.events.length > 0);
    const ended = await pair(tcp); // a round trip later
    ended.client.write("x");
    await ended.atServer.until(() => ended.atServer.text === "x");
    expect(atServer.events).toEqual(["data"]);
  });

  test("an attempt that is refused closes with the system's code, and one that is given up emits nothing more", async () => {
    const { port, close } = await listening(tcp);
    close();
    const refused = new Recorder();
    const abandoned = new Recorder();
    tcp.connect("127.0.0.1", port, refused);
    tcp.connect("127.0.0.1", port, abandoned).destroy();
    const alive = await pair(tcp);
    await refused.until(() => refused.events.length > 0);
    expect(refused.events).toEqual(["close ECONNREFUSED"]);
    const late = new Recorder();
    tcp.connect("127.0.0.1", alive.server.localPort, late).destroy();
    alive.client.write("x");
    await alive.atServer.until(() => alive.atServer.text === "x");
    expect(abandoned.events).toEqual([]);
    expect(late.events).toEqual([]);
  });

  test("a port in use is refused with EADDRINUSE, an address of another machine with EADDRNOTAVAIL", async () => {
    const { port } = await listening(tcp);
    expect(await codeOf(tcp.listen({ host: "127.0.0.1", port }, (socket) => socket.destroy()))).toBe("EADDRINUSE");
    expect(await codeOf(tcp.listen({ host: "192.0.2.1", port: 0 }, (socket) => socket.destroy()))).toBe(
      "EADDRNOTAVAIL",
    );
  });

  test("two listeners may share a port when both say so", async () => {
    const { port } = await listening(tcp, true);
    expect(await codeOf(listening(tcp, true, port))).toBe("no error");
  });

  test("a socket that listens already is taken over by its descriptor, and continues when the first listener closes", async () => {
    const first = await listening(tcp);
    const descriptor = await duplicateDescriptor(first.descriptor);
    const accepted: TcpSocket[] = [];
    const second = await tcp.listen({ host: "127.0.0.1", port: first.port, descriptor }, (socket) => {
      accepted.push(socket);
      socket.use(new Recorder());
      socket.write("second");
    });
    open.push(second, { close: () => accepted.forEach((socket) => socket.destroy()) });
    first.close();
    expect(second.port).toBe(first.port);
    const client = new Recorder();
    const socket = tcp.connect("127.0.0.1", first.port, client);
    open.push({ close: () => socket.destroy() });
    await client.until(() => client.text === "second");
  });

  test("a listener that is closed accepts nothing more and leaves its connections alone", async () => {
    let accepted: Recorder | undefined;
    const listener = await tcp.listen({ host: "127.0.0.1", port: 0 }, (socket) => (accepted = new Recorder(socket)));
    const client = new Recorder();
    const socket = tcp.connect("127.0.0.1", listener.port, client);
    open.push({ close: () => socket.destroy() });
    socket.write("");
    await client.until(() => client.events.includes("connect"));
    socket.write("before");
    while (accepted === undefined) await new Promise((resolve) => setImmediate(resolve));
    const served = accepted;
    await served.until(() => served.text === "before");
    listener.close();
    const refused = new Recorder();
    tcp.connect("127.0.0.1", listener.port, refused);
    await refused.until(() => refused.events.length > 0);
    expect(refused.events).toEqual(["close ECONNREFUSED"]);
    served.socket?.write("after");
    await client.until(() => client.text === "after");
    served.socket?.destroy();
  });
});

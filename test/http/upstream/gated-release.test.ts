import { describe, expect, test } from "bun:test";
import { GatedRelease } from "../../../src/http/upstream/gated-release.ts";
import { BufferView, type Piece } from "../../../src/runtime/tcp/tcp.ts";
import { newDeferred } from "../../../src/runtime/deferred.ts";
import { CancellationGroup } from "../../../src/runtime/cancellation-group.ts";
import { proxied } from "../../support/http/proxied.ts";
import { RawBackend } from "../../support/http/raw-backend.ts";
import { waitFor } from "../../support/http/raw-client.ts";

/** A gate that stays shut until told; it counts its calls. */
function manualGate() {
  const waiting: { open: () => void; fail: (why: Error) => void }[] = [];
  return {
    waiting,
    calls: 0,
    gate(): Promise<void> {
      this.calls++;
      return new Promise((resolve, reject) => waiting.push({ open: resolve, fail: reject }));
    },
  };
}

const ok = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

test("not a byte leaves before the gate agrees", async () => {
  const gate = manualGate();
  await using proxy = await proxied({ backend: await RawBackend.answering(ok), forward: { gate: () => gate.gate() } });
  const client = await proxy.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await waitFor(() => gate.waiting.length === 1);
  expect(client.received).toBe("");
  expect(proxy.outcomes).toEqual([]);
  gate.waiting[0]?.open();
  expect(await client.until((r) => r.endsWith("hello"))).toBe(ok);
});

test("bytes that arrive while the gate is asked for earlier ones wait until it is asked for them", async () => {
  const gate = manualGate();
  await using proxy = await proxied({
    onData: (c) => {
      c.socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    },
    forward: { gate: () => gate.gate() },
  });
  const client = await proxy.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await waitFor(() => gate.waiting.length === 1);
  proxy.backend.last.socket.write("3\r\ntwo\r\n");
  await new Promise<void>((resolve) => proxy.backend.last.socket.write("0\r\n\r\n", () => resolve()));
  gate.waiting[0]?.open();
  await waitFor(() => gate.waiting.length === 2);
  await client.until((r) => r.endsWith("one\r\n"));
  gate.waiting[1]?.open();
  await client.until((r) => r.includes("two"));
  for (let i = 2; !client.received.endsWith("0\r\n\r\n"); i++) {
    await waitFor(() => gate.waiting.length > i || client.received.endsWith("0\r\n\r\n"));
    gate.waiting[i]?.open();
  }
  expect(client.received.endsWith("3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")).toBe(true);
});

test("a gate that rejects destroys the client connection and nothing has left", async () => {
  const gate = manualGate();
  await using proxy = await proxied({ backend: await RawBackend.answering(ok), forward: { gate: () => gate.gate() } });
  const client = await proxy.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await waitFor(() => gate.waiting.length === 1);
  gate.waiting[0]?.fail(new Error("fenced"));
  await waitFor(() => client.closed || client.ended);
  expect(client.received).toBe("");
  expect(proxy.outcomes[0]).toMatchObject({ kind: "lost", released: false, reason: "the gate did not open: fenced" });
});

test("a gate that throws destroys the client connection like one that rejects", async () => {
  await using proxy = await proxied({
    backend: await RawBackend.answering(ok),
    forward: {
      gate: () => {
        throw new Error("fenced");
      },
    },
  });
  const client = await proxy.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await waitFor(() => client.closed || client.ended);
  expect(client.received).toBe("");
});

test("a response that waits for the gate when its attempt is ended never leaves", async () => {
  const gate = manualGate();
  const end = new CancellationGroup();
  await using proxy = await proxied({
    backend: await RawBackend.answering(ok),
    forward: { gate: () => gate.gate(), cancellation: end },
  });
  const client = await proxy.client();
  client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await waitFor(() => gate.waiting.length === 1);
  end.abort("no longer primary");
  gate.waiting[0]?.open();
  await client.until((r) => r.includes("502"));
  expect(client.received).not.toContain("hello");
  expect(proxy.outcomes[0]).toMatchObject({ kind: "lost", released: false, reason: "no longer primary" });
});

test("the end of a response that has no other end is gated too", async () => {
  const gate = manualGate();
  await using proxy = await proxied({
    onData: (c) => void c.socket.write("HTTP/1.0 200 OK\r\n\r\nbody"),
    forward: { gate: () => gate.gate() },
  });
  const client = await proxy.client();
  client.send("GET / HTTP/1.0\r\n\r\n");
  await waitFor(() => gate.waiting.length === 1);
  gate.waiting[0]?.open();
  await client.until((r) => r.endsWith("body"));
  proxy.backend.last.socket.end();
  await waitFor(() => gate.waiting.length === 2);
  expect(client.ended).toBe(false);
  gate.waiting[1]?.open();
  await client.untilEnd();
});

test("bytes of a tunnel from the application are gated, those from the client are not", async () => {
  const gate = manualGate();
  await using proxy = await proxied({
    onData: (c) => {
      if (c.received.endsWith("\r\n\r\n"))
        c.socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
      if (c.received.endsWith("ping")) c.socket.write("pong");
    },
    forward: { gate: () => gate.gate() },
  });
  const client = await proxy.client();
  client.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  await waitFor(() => gate.waiting.length === 1);
  gate.waiting[0]?.open();
  await client.until((r) => r.endsWith("\r\n\r\n"));
  client.send("ping");
  await waitFor(() => gate.waiting.length === 2);
  expect(client.received.endsWith("pong")).toBe(false);
  gate.waiting[1]?.open();
  await client.until((r) => r.endsWith("pong"));
});

/** A release whose gate's calls are answered one by one, and what has left. */
function released({ isOpen = false } = {}) {
  const left: string[] = [];
  const calls: ReturnType<typeof newDeferred>[] = [];
  const gate = (): void | Promise<void> => {
    if (isOpen) return undefined;
    const call = newDeferred();
    calls.push(call);
    return call.promise;
  };
  const text = (piece: Piece): string =>
    piece instanceof BufferView
      ? `part ${piece.bytes.toString("latin1", piece.from, piece.from + piece.length)}`
      : piece.toString("latin1");
  const release = new GatedRelease(
    {
      onRelease: (pieces) => left.push(pieces.map(text).join("|")),
      onReleaseEnd: () => left.push("end"),
      onGateFailed: (reason) => left.push(`failed: ${reason}`),
    },
    gate,
  );
  return { release, left, calls };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe("a release", () => {
  test("lets a piece leave only after a call that began behind its arrival", async () => {
    const { release, left, calls } = released();
    release.push(Buffer.from("one"));
    release.flush();
    release.push(Buffer.from("two"));
    release.flush();
    expect(calls.length).toBe(1);
    calls[0]?.resolve();
    await turn();
    // The call that was pending when "two" arrived does not cover it.
    expect(left).toEqual(["one"]);
    expect(calls.length).toBe(2);
    expect(release.waitingBytes).toBe(3);
    calls[1]?.resolve();
    await turn();
    expect(left).toEqual(["one", "two"]);
    expect(release.waitingBytes).toBe(0);
    expect(calls.length).toBe(2);
  });

  test("gates an end that comes while a call is pending", async () => {
    const { release, left, calls } = released();
    release.push(Buffer.from("one"));
    release.flush();
    release.end();
    release.flush();
    calls[0]?.resolve();
    await turn();
    expect(left).toEqual(["one"]);
    calls[1]?.resolve();
    await turn();
    expect(left).toEqual(["one", "end"]);
    release.flush();
    expect(calls.length).toBe(2);
  });

  test("releases in the same turn when the gate is open, and does not ask for nothing", () => {
    const { release, left } = released({ isOpen: true });
    release.flush();
    expect(left).toEqual([]);
    release.push(Buffer.from("one"));
    release.end();
    release.flush();
    expect(left).toEqual(["one", "end"]);
  });

  test("makes one piece of adjacent parts, and passes a whole buffer on as it is", () => {
    const { release, left } = released({ isOpen: true });
    const [first, second] = [Buffer.from("0123456789"), Buffer.from("abcdef")];
    release.pushBytes(first, 0, 4);
    release.pushBytes(first, 4, 10);
    release.flush();
    release.pushBytes(first, 2, 4);
    release.pushBytes(first, 4, 6);
    release.pushBytes(first, 7, 8);
    release.pushBytes(second, 0, 2);
    release.push(Buffer.from("own"));
    release.pushBytes(second, 2, 6);
    expect(release.waitingBytes).toBe(14);
    release.flush();
    expect(left).toEqual(["0123456789", "part 2345|part 7|part ab|own|part cdef"]);
    expect(release.waitingBytes).toBe(0);
  });

  test("asks and lets out nothing while it is held back", () => {
    const { release, left } = released({ isOpen: true });
    release.isHeldBack = true;
    release.push(Buffer.from("one"));
    release.flush();
    expect(left).toEqual([]);
    release.isHeldBack = false;
    release.flush();
    expect(left).toEqual(["one"]);
  });

  test("lets nothing out and calls nothing back after it was stopped, or after the gate has failed once", async () => {
    const stopped = released();
    stopped.release.push(Buffer.from("one"));
    stopped.release.end();
    stopped.release.flush();
    stopped.release.abort();
    expect(stopped.release.waitingBytes).toBe(0);
    stopped.calls[0]?.resolve();
    stopped.release.push(Buffer.from("two"));
    stopped.release.flush();
    await turn();
    expect(stopped.left).toEqual([]);
    expect(stopped.calls.length).toBe(1);

    const failed = released();
    failed.release.push(Buffer.from("one"));
    failed.release.flush();
    failed.release.push(Buffer.from("two"));
    failed.calls[0]?.reject(new Error("fenced"));
    await turn();
    failed.release.flush();
    expect(failed.left).toEqual(["failed: fenced"]);

    const late = released();
    late.release.push(Buffer.from("one"));
    late.release.flush();
    late.release.abort();
    late.calls[0]?.reject(new Error("fenced"));
    await turn();
    expect(late.left).toEqual([]);
  });

  test("does not ask again after a gate that threw", () => {
    const left: string[] = [];
    const release = new GatedRelease(
      {
        onRelease: () => left.push("pieces"),
        onReleaseEnd: () => left.push("end"),
        onGateFailed: (reason) => left.push(reason),
      },
      () => {
        throw new Error("fenced");
      },
    );
    for (let time = 0; time < 2; time += 1) {
      release.push(Buffer.from("one"));
      release.end();
      release.flush();
    }
    expect(left).toEqual(["fenced"]);
  });

  test("takes a single byte for something to release", () => {
    const { release, left } = released({ isOpen: true });
    release.push(Buffer.from("1"));
    release.flush();
    expect(left).toEqual(["1"]);
  });

  test("stops at a client that goes while pieces are written", () => {
    const left: string[] = [];
    const release: GatedRelease = new GatedRelease(
      {
        onRelease: () => {
          left.push("pieces");
          release.abort();
        },
        onReleaseEnd: () => left.push("end"),
        onGateFailed: () => left.push("failed"),
      },
      undefined,
    );
    release.push(Buffer.from("one"));
    release.end();
    release.flush();
    expect(left).toEqual(["pieces"]);
  });
});

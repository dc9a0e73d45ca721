import { expect, test } from "bun:test";
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

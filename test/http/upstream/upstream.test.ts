import { expect, test } from "bun:test";
import type { UpstreamConnection, UpstreamUser } from "../../../src/http/upstream/upstream-connection.ts";
import { Upstream, type ConnectionWaiter } from "../../../src/http/upstream/upstream.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";
import { RawBackend, waitForConnections } from "../../support/http/raw-backend.ts";
import { waitFor } from "../../support/http/raw-client.ts";

const idleUser: UpstreamUser = {
  onData: () => undefined,
  onEnd: () => undefined,
  onDrain: () => undefined,
  onGone: () => undefined,
  onExpired: () => undefined,
};

async function pool(limits: ConstructorParameters<typeof Upstream>[0]["limits"] = {}) {
  const backend = await RawBackend.listen();
  const clock = new ManualClock();
  const errors: string[] = [];
  const upstream = new Upstream({
    host: "127.0.0.1",
    port: backend.port,
    limits,
    clock,
    onConnectionError: (reason) => errors.push(reason),
  });
  return {
    backend,
    clock,
    errors,
    upstream,
    async acquire(mayReuseOld = true): Promise<UpstreamConnection> {
      return new Promise((resolve, reject) => {
        const waiter: ConnectionWaiter = {
          mayReuseOld,
          onConnection: (connection) => {
            connection.use(idleUser);
            resolve(connection);
          },
          onRefused: (reason) => reject(new Error(reason)),
        };
        upstream.acquire(waiter);
      });
    },
    async [Symbol.asyncDispose]() {
      upstream.abort("test over");
      await backend.close();
    },
  };
}

test("the connection that was used last is used again", async () => {
  await using p = await pool();
  const [first, second] = [await p.acquire(), await p.acquire()];
  p.upstream.release(first);
  p.upstream.release(second);
  expect(await p.acquire()).toBe(second);
  expect(await p.acquire()).toBe(first);
  expect(p.upstream.stats).toMatchObject({ connections: 2, connected: 2, reused: 2 });
});

test("an unused connection is closed at its limit, or earlier when the upstream said so", async () => {
  await using p = await pool({ upstreamIdleMs: 4_000 });
  const [first, second] = [await p.acquire(), await p.acquire()];
  second.idleMsMax = 1_000;
  p.upstream.release(first);
  p.upstream.release(second);
  p.clock.advance(2_000);
  expect(p.upstream.stats).toMatchObject({ connections: 1, unused: 1 });
  p.clock.advance(3_000);
  expect(p.upstream.stats).toMatchObject({ connections: 0, unused: 0 });
  expect(p.clock.timers).toBe(0);
});

test("a connection that was unused for a while serves only requests that may be resent", async () => {
  await using p = await pool({ upstreamIdleMs: 4_000, upstreamFreshMs: 1_000 });
  const old = await p.acquire();
  p.upstream.release(old);
  p.clock.advance(1_500);
  const fresh = await p.acquire(false);
  expect(fresh).not.toBe(old);
  expect(await p.acquire(true)).toBe(old);
});

test("an old unused connection makes room for a new one when the bound is reached", async () => {
  await using p = await pool({ upstreamConnectionsMax: 1, upstreamFreshMs: 1_000 });
  const old = await p.acquire();
  p.upstream.release(old);
  p.clock.advance(1_500);
  const fresh = await p.acquire(false);
  expect(fresh).not.toBe(old);
  expect(p.upstream.stats.connections).toBe(1);
});

test("a connection that the upstream ends while it is unused is not used again", async () => {
  await using p = await pool();
  const connection = await p.acquire();
  p.upstream.release(connection);
  await waitForConnections(p.backend, 1);
  p.backend.last.socket.end();
  await waitFor(() => p.upstream.stats.connections === 0);
  expect(await p.acquire()).not.toBe(connection);
});

test("of unused connections only the one that the upstream ends is not used again", async () => {
  await using p = await pool();
  const [first, second, third] = [await p.acquire(), await p.acquire(), await p.acquire()];
  for (const connection of [first, second, third]) p.upstream.release(connection);
  first.abort("it has ended");
  expect(p.upstream.stats).toMatchObject({ connections: 2, unused: 2 });
  expect(await p.acquire()).toBe(third);
  expect(await p.acquire()).toBe(second);
});

test("a drained pool closes what is unused at once, and the others when they come back", async () => {
  await using p = await pool();
  const [busy, pinned, kept] = [await p.acquire(), await p.acquire(), await p.acquire()];
  p.upstream.pin(pinned);
  p.upstream.pin(kept);
  expect(p.upstream.releasePinned(kept)).toBe(true);
  const unused = [await p.acquire(), await p.acquire()];
  for (const connection of unused) p.upstream.release(connection);
  expect(p.upstream.stats.connections).toBe(5);
  p.upstream.drain("the host steps down");
  expect(p.upstream.stats).toMatchObject({ connections: 2, unused: 0 });
  p.upstream.release(busy);
  expect(p.upstream.releasePinned(pinned)).toBe(false);
  expect(p.upstream.stats).toMatchObject({ connections: 0, unused: 0 });
});

test("a connection that belongs to a client may be unused for as long as the client's, or as the upstream keeps it", async () => {
  await using p = await pool({ idleMs: 4_000 });
  for (const [keepAliveMs, forMs] of [
    [undefined, 4_000],
    [3_000, 2_000],
    [60_000, 4_000],
  ] as const) {
    const connection = await p.acquire();
    p.upstream.pin(connection);
    expect(p.upstream.releasePinned(connection, keepAliveMs)).toBe(true);
    p.clock.advance(forMs - 1);
    expect(connection.isOpen).toBe(true);
    p.clock.advance(300);
    expect([connection.isOpen, p.upstream.stats.connections]).toEqual([false, 0]);
  }
});

test("closing ends all connections at once, tells the requests that use them or wait, and refuses later ones", async () => {
  await using p = await pool({ upstreamConnectionsMax: 1 });
  const connection = await p.acquire();
  let gone = "";
  connection.detach();
  connection.use({ ...idleUser, onGone: (reason) => (gone = reason) });
  const waiting = p.acquire().catch((error: unknown) => error);
  p.upstream.abort("no longer primary");
  expect(gone).toBe("no longer primary");
  expect(await waiting).toEqual(new Error("no longer primary"));
  expect(await p.acquire().catch((error: unknown) => error)).toEqual(new Error("no longer primary"));
  expect(p.upstream.stats.connections).toBe(0);
  expect(p.errors).toEqual([]);
});

test("more waiting requests than allowed are refused", async () => {
  await using p = await pool({ upstreamConnectionsMax: 1, upstreamWaitingMax: 1 });
  const held = await p.acquire();
  const waiting = p.acquire();
  expect(await p.acquire().catch((error: unknown) => error)).toEqual(
    new Error("too many requests wait for a connection to the upstream"),
  );
  expect(p.upstream.stats.waiting).toBe(1);
  p.upstream.release(held);
  expect(await waiting).toBe(held);
});

test("a refused connection refuses the request and is reported", async () => {
  await using p = await pool();
  await p.backend.close();
  expect(await p.acquire().catch((error: unknown) => error)).toEqual(new Error("ECONNREFUSED"));
  expect(p.errors).toEqual(["ECONNREFUSED"]);
  expect(p.upstream.stats).toMatchObject({ connections: 0, connectFailures: 1 });
});

test("tunnels do not count against the bound of connections, and end with the others", async () => {
  await using p = await pool({ upstreamConnectionsMax: 1 });
  const tunnel = await p.acquire();
  p.upstream.onTunnel(tunnel);
  const other = await p.acquire();
  expect(other).not.toBe(tunnel);
  expect(p.upstream.stats).toMatchObject({ connections: 2, tunnels: 1 });
  p.upstream.abort("no longer primary");
  expect(p.upstream.stats).toMatchObject({ connections: 0, tunnels: 0 });
});

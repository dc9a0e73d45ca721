/**
 * Writes against primaries that answer, die before or after executing, refuse, break off, and change: whatever happens,
 * a client is told the truth. The same seed makes the same decisions; their interleaving is the machine's.
 */
import { expect, test } from "bun:test";
import { Hold } from "../../../src/http/proxy/hold.ts";
import { Proxy } from "../../../src/http/proxy/proxy.ts";
import { HttpServer } from "../../../src/http/server/server.ts";
import { Upstream } from "../../../src/http/upstream/upstream.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { Dice } from "../../http/fuzz/generate.ts";
import { RawBackend, type BackendConnection } from "../../support/http/raw-backend.ts";
import { RawClient, waitFor } from "../../support/http/raw-client.ts";

type Told = "answered" | "unknown" | "not-executed" | "cut";

test.each([1, 2, 3])(
  "no write is executed twice, and none is misreported (seed %d)",
  async (seed) => {
    const dice = new Dice(seed);
    const executed = new Map<string, number>();
    const backends: RawBackend[] = [];
    let current: Upstream | undefined;
    const hold = new Hold({
      requestsMax: 1_000,
      bytesMax: 10_000_000,
      waitMsMax: 5_000,
      releaseConcurrency: 3,
      clock: systemClock,
    });
    const proxy = new Proxy({
      route: { current: () => current, whenServing: () => hold },
      clock: systemClock,
      patienceMs: 5_000,
      againDelayMs: 2,
    });
    const server = await HttpServer.listen({
      host: "127.0.0.1",
      port: 0,
      clock: systemClock,
      onExchange: (exchange) => proxy.handle(exchange),
    });

    const execute = (id: string): void => void executed.set(id, (executed.get(id) ?? 0) + 1);
    const onData = (c: BackendConnection): void => {
      const found = /^(POST|PUT|DELETE) \/(\d+) /.exec(c.received);
      if (found === null || !c.received.endsWith("0123456789")) return;
      const id = found[2] ?? "";
      c.received = "";
      const fate = dice.int(10);
      if (fate < 5 || fate === 8) execute(id);
      if (fate < 5) c.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
      else if (fate === 5) c.socket.destroy();
      else if (fate === 6)
        c.socket.write("HTTP/1.1 503 No\r\nStead-Outcome: not-executed\r\nContent-Length: 0\r\n\r\n");
      else if (fate === 7) c.socket.resetAndDestroy();
      else if (fate === 8) c.socket.destroy();
      else {
        execute(id);
        c.socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndo", () => c.socket.destroy());
      }
    };
    const failover = async (): Promise<void> => {
      hold.close();
      const old = current;
      current = undefined;
      old?.abort("no longer primary");
      const backend = await RawBackend.listen(onData);
      backends.push(backend);
      if (dice.chance(3)) await backends.at(-2)?.close();
      current = new Upstream({ host: "127.0.0.1", port: backend.port, clock: systemClock });
      hold.open();
    };

    const told = new Map<string, Told>();
    const methods = new Map<string, string>();
    const send = async (id: string): Promise<void> => {
      const method = dice.pick(["POST", "POST", "PUT", "DELETE"]);
      methods.set(id, method);
      const client = await RawClient.connect(server.port);
      client.send(`${method} /${id} HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234`);
      client.send("56789");
      await waitFor(
        () => client.ended || client.closed || /\r\n\r\n(?:done|50\d .*\n)$/s.test(client.received),
        () => client.received,
        8_000,
      );
      if (client.received.endsWith("done")) told.set(id, "answered");
      else if (client.received.includes("Stead-Outcome: unknown")) told.set(id, "unknown");
      else if (client.received.includes("Stead-Outcome: not-executed")) told.set(id, "not-executed");
      else told.set(id, "cut");
      client.destroy();
    };

    await failover();
    const total = 240;
    let next = 0;
    await Promise.all([
      ...Array.from({ length: 12 }, async () => {
        while (next < total) await send(String(next++));
      }),
      (async () => {
        while (next < total) {
          const until = next + 15;
          await waitFor(() => next >= Math.min(until, total), undefined, 8_000);
          await failover();
        }
      })(),
    ]);

    const wrong: string[] = [];
    for (const [id, result] of told) {
      const times = executed.get(id) ?? 0;
      const isWrite = methods.get(id) === "POST";
      const right =
        result === "answered" || result === "cut"
          ? isWrite
            ? times === 1
            : times >= 1
          : result === "unknown"
            ? !isWrite || times <= 1
            : times === 0;
      if (!right) wrong.push(`${methods.get(id) ?? ""} ${id}: ${result}, executed ${times} times`);
    }
    expect(wrong).toEqual([]);
    expect(told.size).toBe(total);
    const results = [...told.values()];
    for (const result of ["answered", "unknown", "cut"] as const)
      expect(results.filter((r) => r === result).length).toBeGreaterThan(5);
    await waitFor(() => server.activeExchanges === 0);
    expect(server.keptBytes.total).toBe(0);
    expect(hold.waiting).toBe(0);
    await server.close({ drainMs: 0 });
    current?.abort("test over");
    for (const backend of backends) await backend.close();
  },
  30_000,
);

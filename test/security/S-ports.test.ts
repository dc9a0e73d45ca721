/**
 * Found safe: another process of the machine takes a port over. With SO_REUSEPORT on both sockets the kernel would give
 * it a share of the connections, with the secret or the clients' requests in them.
 *
 * Rule: no listener of clients, gateways or operators shares its port, whatever the other process asks for, on its
 * address or on all of them.
 */
import { afterEach, expect, test } from "bun:test";
import { createApi } from "../../src/control/server/api.ts";
import { listenApi } from "../../src/control/server/listener.ts";
import { Front } from "../../src/host/application/front.ts";
import { HttpServer } from "../../src/http/server/server.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { systemTcp } from "../../src/runtime/tcp/system-tcp.ts";
import { defaultGatewayLimits } from "../support/config/data-plane.ts";

const undo: (() => unknown)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0).toReversed()) await step();
});

const log = { info: () => undefined, warn: () => undefined, error: () => undefined };
const listeners: readonly (readonly [what: string, listen: (host: string) => Promise<number>])[] = [
  [
    "the clients' listener of a gateway",
    async (host) => {
      const server = await HttpServer.listen({ host, port: 0, clock: systemClock, onExchange: () => undefined });
      undo.push(() => server.abort());
      return server.port;
    },
  ],
  [
    "the front of a host",
    async (host) => {
      const front = await Front.listen({ listen: { host, port: 0 }, limits: defaultGatewayLimits, clock: systemClock });
      undo.push(() => front.close());
      return front.port;
    },
  ],
  [
    "the listener of an API",
    async (host) => {
      const app = createApi({ part: "host", manual: "docs/CONTROL-API.md", log });
      const listener = await listenApi(app, { host, port: 0 });
      undo.push(() => listener.close());
      return listener.port;
    },
  ],
];

async function whyRefused(host: string, port: number): Promise<unknown> {
  try {
    const taken = await systemTcp.listen({ host, port, reusePort: true }, (socket) => socket.destroy());
    taken.close();
    return "shared";
  } catch (error) {
    return (error as NodeJS.ErrnoException).code;
  }
}

test.each(listeners)("%s shares its port with no other socket", async (_, listen) => {
  for (const host of ["127.0.0.1", "0.0.0.0"]) {
    const port = await listen(host);
    for (const other of ["127.0.0.1", "0.0.0.0"])
      expect([host, other, await whyRefused(other, port)]).toEqual([host, other, "EADDRINUSE"]);
  }
});

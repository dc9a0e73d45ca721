/**
 * The data plane in a process of its own for bench-connections: prints its port; `open` on standard input opens its
 * hold.
 */
import { Hold } from "../../src/http/proxy/hold.ts";
import { Proxy } from "../../src/http/proxy/proxy.ts";
import { HttpServer } from "../../src/http/server/server.ts";
import { Upstream } from "../../src/http/upstream/upstream.ts";
import { systemClock as clock } from "../../src/runtime/clock.ts";

const [backendPort = "0", held = "open"] = process.argv.slice(2);
const limits = {
  idleMs: 600_000,
  connectionsMax: 50_000,
  connectionsPerAddressMax: 50_000,
  firstRequestMs: 600_000,
  headArrivalMs: 3_000,
  bodyBytesPerSecondMin: 1_000,
  bodyRateWindowMs: 3_000,
};
const upstream = new Upstream({ host: "127.0.0.1", port: Number(backendPort), clock, limits });
const hold = new Hold(
  { requestsMax: 50_000, bytesMax: 2 ** 30, waitMsMax: 600_000, releaseConcurrency: 64, clock },
  held === "held" ? "closed" : "open",
);
const proxy = new Proxy({ route: { current: () => upstream, whenServing: () => hold }, clock, patienceMs: 600_000 });
const server = await HttpServer.listen({
  host: "127.0.0.1",
  port: 0,
  limits,
  clock,
  onExchange: (exchange) => proxy.handle(exchange),
});
process.stdin.on("data", () => hold.open());
process.stdout.write(`${server.port}\n`);

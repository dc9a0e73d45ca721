/** A server that forwards everything to one raw backend, and records the outcomes. */
import { HttpServer, type HttpServerOptions } from "../../../src/http/server/server.ts";
import type { ForwardOptions, ForwardOutcome } from "../../../src/http/upstream/exchange.ts";
import type { HttpLimits } from "../../../src/http/limits.ts";
import { Upstream } from "../../../src/http/upstream/upstream.ts";
import { type Clock, systemClock } from "../../../src/runtime/clock.ts";
import { RawBackend, type BackendConnection } from "./raw-backend.ts";
import { RawClient } from "./raw-client.ts";

export interface Proxied extends AsyncDisposable {
  readonly server: HttpServer;
  readonly upstream: Upstream;
  readonly backend: RawBackend;
  readonly outcomes: ForwardOutcome[];
  readonly errors: string[];
  client(): Promise<RawClient>;
}

export interface ProxiedOptions {
  readonly backend?: RawBackend;
  readonly onData?: (connection: BackendConnection, backend: RawBackend) => void;
  readonly limits?: Partial<HttpLimits>;
  readonly forward?: ForwardOptions;
  readonly onExchange?: (upstream: Upstream, outcomes: ForwardOutcome[]) => HttpServerOptions["onExchange"];
  readonly halfClose?: HttpServerOptions["halfClose"];
  /** Further options of the server. */
  readonly server?: Partial<HttpServerOptions>;
  readonly onPort?: (upstreamPort: number) => number;
  /** Of the upstream; default: the system's. */
  readonly upstreamClock?: Clock;
}

export async function proxied(options: ProxiedOptions = {}): Promise<Proxied> {
  const backend = options.backend ?? (await RawBackend.listen(options.onData));
  const upstream = new Upstream({
    host: "127.0.0.1",
    port: backend.port,
    clock: options.upstreamClock ?? systemClock,
    ...(options.limits ? { limits: options.limits } : {}),
  });
  const outcomes: ForwardOutcome[] = [];
  const errors: string[] = [];
  const clients: RawClient[] = [];
  const server = await HttpServer.listen({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    ...(options.limits ? { limits: options.limits } : {}),
    ...(options.halfClose ? { halfClose: options.halfClose } : {}),
    ...options.server,
    onProtocolError: (error) => errors.push(error.code),
    onExchange:
      options.onExchange?.(upstream, outcomes) ??
      (async (exchange) => {
        const outcome = await exchange.forward(upstream, options.forward ?? {});
        outcomes.push(outcome);
        if (outcome.kind !== "completed" && outcome.kind !== "client-gone" && !exchange.hasResponseStarted) {
          await exchange.respond({ status: 502, body: outcome.kind });
        }
      }),
  });
  return {
    server,
    upstream,
    backend,
    outcomes,
    errors,
    async client() {
      const client = await RawClient.connect(server.port);
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy();
      await server.close({ drainMs: 0 });
      upstream.abort("test over");
      await backend.close();
    },
  };
}

/** Sends `request`, reads until the connection ends. */
export async function roundTrip(proxy: Proxied, request: string): Promise<string> {
  const client = await proxy.client();
  client.send(request);
  return client.untilEnd();
}

/** A gateway's request loop with one service whose primary can be set, as a failover does. */
import { Hold } from "../../../src/http/proxy/hold.ts";
import { Proxy } from "../../../src/http/proxy/proxy.ts";
import type { RequestNamer } from "../../../src/http/proxy/request-namer.ts";
import type { RequestEnd, TracedRequest } from "../../../src/http/proxy/request-trace.ts";
import { HttpServer, type HttpServerOptions } from "../../../src/http/server/server.ts";
import { type HeardOfHost, Upstream } from "../../../src/http/upstream/upstream.ts";
import type { WholeAnswers } from "../../../src/http/upstream/whole-answers.ts";
import { type Clock, systemClock } from "../../../src/runtime/clock.ts";
import { RawBackend, type BackendConnection } from "./raw-backend.ts";
import { RawClient } from "./raw-client.ts";

export async function oneService(
  options: {
    waitMsMax?: number;
    patienceMs?: number;
    releaseConcurrency?: number;
    againMax?: number;
    firstByteMs?: number;
    clock?: Clock;
    wholeAnswers?: WholeAnswers;
    namer?: RequestNamer;
    /** Further options of the server. */
    server?: Partial<HttpServerOptions>;
  } = {},
) {
  let current: Upstream | undefined;
  const ends: string[] = [];
  const errors: string[] = [];
  const traced: TracedRequest[] = [];
  const hold = new Hold({
    requestsMax: 1000,
    bytesMax: 100_000_000,
    waitMsMax: options.waitMsMax ?? 5_000,
    releaseConcurrency: options.releaseConcurrency ?? 4,
    clock: systemClock,
  });
  const proxy = new Proxy({
    route: { current: () => current, whenServing: () => hold },
    clock: options.clock ?? systemClock,
    patienceMs: options.patienceMs ?? 5_000,
    againDelayMs: 5,
    namer: options.namer,
    ...(options.againMax === undefined ? {} : { againMax: options.againMax }),
    forward: {
      ...(options.firstByteMs === undefined ? {} : { firstByteMs: () => options.firstByteMs }),
      ...(options.wholeAnswers === undefined ? {} : { wholeAnswers: options.wholeAnswers }),
    },
    hooks: {
      onDone: (end: RequestEnd, held, replays) =>
        ends.push(`${end}${held ? " held" : ""}${replays > 0 ? ` replayed ${replays}` : ""}`),
      onConnectionError: (_upstream, reason) => errors.push(reason),
      onTraced: (request) => traced.push(request),
    },
  });
  const server = await HttpServer.listen({
    host: "127.0.0.1",
    port: 0,
    clock: systemClock,
    ...options.server,
    onExchange: (exchange) => proxy.handle(exchange),
  });
  const backends: RawBackend[] = [];
  const clients: RawClient[] = [];
  return {
    server,
    ends,
    errors,
    traced,
    hold,
    async backend(onData: (connection: BackendConnection) => void): Promise<RawBackend> {
      const backend = await RawBackend.listen(onData);
      backends.push(backend);
      return backend;
    },
    /** `epoch` undefined: as a plain host. */
    serve(backend: RawBackend, epoch?: number, heard: Partial<HeardOfHost> = { takesNames: true }): void {
      current?.abort("no longer primary");
      current = new Upstream({ host: "127.0.0.1", port: backend.port, epoch, clock: systemClock });
      current.heard = { ...current.heard, ...heard };
      hold.open();
    },
    stop(): void {
      hold.close();
      const old = current;
      current = undefined;
      old?.abort("no longer primary");
    },
    async client(): Promise<RawClient> {
      const client = await RawClient.connect(server.port);
      clients.push(client);
      return client;
    },
    async [Symbol.asyncDispose]() {
      for (const client of clients) client.destroy();
      await server.close({ drainMs: 0 });
      current?.abort("test over");
      for (const backend of backends) await backend.close();
    },
  };
}

export type OneService = Awaited<ReturnType<typeof oneService>>;

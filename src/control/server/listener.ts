/**
 * The listener of an API: @hono/node-server behind bounded connections (api-connections.ts), on Bun, Deno and Node
 * alike.
 *
 * Connections are accepted here and given to the HTTP server: a server that accepts them itself tells of one only when
 * it has sent something, and those that never do could be any number.
 */
import { createAdaptorServer } from "@hono/node-server";
import type { Server } from "node:http";
import { createServer, type AddressInfo } from "node:net";
import { systemClock } from "../../runtime/clock.ts";
import type { Api } from "./api.ts";
import { ApiConnections, type ApiLimits, apiLimits } from "./api-connections.ts";

export interface ApiListener {
  readonly port: number;
  /** Open connections. */
  readonly connections: number;
  /** Also ends open connections, including streams. The port is free when it resolves. */
  close(): Promise<void>;
}

/** Deno's HTTP server serves only sockets that it has accepted itself: there a silent connection does not count. */
const takesSockets = !("Deno" in globalThis);

/** Rejects with the system's error if the address cannot be used. */
export function listenApi(
  app: Pick<Api, "fetch">,
  { host, port }: { readonly host: string; readonly port: number },
  limits: ApiLimits = apiLimits,
): Promise<ApiListener> {
  return new Promise((resolve, reject) => {
    // The adaptor returns an HTTP/1.1 server unless its options ask for another one.
    const http = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server;
    const connections = new ApiConnections(systemClock, limits);
    http.prependListener("request", (request, response) => connections.onRequest(request, response));
    const server = takesSockets
      ? createServer((socket) => {
          if (connections.admit(socket)) http.emit("connection", socket);
        })
      : http.on("connection", (socket) => void connections.admit(socket));
    const close = (): Promise<void> =>
      new Promise((closed) => {
        server.close(() => closed());
        connections.close();
      });
    server.once("error", reject);
    server.listen(port, host, () =>
      resolve({
        port: (server.address() as AddressInfo).port,
        get connections() {
          return connections.size;
        },
        close,
      }),
    );
  });
}

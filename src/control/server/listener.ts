/**
 * The listener of an API: @hono/node-server behind bounded connections (api-connections.ts), on Bun, Deno and Node
 * alike.
 *
 * Connections are accepted here and given to the HTTP server: a server that accepts them itself tells of one only when
 * it has sent something, and those that never do could be any number.
 */
import { createAdaptorServer } from "@hono/node-server";
import type { IncomingMessage, Server } from "node:http";
import { createServer, type AddressInfo, type Server as SocketServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { OperatorError } from "../../runtime/operator-error.ts";
import { tlsVersionMin } from "../channel/secure-calls.ts";
import type { ClusterTls } from "../tls/cluster-tls.ts";
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

/** Rejects with the system's error if the address cannot be used. `tls`: nothing is served without a certificate. */
export function listenApi(
  app: Pick<Api, "fetch">,
  { host, port }: { readonly host: string; readonly port: number },
  { tls, limits = apiLimits }: { readonly tls?: ClusterTls | undefined; readonly limits?: ApiLimits } = {},
): Promise<ApiListener> {
  return new Promise((resolve, reject) => {
    // The adaptor returns an HTTP/1.1 server unless its options ask for another one.
    const http = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server;
    const connections = new ApiConnections(systemClock, limits);
    http.prependListener("request", (request, response) => {
      nameHost(request);
      connections.onRequest(request, response);
    });
    const serve = (socket: Socket): void => void http.emit("connection", socket);
    const secure = tls === undefined ? undefined : secureServer(tls, connections, serve);
    const server = secure?.server ?? plainServer(http, connections, serve);
    const close = (): Promise<void> =>
      new Promise((closed) => {
        secure?.close();
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

/** HTTP/1.0 asks without a host, as HAProxy's health checks do; the adaptor refuses what names none. */
function nameHost({ httpVersion, headers }: IncomingMessage): void {
  if (httpVersion === "1.0") headers.host ??= "localhost";
}

function plainServer(http: Server, connections: ApiConnections, serve: (socket: Socket) => void): SocketServer {
  if (!takesSockets) return http.on("connection", (socket) => void connections.admit(socket));
  return createServer((socket) => {
    if (connections.admit(socket)) serve(socket);
  });
}

/** The handshake has the time of a first request. */
function secureServer(
  tls: ClusterTls,
  connections: ApiConnections,
  serve: (socket: Socket) => void,
): { readonly server: SocketServer; close(): void } {
  if (!takesSockets)
    throw new OperatorError("configuration", {
      found: "[cluster.tls] under Deno, whose HTTP server takes no connection that it has not accepted itself",
      accepted: "Bun or Node",
      advice: "run the binary of stead",
    });
  const server = createTlsServer({
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: tlsVersionMin,
    ALPNProtocols: ["http/1.1"],
  });
  const close = tls.use(({ ca, cert, key }) =>
    server.setSecureContext({ ca: [...ca], cert, key, minVersion: tlsVersionMin }),
  );
  server.on("connection", (socket: Socket) => void connections.admit(socket));
  server.on("secureConnection", (socket) => {
    if (connections.onSecured(socket)) serve(socket);
    else socket.destroy();
  });
  // A failed handshake: not every runtime closes its socket.
  server.on("tlsClientError", (_error, socket: Socket) => socket.destroy());
  return { server, close };
}

/**
 * The gateway as a Hono app: requests that no other route takes go through the gateway's own data plane. For embedding
 * it in another app, and behind servers with protocols that `node:net` here lacks (HTTP/2).
 *
 * @example Bun.serve({ fetch: (request, server) => createProxyApp(dataPlane.server, () =>
 * clientOf(server.requestIP(request))).fetch(request) });
 */
import { type Context, Hono } from "hono";
import { NodeAppServer } from "../../http/embed/app-server.ts";
import { fetchThrough, type FetchClient } from "../../http/embed/fetch-adapter.ts";
import { isEncrypted, nodeMessages, type NodeMessages } from "../../http/embed/node-messages.ts";
import { upgradeThrough } from "../../http/embed/upgrade.ts";
import type { AppProtocol } from "../../http/server/app-connection.ts";
import type { HttpServer } from "../../http/server/server.ts";

/**
 * `clientOf` says who sent a request: runtimes differ there, for example `getConnInfo` of hono/bun or
 * @hono/node-server/conninfo. `messagesOf` gives Node's messages, by which more is kept; not for an app within another
 * one, which may have changed the request.
 */
export function createProxyApp(
  server: HttpServer,
  clientOf: (context: Context) => FetchClient,
  messagesOf?: (context: Context) => NodeMessages | undefined,
): Hono {
  const app = new Hono();
  app.all("*", function forward(context) {
    return fetchThrough(server, context.req.raw, clientOf(context), messagesOf?.(context));
  });
  return app;
}

/** The app behind `server`'s own listeners, for requests of these protocols. */
export function proxyAppServer(server: HttpServer, protocols: readonly AppProtocol[]): NodeAppServer {
  const app = createProxyApp(server, clientOfMessage, (context) => nodeMessages(context.env));
  return new NodeAppServer({
    ...{ protocols, limits: server.limits },
    fetch: (request, environment) => app.fetch(request, environment),
    onUpgrade: (upgrade) => upgradeThrough(server, upgrade),
  });
}

function clientOfMessage(context: Context): FetchClient {
  const { incoming, client } = context.env as Pick<NodeMessages, "incoming" | "client">;
  const { socket } = incoming;
  const { address, port } = client ?? { address: socket.remoteAddress ?? "", port: socket.remotePort ?? 0 };
  return { address, port, secure: isEncrypted(socket), isCounted: true };
}

/**
 * The gateway as a Hono app: requests that no other route takes go through the gateway's own data plane. For embedding
 * it in another app, and behind servers with protocols that `node:net` here lacks (HTTP/2).
 *
 * @example Bun.serve({ fetch: (request, server) => createProxyApp(dataPlane.server, () =>
 * clientOf(server.requestIP(request))).fetch(request) });
 */
import { type Context, Hono } from "hono";
import { fetchThrough, type FetchClient } from "../../http/embed/fetch-adapter.ts";
import type { HttpServer } from "../../http/server/server.ts";

/**
 * `clientOf` says who sent a request: runtimes differ there, for example `getConnInfo` of hono/bun or
 * @hono/node-server/conninfo.
 */
export function createProxyApp(server: HttpServer, clientOf: (context: Context) => FetchClient): Hono {
  const app = new Hono();
  app.all("*", function forward(context) {
    return fetchThrough(server, context.req.raw, clientOf(context));
  });
  return app;
}

/**
 * Our data plane as a process of its own, put together as the gateway does it. Arguments: port, TLS port, backend's
 * port, certificate and key, and `app` if the Hono app is to serve (with HTTP/2 beside it).
 */
import { readFileSync } from "node:fs";
import { proxyAppServer } from "../../src/gateway/route/proxy-app.ts";
import { forwardedFields } from "../../src/http/proxy/forwarded-fields.ts";
import { Hold } from "../../src/http/proxy/hold.ts";
import { Proxy } from "../../src/http/proxy/proxy.ts";
import { requestIdFields } from "../../src/http/server/request-id.ts";
import { HttpServer, type HttpServerOptions } from "../../src/http/server/server.ts";
import { Upstream } from "../../src/http/upstream/upstream.ts";
import { WholeAnswers } from "../../src/http/upstream/whole-answers.ts";
import { systemClock as clock } from "../../src/runtime/clock.ts";
import { systemRandom as random } from "../../src/runtime/random.ts";

const [port = "0", tlsPort = "0", backendPort = "0", pem = "", how = ""] = process.argv.slice(2);
const app: HttpServerOptions["app"] =
  how === "app" ? (server) => proxyAppServer(server, ["h2", "http/1.1"]) : undefined;
const upstream = new Upstream({ host: "127.0.0.1", port: Number(backendPort), clock });
const hold = new Hold(
  { requestsMax: 10_000, bytesMax: 2 ** 26, waitMsMax: 30_000, releaseConcurrency: 64, clock },
  "open",
);
const wholeAnswers = new WholeAnswers({ bytesMax: 2 ** 16, clock });
const addClient = forwardedFields({});
const addName = requestIdFields({ traceparent: "pass", random });
const proxy = new Proxy({
  route: { current: () => upstream, whenServing: () => hold },
  clock,
  patienceMs: 30_000,
  forward: {
    wholeAnswers,
    editRequestFields: (headers, exchange) => addName(addClient(headers, exchange), exchange),
  },
});
const onExchange: HttpServerOptions["onExchange"] = (exchange) => proxy.handle(exchange);
await HttpServer.listen({ host: "127.0.0.1", port: Number(port), clock, onExchange, app });
const text = readFileSync(pem, "utf8");
await HttpServer.listen({
  host: "127.0.0.1",
  port: Number(tlsPort),
  clock,
  onExchange,
  app,
  tls: { cert: text, key: text },
});
process.stdout.write("ready\n");

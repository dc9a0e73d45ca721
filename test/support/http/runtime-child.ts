/**
 * The data plane as a process of its own, for runtimes.test.ts. Arguments: the backend's port. Prints the ports, plain
 * TLS, TLS with the Hono app for HTTP/2 and HTTP/1.1, and the same behind the PROXY protocol.
 */
import { proxyAppServer } from "../../../src/gateway/route/proxy-app.ts";
import { forwardedFields } from "../../../src/http/proxy/forwarded-fields.ts";
import { Hold } from "../../../src/http/proxy/hold.ts";
import { Proxy } from "../../../src/http/proxy/proxy.ts";
import { HttpServer } from "../../../src/http/server/server.ts";
import { Upstream } from "../../../src/http/upstream/upstream.ts";
import { systemClock as clock } from "../../../src/runtime/clock.ts";
import { certificateA } from "./certificates.ts";

const upstream = new Upstream({ host: "127.0.0.1", port: Number(process.argv[2]), clock });
const hold = new Hold({ requestsMax: 100, bytesMax: 2 ** 20, waitMsMax: 10_000, releaseConcurrency: 8, clock }, "open");
const forward = { editRequestFields: forwardedFields({ trustedProxies: [], underscoreFields: "keep" }) };
const proxy = new Proxy({
  ...{ route: { current: () => upstream, whenServing: () => hold }, clock, patienceMs: 10_000, forward },
});
const options = {
  host: "127.0.0.1",
  port: 0,
  clock,
  limits: { bodyBytesMax: 1_000_000 },
  onExchange: (exchange: Parameters<Proxy["handle"]>[0]) => proxy.handle(exchange),
};
const plain = await HttpServer.listen(options);
const secure = await HttpServer.listen({ ...options, tls: certificateA });
const withApp = {
  ...{ ...options, tls: certificateA },
  app: (server: HttpServer) => proxyAppServer(server, ["h2", "http/1.1"]),
};
const app = await HttpServer.listen(withApp);
const balanced = await HttpServer.listen({ ...withApp, proxyProtocolFrom: ["127.0.0.0/8"] });
process.stdout.write(`${[plain, secure, app, balanced].map(({ port }) => port).join(" ")}\n`);

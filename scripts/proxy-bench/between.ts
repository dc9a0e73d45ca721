/**
 * One half of the way between a gateway and a host, put together as they do it: `gateway` takes clients in clear text,
 * `host` has the backend in place of its application. Arguments: role, port, port of the next, folder with the
 * cluster's certificates for mutual TLS between the two (left out: clear text).
 */
import { join } from "node:path";
import { hostParty } from "../../src/control/channel/transcript.ts";
import { ClusterTls } from "../../src/control/tls/cluster-tls.ts";
import { tlsConnect } from "../../src/control/tls/tls-connect.ts";
import { frontCertificates } from "../../src/host/application/front-certificates.ts";
import { forwardedFields } from "../../src/http/proxy/forwarded-fields.ts";
import { Hold } from "../../src/http/proxy/hold.ts";
import { Proxy } from "../../src/http/proxy/proxy.ts";
import { HttpServer } from "../../src/http/server/server.ts";
import { requestIdFields } from "../../src/http/server/request-id.ts";
import { Upstream } from "../../src/http/upstream/upstream.ts";
import { WholeAnswers } from "../../src/http/upstream/whole-answers.ts";
import { systemClock as clock } from "../../src/runtime/clock.ts";
import { systemLog } from "../../src/runtime/log.ts";
import { systemRandom as random } from "../../src/runtime/random.ts";
import { benchCluster, benchHost } from "./contenders.ts";

const [role = "", port = "0", nextPort = "0", folder] = process.argv.slice(2);
const tls = folder === undefined ? undefined : openTls(folder);
const isGateway = role === "gateway";
const upstream = new Upstream({
  ...{ host: "127.0.0.1", port: Number(nextPort), clock },
  ...(isGateway && tls !== undefined ? { tcp: tlsConnect(tls, hostParty(benchHost.service, benchHost.id)) } : {}),
});
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
  // A host adds nothing to requests.
  forward: {
    wholeAnswers,
    ...(isGateway ? { editRequestFields: (headers, exchange) => addName(addClient(headers, exchange), exchange) } : {}),
  },
});
await HttpServer.listen({
  ...{ host: "127.0.0.1", port: Number(port), clock },
  ...(!isGateway && tls !== undefined ? { tls: frontCertificates(tls.cluster, tls.files) } : {}),
  onExchange: (exchange) => proxy.handle(exchange),
});
process.stdout.write("ready\n");

function openTls(certificates: string): ClusterTls {
  const path = (name: string): string => join(certificates, name);
  const config = { caPath: path("ca.pem"), certPath: path("tls.pem"), keyPath: path("tls.key") };
  return new ClusterTls({ config, cluster: benchCluster, self: [], clock, log: systemLog("bench") });
}

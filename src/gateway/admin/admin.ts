/**
 * The admin API (src/control/gateway-api.ts) as a Hono app. The peers' replication and Hrana (hrana/) are mounted
 * beside these routes, behind the same authentication and the same table of roles (route-roles.ts).
 */
import type { Context } from "hono";
import { type ConfigReport } from "../../control/config-api.ts";
import {
  failoverRequestSchema,
  hostRequestSchema,
  rehearseRequestSchema,
  serviceRequestSchema,
  sqlRequestSchema,
  switchoverRequestSchema,
  type ClusterStatus,
  type LivenessAnswer,
  type RehearsalAnswer,
  type SuspectsCleared,
} from "../../control/gateway-api.ts";
import { type DryRunAnswer } from "../../control/failover-api.ts";
import { type Api, createApi } from "../../control/server/api.ts";
import { authenticate, type Authenticator } from "../../control/server/authentication.ts";
import { jsonBody, limitBody } from "../../control/server/body.ts";
import { sealedChannel } from "../../control/server/channel.ts";
import { limitGuesses } from "../../control/server/guess-limit.ts";
import type { ChannelServer } from "../../control/channel/server.ts";
import { ApiRefusal } from "../../control/server/refusal.ts";
import { describeRefusal } from "../../core/refusal.ts";
import { dryRun } from "../../core/failover/command.ts";
import { lossKinds } from "../../core/failover/prediction.ts";
import type { Audit } from "./audit.ts";
import { addDrillOrders, addDrills } from "./drills.ts";
import { addDatabases } from "./databases.ts";
import { hranaApp, hranaVersionApp } from "./hrana/app.ts";
import { requireCertificate, type RolesOfCall } from "../../control/server/certificate.ts";
import type { ClusterTls } from "../../control/tls/cluster-tls.ts";
import { peerSyncPath } from "../../control/peer-api.ts";
import { healthOf } from "./gateway-health.ts";
import type { SecretDoubt } from "./secret-doubt.ts";
import { showDrills, showStatus } from "./metrics.ts";
import { addHosts, type HostsTarget, unknownHost } from "./hosts.ts";
import { addLogs } from "./logs.ts";
import { addPauses, type PauseTarget } from "./pauses.ts";
import { addNotify, type NotifyTestTarget } from "./notify.ts";
import { order } from "./order.ts";
import { assertEveryRouteHasRole, authorize } from "./route-roles.ts";
import { addRestorePoints } from "./restore-points.ts";
import { addRewind } from "./rewind.ts";
import { addSamples, type SamplesTarget } from "./samples.ts";
import { addSight } from "./sight.ts";
import { addTokens } from "./tokens.ts";
import type { TokenBook } from "../state/token-book.ts";
import { showCertificate } from "../../metrics/show-certificate.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import type { Exposition } from "../../metrics/prometheus.ts";
import { addGatewayRoutes, addPeerSync } from "../peers/peer-app.ts";
import type { Peers } from "../peers/peers.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import type { Drills } from "../service/drills.ts";
import type { ServiceRuntime } from "../service/service.ts";
import type { ReaderAnswer, ReaderRequest } from "../state/sql-reader.ts";
import { withNulls } from "../../control/nulls.ts";

/** The target of the admin API; src/gateway/gateway.ts implements it. */
export interface AdminTarget extends HostsTarget, NotifyTestTarget, PauseTarget, SamplesTarget {
  readonly authenticator: Authenticator;
  readonly channel: ChannelServer;
  readonly tokens: TokenBook;
  /** Undefined: the listener is in clear text. */
  readonly tls: Pick<ClusterTls, "cluster" | "expiresAtMs"> | undefined;
  readonly audit: Audit;
  readonly drills: Drills;
  readonly clock: Clock;
  readonly log: Logger;
  readonly peers: Peers;
  readonly metrics: Metrics & Exposition;
  /** What others say of this gateway's secret. */
  readonly secretDoubt: SecretDoubt;
  services(): readonly ServiceRuntime[];
  status(): ClusterStatus;
  configReport(): ConfigReport;
  query(request: ReaderRequest, timeoutMs: number): Promise<ReaderAnswer>;
}

/** Every certificate of the cluster may ask for health and metrics; gateways may do what operators may. */
const rolesOf: RolesOfCall = (_method, path) =>
  path === peerSyncPath ? ["gateway"] : isOpen.test(path) ? ["gateway", "host", "operator"] : ["gateway", "operator"];
const isOpen = /^\/(?:liveness|health(?:\/[^/]*)?|metrics)$/;

export function createAdminApp(target: AdminTarget): Api {
  const app = createApi({ part: "gateway", manual: "docs/GATEWAY-API.md", log: target.log });
  app.use(target.audit.watch(), requireCertificate(target.tls?.cluster, rolesOf));
  app.get("/liveness", (c) => c.json({ ok: true } satisfies LivenessAnswer));
  app.get("/health", (c) => health(c, target, target.services()));
  app.get("/health/:service", (c) => health(c, target, [find(target, c.req.param("service"))]));
  app.route("/", hranaVersionApp());
  app.use(limitGuesses(target), sealedChannel(target.channel));
  app.use(authenticate(target.authenticator), authorize(), target.audit.begin());
  addPeerSync(app, target.peers);
  app.use(limitBody());
  addGatewayRoutes(app, target.peers);
  app.get("/metrics", async (c) => {
    showStatus(target.metrics, target.status());
    showDrills(target.metrics, target.drills.newest());
    showCertificate(target.metrics, "stead_certificate_expiry_timestamp_seconds", target.tls?.expiresAtMs);
    return c.text(await target.metrics.text(), 200, { "content-type": target.metrics.contentType });
  });
  app.get("/v1/cluster", (c) => c.json(target.status()));
  app.get("/v1/dry-run/:service", (c) => c.json(dryRunAnswer(find(target, c.req.param("service")))));
  addCommands(app, target);
  addDatabases(app, (service) => find(target, service));
  addHosts(app, target, (service) => find(target, service));
  app.get("/v1/config", (c) => c.json(target.configReport()));
  app.route("/", hranaApp({ clock: target.clock, query: (request, timeoutMs) => target.query(request, timeoutMs) }));
  app.post("/v1/sql", jsonBody(sqlRequestSchema), async (c) => {
    const { sql, rowsMax, timeoutMs } = c.req.valid("json");
    const answer = await target.query({ kind: "query", sql, rowsMax }, timeoutMs);
    if (answer.kind !== "rows")
      throw new ApiRefusal("query-failed", {
        found: answer.kind === "error" ? answer.message : `the reader answered with ${answer.kind}`,
        advice:
          "see `stead sql --help` for the views and their columns, and `stead status` for warnings about the database",
      });
    return c.json({ columns: answer.columns, rows: answer.rows, truncated: answer.truncated });
  });
  addTokens(app, target.tokens, target.clock);
  addDrills(app, target.drills, (service) => find(target, service));
  addDrillOrders(app, target.drills, (service) => find(target, service));
  addLogs(app, (service) => find(target, service));
  addSight(app, target);
  addRestorePoints(app, (service) => find(target, service));
  addRewind(app, target.clock, (service) => find(target, service));
  addSamples(app, target, (service) => find(target, service));
  addNotify(app, target);
  assertEveryRouteHasRole(app.routes);
  return app;
}

function addCommands(app: Api, target: AdminTarget): void {
  app.post("/v1/switchover", jsonBody(switchoverRequestSchema), async (c) => {
    const { service, host, dryRun: isDry } = c.req.valid("json");
    if (isDry) return c.json(dryRunAnswer(find(target, service), host));
    return c.json(await order(find(target, service), { kind: "switchover", target: host }));
  });
  app.post("/v1/failover", jsonBody(failoverRequestSchema), async (c) => {
    const request = c.req.valid("json");
    const service = find(target, request.service);
    if (request.dryRun) return c.json(dryRunAnswer(service));
    const done = await order(service, { kind: "failover", target: request.host, force: request.force });
    return c.json({ ...done, mayLose: request.force ? forceMayLose : null });
  });
  addPauses(app, target, (service) => find(target, service), order);
  app.post("/v1/suspects/clear", jsonBody(serviceRequestSchema), async (c) => {
    return c.json(await clearSuspects(find(target, c.req.valid("json").service)));
  });
  app.post("/v1/rehearse", jsonBody(rehearseRequestSchema), async (c) => {
    const { service, host } = c.req.valid("json");
    return c.json(await rehearse(find(target, service), host));
  });
  app.post("/v1/checkpoint", jsonBody(hostRequestSchema), async (c) => {
    const { service, host } = c.req.valid("json");
    const found = find(target, service);
    const id = host ?? found.state.primary?.host;
    const client = id === undefined ? undefined : found.clientOf(id);
    if (id === undefined || client === undefined)
      throw new ApiRefusal("unknown-host", {
        found: `there is no host "${id ?? ""}" to ask`,
        advice: "see `stead hosts list`",
      });
    const answer = await client.checkpoint();
    if (answer.kind === "ok") return c.json({ service: found.name, host: id, ...answer.value });
    const isRefused = answer.kind === "refused-by-host";
    throw new ApiRefusal(isRefused ? "refused-by-host" : "no-answer", {
      found: `${id} made no checkpoint: ${isRefused ? describeRefusal(answer.refusal) : answer.message}`,
      advice: "see `stead status`",
    });
  });
}

async function rehearse(service: ServiceRuntime, host: string): Promise<RehearsalAnswer> {
  const client = service.clientOf(host);
  if (client === undefined) throw unknownHost(host);
  const answer = await client.rehearse();
  if (answer.kind === "ok") return { service: service.name, host, ...answer.value };
  if (answer.kind === "refused-by-host")
    throw new ApiRefusal("refused-by-host", {
      found: `${host}: ${describeRefusal(answer.refusal)}`,
      advice: "see `stead status`; a rehearsal needs a secondary that follows",
    });
  throw new ApiRefusal("no-answer", {
    found: `${host} did not tell how its rehearsal went: ${answer.message}`,
    advice: "see its result in `stead status`, and its log; hosts of an older version cannot rehearse",
  });
}

/** Clears them on every host, because each host passes its knowledge to the next primary. */
async function clearSuspects(service: ServiceRuntime): Promise<SuspectsCleared> {
  const hosts = [...service.state.hosts.keys()];
  const answers = await Promise.all(
    hosts.map(async (host) => ({ host, answer: await service.clientOf(host)?.clearSuspects() })),
  );
  const cleared = answers.filter(({ answer }) => answer?.kind === "ok").map(({ host }) => host);
  const primary = service.state.primary?.host;
  if (primary !== undefined && !cleared.includes(primary))
    throw new ApiRefusal("no-answer", {
      found: `the primary ${primary} did not answer: it still puts requests aside`,
      advice: "try again when `stead status` shows it as up",
    });
  return { service: service.name, hosts: cleared };
}

function find(target: AdminTarget, name: string | undefined): ServiceRuntime {
  const services = target.services();
  const known = services.map((service) => service.name).join(", ");
  const [only] = services;
  if (name === undefined && only !== undefined && services.length === 1) return only;
  if (name === undefined)
    throw new ApiRefusal("service-not-named", {
      found: "this gateway has several services and the request names none",
      accepted: known,
      advice: "name one of them",
    });
  const found = services.find((service) => service.name === name);
  if (found === undefined)
    throw new ApiRefusal("unknown-service", {
      found: `there is no service "${name}"`,
      accepted: known,
      advice: "name one of them",
    });
  return found;
}

const forceMayLose =
  "nothing on hosts with durability strict, where the new primary reads the log to its end first; with durability async, writes that were acknowledged within the loss window; requests in flight that are not idempotent may end as unknown; a named host whose log ends too early loses the records after its end";

/** `target`: the host that an operator wants; default: the best one. */
function dryRunAnswer(service: ServiceRuntime, target?: string): DryRunAnswer {
  const plan = dryRun(service.state, service.now());
  const wouldPromote = target === undefined || plan.order.includes(target) ? (target ?? plan.wouldPromote) : undefined;
  const kinds = wouldPromote === undefined ? [] : lossKinds;
  return {
    ...withNulls({ ...plan, wouldPromote }),
    service: service.name,
    forceMayLose,
    expected: kinds.flatMap((kind) => {
      const prediction = service.predict(kind, wouldPromote);
      return prediction === undefined ? [] : [{ ...prediction, phases: [...prediction.phases] }];
    }),
  };
}

function health(c: Context, { secretDoubt }: AdminTarget, services: readonly ServiceRuntime[]): Response {
  const answer = healthOf(services, secretDoubt);
  return c.json(answer, answer.ok ? 200 : 503);
}

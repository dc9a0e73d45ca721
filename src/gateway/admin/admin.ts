/**
 * The admin API (src/control/gateway-api.ts) as a Hono app. The peers' replication and Hrana (hrana/) are mounted
 * beside these routes, behind the same authentication and the same table of roles (route-roles.ts).
 */
import type { Context } from "hono";
import {
  addHostRequestSchema,
  databaseRequestSchema,
  failoverRequestSchema,
  hostChangeSchema,
  hostRequestSchema,
  rehearseRequestSchema,
  serviceRequestSchema,
  sqlRequestSchema,
  switchoverRequestSchema,
  type ClusterStatus,
  type CommandDone,
  type ConfigReport,
  type DatabasesAnswer,
  type HostList,
  type LivenessAnswer,
  type RehearsalAnswer,
  type SuspectsCleared,
  type HostChange,
} from "../../control/gateway-api.ts";
import { type DryRunAnswer } from "../../control/failover-api.ts";
import { type DatabaseAct, databaseActs, type DatabaseChange, type DatabaseList } from "../../control/databases.ts";
import type { HostAnswer } from "../../control/host-client.ts";
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
import type { Command, Failover } from "../../core/failover/state.ts";
import type { Audit } from "./audit.ts";
import { addDrills } from "./drills.ts";
import { failoverEntry } from "./cluster-status.ts";
import { hranaApp, hranaVersionApp } from "./hrana/app.ts";
import { requireCertificate, type RolesOfCall } from "../../control/server/certificate.ts";
import type { ClusterTls } from "../../control/tls/cluster-tls.ts";
import { peerSyncPath } from "../../control/peer-api.ts";
import { healthOf } from "./gateway-health.ts";
import type { SecretDoubt } from "./secret-doubt.ts";
import { showStatus } from "./metrics.ts";
import { addNotify, type NotifyTestTarget } from "./notify.ts";
import { assertEveryRouteHasRole, authorize } from "./route-roles.ts";
import { addTokens } from "./tokens.ts";
import type { TokenBook } from "../state/token-book.ts";
import { showCertificate } from "../../metrics/show-certificate.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import type { Exposition } from "../../metrics/prometheus.ts";
import type { HostControl } from "../../control/host-control.ts";
import { addGatewayRoutes, addPeerSync } from "../peers/peer-app.ts";
import type { Peers } from "../peers/peers.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import type { Drills } from "../service/drills.ts";
import type { ServiceRuntime } from "../service/service.ts";
import type { ReaderAnswer, ReaderRequest } from "../state/sql-reader.ts";
import { withNulls, withoutNulls } from "../../control/nulls.ts";

/** The target of the admin API; src/gateway/gateway.ts implements it. */
export interface AdminTarget extends NotifyTestTarget {
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
  hostList(): HostList;
  addHost(host: {
    service: string;
    id: string;
    controlUrl: string;
    priority: number | undefined;
    nofailover: boolean | undefined;
  }): void;
  configReport(): ConfigReport;
  /** False: there is no such host. */
  changeHost(service: string, host: string, change: HostChange): boolean;
  /** False: there is no such host. */
  removeHost(service: string, host: string): boolean;
  setPaused(service: ServiceRuntime, paused: boolean): void;
  query(request: ReaderRequest, timeoutMs: number): Promise<ReaderAnswer>;
}

const commandTimeoutMs = 140_000;

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
    showCertificate(target.metrics, "stead_certificate_expiry_timestamp_seconds", target.tls?.expiresAtMs);
    return c.text(await target.metrics.text(), 200, { "content-type": target.metrics.contentType });
  });
  app.get("/v1/cluster", (c) => c.json(target.status()));
  app.get("/v1/dry-run/:service", (c) => c.json(dryRunAnswer(find(target, c.req.param("service")))));
  addCommands(app, target);
  addHosts(app, target);
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
  for (const kind of ["pause", "resume"] as const) {
    app.post(`/v1/${kind}`, jsonBody(serviceRequestSchema), async (c) => {
      const found = find(target, c.req.valid("json").service);
      target.setPaused(found, kind === "pause");
      return c.json(await order(found, { kind }));
    });
  }
  app.post("/v1/suspects/clear", jsonBody(serviceRequestSchema), async (c) => {
    return c.json(await clearSuspects(find(target, c.req.valid("json").service)));
  });
  app.post("/v1/databases/list", jsonBody(serviceRequestSchema), async (c) => {
    const { service } = c.req.valid("json");
    return c.json(await askAboutDatabases(find(target, service), (client) => client.databases?.()));
  });
  for (const act of databaseActs) {
    app.post(`/v1/databases/${act}`, jsonBody(databaseRequestSchema), async (c) => {
      const { service, ...change } = c.req.valid("json");
      return c.json(await changeDatabase(find(target, service), act, change));
    });
  }
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

type DatabaseCall = (client: HostControl) => Promise<HostAnswer<DatabaseList>> | undefined;

/**
 * Asks the primary, or without one the first host that answers: an exclusion is in the vault and applies to all hosts.
 */
async function askAboutDatabases(service: ServiceRuntime, call: DatabaseCall): Promise<DatabasesAnswer> {
  const primary = service.state.primary?.host;
  const mustBePrimary = primary !== undefined && service.state.phase.kind === "serving";
  const others = [...service.state.hosts.keys()].filter((host) => host !== primary);
  let why = "there is no host";
  for (const host of [...(primary === undefined ? [] : [primary]), ...(mustBePrimary ? [] : others)]) {
    const client = service.clientOf(host);
    const answer = client === undefined ? undefined : await call(client);
    if (answer?.kind === "ok") return { service: service.name, host, ...answer.value };
    if (answer?.kind === "refused-by-host")
      throw new ApiRefusal("refused-by-host", {
        found: `${host}: ${describeRefusal(answer.refusal)}`,
        advice: "see `stead databases`",
      });
    why = `${host}: ${answer?.message ?? "a plain host captures nothing"}`;
  }
  throw new ApiRefusal("no-answer", {
    found: `no host that could tell answered (${why})`,
    advice: "try again when `stead status` shows the primary as up; hosts of an older version do not support it",
  });
}

async function changeDatabase(
  service: ServiceRuntime,
  act: DatabaseAct,
  change: DatabaseChange,
): Promise<DatabasesAnswer> {
  const answer = await askAboutDatabases(service, (client) => client.changeDatabase?.(act, change));
  // A host that is about to become primary has already read the list, perhaps before this change.
  const others = [...service.state.hosts.keys()].filter((host) => host !== answer.host);
  await Promise.all(others.map(async (host) => service.clientOf(host)?.changeDatabase?.(act, change)));
  service.recorder.recordEvent(
    act === "exclude" ? "warning" : "info",
    `database-${act}d`,
    answer.host,
    `${change.name}, by an operator${change.force === true ? ", although it was captured" : ""}`,
  );
  return answer;
}

function addHosts(app: Api, target: AdminTarget): void {
  app.get("/v1/hosts", (c) => c.json(target.hostList()));
  app.post("/v1/hosts", jsonBody(addHostRequestSchema), async (c) => {
    const { service, ...host } = c.req.valid("json");
    const { name, recorder } = find(target, service);
    target.addHost({ ...withoutNulls(host), service: name });
    recorder.recordEvent("info", "host-added", host.id, `by an operator, at ${host.controlUrl}`);
    return c.json(target.hostList());
  });
  app.patch("/v1/hosts/:service/:host", jsonBody(hostChangeSchema), async (c) => {
    const service = find(target, c.req.param("service"));
    const change = c.req.valid("json");
    if (!target.changeHost(service.name, c.req.param("host"), change)) throw unknownHost(c.req.param("host"));
    service.recorder.recordEvent("info", "host-changed", c.req.param("host"), `by an operator: ${inWords(change)}`);
    return c.json(target.hostList());
  });
  app.post("/v1/hosts/:service/:host/drain", async (c) => {
    const service = find(target, c.req.param("service"));
    return c.json(await drain(target, service, c.req.param("host")));
  });
  app.delete("/v1/hosts/:service/:host", (c) => {
    const service = find(target, c.req.param("service"));
    const host = c.req.param("host");
    const isPrimary = service.state.primary?.host === host && service.state.phase.kind === "serving";
    if (isPrimary)
      throw new ApiRefusal("conflict", { found: `${host} is primary`, advice: "`stead switchover` first" });
    if (!target.removeHost(service.name, host)) throw unknownHost(host);
    service.recorder.recordEvent("info", "host-removed", host, "by an operator");
    return c.json(target.hostList());
  });
}

const inWords = (change: HostChange): string =>
  Object.entries(change)
    .map(
      ([key, value]) =>
        `${key} ${value === null ? "as the host says" : value === true ? "yes" : value === false ? "no" : value}`,
    )
    .join(", ");

const unknownHost = (host: string): ApiRefusal =>
  new ApiRefusal("unknown-host", { found: `there is no host "${host}"`, advice: "see `stead hosts list`" });

/**
 * First excludes the host as a candidate, then moves away from it: in the other order it could be chosen again at once.
 */
async function drain(target: AdminTarget, service: ServiceRuntime, host: string): Promise<CommandDone> {
  if (!target.changeHost(service.name, host, { nofailover: true })) throw unknownHost(host);
  service.recorder.recordEvent("info", "host-drained", host, "by an operator: no candidate any more");
  const { primary } = service.state;
  if (primary?.host !== host)
    return {
      service: service.name,
      primary: primary?.host ?? null,
      epoch: primary?.epoch ?? 0,
      failover: null,
      mayLose: null,
    };
  const outcome = await service.command(
    { kind: "switchover", target: undefined },
    AbortSignal.timeout(commandTimeoutMs),
  );
  if (outcome.kind === "refused") {
    throw new ApiRefusal(outcome.code, {
      found: `${host} is no candidate any more, but still primary: ${outcome.why}`,
      advice: `${outcome.advice}; then drain it again`,
    });
  }
  return {
    service: service.name,
    primary: outcome.primary ?? null,
    epoch: outcome.epoch,
    failover: entryOf(service, outcome.failover),
    mayLose: null,
  };
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

async function order(service: ServiceRuntime, command: Command): Promise<CommandDone> {
  const outcome = await service.command(command, AbortSignal.timeout(commandTimeoutMs));
  if (outcome.kind === "refused") throw new ApiRefusal(outcome.code, { found: outcome.why, advice: outcome.advice });
  return {
    service: service.name,
    primary: outcome.primary ?? null,
    epoch: outcome.epoch,
    failover: entryOf(service, outcome.failover),
    mayLose: null,
  };
}

function entryOf(service: ServiceRuntime, failover: Failover | undefined): CommandDone["failover"] {
  const row = failover === undefined ? undefined : service.recorder.find(failover.key);
  return row === undefined ? null : failoverEntry(row);
}

const forceMayLose =
  "nothing on hosts with durability strict: the new primary first reads the log to its end, which has every acknowledged write; with durability async, writes that the old primary acknowledged within its maximum loss window; non-idempotent requests in flight may end as unknown; on a named host whose log ends before the primary's last known position: the records after its end";

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

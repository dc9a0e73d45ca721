/**
 * The admin API (src/control/gateway-api.ts) as a Hono app. The peers' replication and Hrana (hrana/) are
 * apps that are mounted beside these routes behind the same check of the secret.
 */
import { Hono, type Context } from "hono";
import { bodyLimit } from "hono/body-limit";
import { createHash, timingSafeEqual } from "node:crypto";
import * as v from "valibot";
import {
  addHostRequestSchema,
  databaseRequestSchema,
  failoverRequestSchema,
  hostChangeSchema,
  hostRequestSchema,
  rehearseRequestSchema,
  serviceRequestSchema,
  sqlRequestSchema,
  type ClusterStatus,
  type CommandDone,
  type ConfigReport,
  type DatabasesAnswer,
  type DryRunAnswer,
  type HostList,
  type LivenessAnswer,
  type RehearsalAnswer,
  type Refused,
  type SuspectsCleared,
} from "../../control/gateway-api.ts";
import { type DatabaseAct, databaseActs, type DatabaseChange, type DatabaseList } from "../../control/databases.ts";
import type { HostAnswer } from "../../control/host-client.ts";
import { describeRefusal } from "../../core/refusal.ts";
import { dryRun } from "../../core/failover/command.ts";
import type { Command, Failover } from "../../core/failover/state.ts";
import { failoverEntry } from "./cluster-status.ts";
import { hranaApp, hranaVersionApp } from "./hrana/app.ts";
import { healthOf } from "./gateway-health.ts";
import { showStatus } from "./metrics.ts";
import type { Metrics } from "../../metrics/metrics.ts";
import type { Exposition } from "../../metrics/prometheus.ts";
import type { HostControl } from "../service/plain-control.ts";
import { addPeerRoutes } from "../peers/peer-app.ts";
import type { Peers } from "../peers/peers.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { ServiceRuntime } from "../service/service.ts";
import type { ReaderAnswer, ReaderRequest } from "../state/sql-reader.ts";

/** What the admin API is about; src/gateway/gateway.ts is one. */
export interface AdminTarget {
  readonly secret: string;
  readonly clock: Clock;
  readonly peers: Peers;
  readonly metrics: Metrics & Exposition;
  services(): readonly ServiceRuntime[];
  status(): ClusterStatus;
  hostList(): HostList;
  addHost(host: {
    service: string;
    id: string;
    controlUrl: string;
    priority: number | null;
    nofailover: boolean | null;
  }): void;
  configReport(): ConfigReport;
  /** False: there is no such host. */
  changeHost(
    service: string,
    host: string,
    change: { readonly priority?: number | null | undefined; readonly nofailover?: boolean | null | undefined },
  ): boolean;
  /** False: there is no such host. */
  removeHost(service: string, host: string): boolean;
  setPaused(service: ServiceRuntime, paused: boolean): void;
  query(request: ReaderRequest, timeoutMs: number): Promise<ReaderAnswer>;
}

const bodyBytesMax = 256 * 1024;
const commandTimeoutMs = 140_000;

/** An answer that is not the one that was asked for. */
class Refusal extends Error {
  override readonly name = "Refusal";
  readonly status: 400 | 404 | 409;
  readonly body: Refused;
  constructor(status: 400 | 404 | 409, error: string, advice: string) {
    super(error);
    this.status = status;
    this.body = { error, advice };
  }
}

export function createAdminApp(target: AdminTarget): Hono {
  const app = new Hono();
  app.onError((error, c) => {
    if (error instanceof Refusal) return c.json(error.body, error.status);
    return c.json(
      { error: error.message, advice: "this is a defect of the gateway: please report it" } satisfies Refused,
      500,
    );
  });
  app.notFound((c) =>
    c.json({ error: "there is nothing here", advice: "see docs/GATEWAY-API.md" } satisfies Refused, 404),
  );
  app.get("/liveness", (c) => c.json({ ok: true } satisfies LivenessAnswer));
  app.get("/health", (c) => health(c, target.services()));
  app.get("/health/:service", (c) => health(c, [find(target, c.req.param("service"))]));
  app.route("/", hranaVersionApp());
  app.use(requireSecret(target.secret));
  addPeerRoutes(app, target.peers);
  app.use(
    bodyLimit({
      maxSize: bodyBytesMax,
      onError: (c) =>
        c.json(
          { error: "the body is too large", advice: `at most ${bodyBytesMax} bytes are accepted` } satisfies Refused,
          413,
        ),
    }),
  );
  app.get("/metrics", async (c) => {
    showStatus(target.metrics, target.status());
    return c.text(await target.metrics.text(), 200, { "content-type": target.metrics.contentType });
  });
  app.get("/v1/cluster", (c) => c.json(target.status()));
  addCommands(app, target);
  addHosts(app, target);
  app.get("/v1/config", (c) => c.json(target.configReport()));
  app.route("/", hranaApp({ clock: target.clock, query: (request, timeoutMs) => target.query(request, timeoutMs) }));
  app.post("/v1/sql", async (c) => {
    const { sql, rowsMax, timeoutMs } = await read(c, sqlRequestSchema);
    const answer = await target.query({ kind: "query", sql, rowsMax }, timeoutMs);
    if (answer.kind !== "rows")
      throw new Refusal(
        400,
        answer.kind === "error" ? answer.message : `the reader answered with ${answer.kind}`,
        "see `stead sql --help` for the views and their columns, and `stead status` for trouble with the database",
      );
    return c.json({ columns: answer.columns, rows: answer.rows, truncated: answer.truncated });
  });
  return app;
}

function addCommands(app: Hono, target: AdminTarget): void {
  app.post("/v1/switchover", async (c) => {
    const { service, host } = await read(c, hostRequestSchema);
    return c.json(await order(find(target, service), { kind: "switchover", target: host ?? null }));
  });
  app.post("/v1/failover", async (c) => {
    const request = await read(c, failoverRequestSchema);
    const service = find(target, request.service);
    if (request.dryRun) return c.json(dryRunAnswer(service));
    const done = await order(service, { kind: "failover", target: request.host ?? null, force: request.force });
    return c.json({ ...done, mayLose: request.force ? forceMayLose : null });
  });
  for (const kind of ["pause", "resume"] as const) {
    app.post(`/v1/${kind}`, async (c) => {
      const { service } = await read(c, serviceRequestSchema);
      const found = find(target, service);
      target.setPaused(found, kind === "pause");
      return c.json(await order(found, { kind }));
    });
  }
  app.post("/v1/suspects/clear", async (c) => {
    const { service } = await read(c, serviceRequestSchema);
    return c.json(await clearSuspects(find(target, service)));
  });
  app.post("/v1/databases/list", async (c) => {
    const { service } = await read(c, serviceRequestSchema);
    return c.json(await askAboutDatabases(find(target, service), (client) => client.databases?.()));
  });
  for (const act of databaseActs) {
    app.post(`/v1/databases/${act}`, async (c) => {
      const { service, ...change } = await read(c, databaseRequestSchema);
      return c.json(await changeDatabase(find(target, service), act, change));
    });
  }
  app.post("/v1/rehearse", async (c) => {
    const { service, host } = await read(c, rehearseRequestSchema);
    return c.json(await rehearse(find(target, service), host));
  });
  app.post("/v1/checkpoint", async (c) => {
    const { service, host } = await read(c, hostRequestSchema);
    const found = find(target, service);
    const id = host ?? found.state.primary?.host;
    const client = id === undefined ? undefined : found.clientOf(id);
    if (id === undefined || client === undefined)
      throw new Refusal(404, `there is no host "${id ?? ""}" to ask`, "see `stead hosts list`");
    const answer = await client.checkpoint();
    if (answer.kind === "ok") return c.json({ service: found.name, host: id, ...answer.value });
    const why = answer.kind === "refused-by-host" ? JSON.stringify(answer.refusal) : answer.message;
    throw new Refusal(409, `${id} made no checkpoint: ${why}`, "see `stead status`");
  });
}

async function rehearse(service: ServiceRuntime, host: string): Promise<RehearsalAnswer> {
  const client = service.clientOf(host);
  if (client === undefined) throw unknownHost(host);
  const answer = await client.rehearse();
  if (answer.kind === "ok") return { service: service.name, host, ...answer.value };
  if (answer.kind === "refused-by-host")
    throw new Refusal(
      409,
      `${host}: ${describeRefusal(answer.refusal)}`,
      "see `stead status`; a rehearsal needs a secondary that follows",
    );
  throw new Refusal(
    409,
    `${host} did not tell how its rehearsal went: ${answer.message}`,
    "see its result in `stead status`, and its log; hosts of an older version cannot rehearse",
  );
}

/** On every host: each hands what it knows to the next primary. */
async function clearSuspects(service: ServiceRuntime): Promise<SuspectsCleared> {
  const hosts = [...service.state.hosts.keys()];
  const answers = await Promise.all(
    hosts.map(async (host) => ({ host, answer: await service.clientOf(host)?.clearSuspects() })),
  );
  const cleared = answers.filter(({ answer }) => answer?.kind === "ok").map(({ host }) => host);
  const primary = service.state.primary?.host;
  if (primary !== undefined && !cleared.includes(primary))
    throw new Refusal(
      409,
      `the primary ${primary} did not answer: it still puts requests aside`,
      "try again when `stead status` shows it as up",
    );
  return { service: service.name, hosts: cleared };
}

type DatabaseCall = (client: HostControl) => Promise<HostAnswer<DatabaseList>> | undefined;

/**
 * The primary, or without one the first host that answers: what is excluded is excluded for all of them, in the vault.
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
      throw new Refusal(409, `${host}: ${describeRefusal(answer.refusal)}`, "see `stead databases`");
    why = `${host}: ${answer?.message ?? "a plain host captures nothing"}`;
  }
  throw new Refusal(
    409,
    `no host that could tell answered (${why})`,
    "try again when `stead status` shows the primary as up; hosts of an older version know nothing of it",
  );
}

async function changeDatabase(
  service: ServiceRuntime,
  act: DatabaseAct,
  change: DatabaseChange,
): Promise<DatabasesAnswer> {
  const answer = await askAboutDatabases(service, (client) => client.changeDatabase?.(act, change));
  // A host that is about to become primary has read the list already, perhaps before this change.
  const others = [...service.state.hosts.keys()].filter((host) => host !== answer.host);
  await Promise.all(others.map(async (host) => service.clientOf(host)?.changeDatabase?.(act, change)));
  service.recorder.note(
    act === "exclude" ? "warning" : "info",
    `database-${act}d`,
    answer.host,
    `${change.name}, by an operator${change.force === true ? ", although it was captured" : ""}`,
  );
  return answer;
}

function addHosts(app: Hono, target: AdminTarget): void {
  app.get("/v1/hosts", (c) => c.json(target.hostList()));
  app.post("/v1/hosts", async (c) => {
    const { service, ...host } = await read(c, addHostRequestSchema);
    target.addHost({ ...host, service: find(target, service).name });
    return c.json(target.hostList());
  });
  app.patch("/v1/hosts/:service/:host", async (c) => {
    const service = find(target, c.req.param("service"));
    const change = await read(c, hostChangeSchema);
    if (!target.changeHost(service.name, c.req.param("host"), change)) throw unknownHost(c.req.param("host"));
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
    if (isPrimary) throw new Refusal(409, `${host} is primary`, "`stead switchover` first");
    if (!target.removeHost(service.name, host)) throw unknownHost(host);
    return c.json(target.hostList());
  });
}

const unknownHost = (host: string): Refusal => new Refusal(404, `there is no host "${host}"`, "see `stead hosts list`");

/** First never a candidate again, then away from it: in the other order it could be chosen again at once. */
async function drain(target: AdminTarget, service: ServiceRuntime, host: string): Promise<CommandDone> {
  if (!target.changeHost(service.name, host, { nofailover: true })) throw unknownHost(host);
  const { primary } = service.state;
  if (primary?.host !== host)
    return {
      service: service.name,
      primary: primary?.host ?? null,
      epoch: primary?.epoch ?? 0,
      failover: null,
      mayLose: null,
    };
  const outcome = await service.command({ kind: "switchover", target: null }, AbortSignal.timeout(commandTimeoutMs));
  if (outcome.kind === "refused") {
    throw new Refusal(
      409,
      `${host} is no candidate any more, but still primary: ${outcome.why}`,
      `${outcome.advice}; then drain it again`,
    );
  }
  return {
    service: service.name,
    primary: outcome.primary,
    epoch: outcome.epoch,
    failover: entryOf(service, outcome.failover),
    mayLose: null,
  };
}

/** Secrets are compared by their hashes, in constant time whatever their lengths. */
function requireSecret(secret: string) {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  const wanted = digest(`Bearer ${secret}`);
  return async function checkSecret(c: Context, next: () => Promise<void>): Promise<Response | undefined> {
    if (!timingSafeEqual(digest(c.req.header("authorization") ?? ""), wanted)) {
      return c.json(
        { error: "unauthorized", advice: "send Authorization: Bearer <cluster secret>" } satisfies Refused,
        401,
      );
    }
    await next();
    return undefined;
  };
}

async function read<S extends v.GenericSchema>(c: Context, schema: S): Promise<v.InferOutput<S>> {
  const text = await c.req.text();
  let value: unknown;
  try {
    value = text === "" ? {} : JSON.parse(text);
  } catch {
    throw new Refusal(400, "the body is not JSON", "see docs/GATEWAY-API.md");
  }
  const parsed = v.safeParse(schema, value);
  if (!parsed.success) throw new Refusal(400, v.summarize(parsed.issues), "see docs/GATEWAY-API.md");
  return parsed.output;
}

function find(target: AdminTarget, name: string | undefined): ServiceRuntime {
  const services = target.services();
  const known = services.map((service) => service.name).join(", ");
  const [only] = services;
  if (name === undefined && only !== undefined && services.length === 1) return only;
  if (name === undefined)
    throw new Refusal(400, "this gateway has several services and the request names none", `name one of: ${known}`);
  const found = services.find((service) => service.name === name);
  if (found === undefined) throw new Refusal(404, `there is no service "${name}"`, `there are: ${known}`);
  return found;
}

async function order(service: ServiceRuntime, command: Command): Promise<CommandDone> {
  const outcome = await service.command(command, AbortSignal.timeout(commandTimeoutMs));
  if (outcome.kind === "refused") throw new Refusal(409, outcome.why, outcome.advice);
  return {
    service: service.name,
    primary: outcome.primary,
    epoch: outcome.epoch,
    failover: entryOf(service, outcome.failover),
    mayLose: null,
  };
}

function entryOf(service: ServiceRuntime, failover: Failover | null): CommandDone["failover"] {
  const row = failover === null ? undefined : service.recorder.find(failover.key);
  return row === undefined ? null : failoverEntry(row);
}

const forceMayLose =
  "nothing on hosts with durability strict: the new primary reads the log to its end first, and what was acknowledged is in it; with durability async, what the old primary acknowledged within its maximum loss window; requests in flight that are not idempotent may end as unknown; on a named host whose log ends before what was heard of the primary: the records after that";

function dryRunAnswer(service: ServiceRuntime): DryRunAnswer {
  const plan = dryRun(service.state, service.now());
  return {
    ...plan,
    service: service.name,
    order: [...plan.order],
    but: plan.but.map((entry) => ({ ...entry })),
    whyNot: plan.whyNot.map((entry) => ({ ...entry })),
    obstacles: [...plan.obstacles],
    forceMayLose,
  };
}

function health(c: Context, services: readonly ServiceRuntime[]): Response {
  const answer = healthOf(services);
  return c.json(answer, answer.ok ? 200 : 503);
}

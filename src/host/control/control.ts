/**
 * The control API of a host (docs/CONTROL-API.md): a thin Hono app over the `Controlled` port. No decision is made
 * here.
 *
 * Promote and demote answer with NDJSON, a line per phase as it ends, so that a gateway sees where the time goes while
 * it goes. The status stream is the fastest failure signal that a gateway has: it ends when this process ends.
 */
import { stream } from "hono/streaming";
import type { HostStatus } from "../../control/host-status.ts";
import {
  type CheckpointDone,
  type DemoteEvent,
  type DemoteRequest,
  demoteRequestSchema,
  gatewayField,
  heartbeatMs,
  type PromoteEvent,
  type PromoteRequest,
  promoteRequestSchema,
  recordFormatField,
  type RehearsalDone,
  removalSchema,
} from "../../control/host-api.ts";
import { type HostDrillDone, type HostDrillRequest, hostDrillRequestSchema } from "../../control/drill-api.ts";
import { type HostLog, type HostLogQuestion, hostLogRequestSchema } from "../../control/log-api.ts";
import { databaseActs, databaseChangeSchema } from "../../control/databases.ts";
import {
  rewindHostRequestSchema,
  type RewindMoment,
  type RewindPlan,
  type RewindPrepared,
} from "../../control/rewind-api.ts";
import { type Api, createApi } from "../../control/server/api.ts";
import { authenticate, type Authenticator } from "../../control/server/authentication.ts";
import { jsonBody, limitBody } from "../../control/server/body.ts";
import { sealedChannel } from "../../control/server/channel.ts";
import { requireCertificate, type RolesOfCall } from "../../control/server/certificate.ts";
import { limitGuesses } from "../../control/server/guess-limit.ts";
import type { ChannelServer } from "../../control/channel/server.ts";
import { isIdentifier } from "../../core/identifier.ts";
import type { Exposition } from "../../metrics/prometheus.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Logger } from "../../runtime/log.ts";
import type { DatabaseDesk } from "./database-desk.ts";
import type { RestorePointReader } from "../secondary/restore-points.ts";
import type { GatewayWatch } from "./gateway-watch.ts";
import type { Outcome } from "../ports/ports.ts";
import type { Refusal } from "../../core/refusal.ts";

/** The calls of the control API on a host. */
export interface Controlled {
  status(): HostStatus;
  /** Resolves at the next change of the status. */
  changed(): Promise<void>;
  promote(request: PromoteRequest, report: (event: PromoteEvent) => void): Promise<void>;
  demote(request: DemoteRequest, report: (event: DemoteEvent) => void): Promise<void>;
  restore(): Promise<Refusal | undefined>;
  /** The gateways that watch this host. */
  readonly gateways: Pick<GatewayWatch, "watchedBy" | "removedBy" | "toldFormat">;
  /** Forwards requests again that were set aside. */
  clearSuspects(): void;
  checkpoint(): Promise<Outcome<CheckpointDone>>;
  rehearse(): Promise<Outcome<RehearsalDone>>;
  drill(request: HostDrillRequest): Outcome<HostDrillDone>;
  readonly databases: Pick<DatabaseDesk, "list" | "exclude" | "include">;
  readonly restorePoints: Pick<RestorePointReader, "read">;
  readonly rewinds: {
    plan(moment: RewindMoment): Promise<Outcome<RewindPlan>>;
    prepare(moment: RewindMoment): Promise<Outcome<RewindPrepared>>;
  };
}

/** What is kept of the host's log and of its application's output (src/host/log-ring.ts). */
export interface KeptLog {
  read(question: HostLogQuestion, clock: Clock, signal?: AbortSignal): Promise<HostLog>;
}

const noLogs: KeptLog = { read: () => Promise.resolve({ run: "none", lines: [], next: 0, lost: 0 }) };

const formatPattern = /^[1-9]\d{0,3}$/;

export interface ControlAppOptions {
  /** For calls without the channel. */
  readonly authenticator: Authenticator;
  /** undefined: only the authenticator's. */
  readonly channel?: ChannelServer;
  /** The cluster that callers' certificates must be of. undefined: the listener is in clear text. */
  readonly certified?: string | undefined;
  readonly clock: Clock;
  readonly metrics: Exposition;
  readonly log: Logger;
  /** Nothing is answered while there is one. undefined: there never is. */
  readonly partition?: { readonly over: Promise<void> | undefined };
  /** undefined: none are kept. */
  readonly logs?: KeptLog;
}

/** Gateways give orders; hosts read each other's status, and ask for a checkpoint. */
const rolesOf: RolesOfCall = (method, path) =>
  method === "GET" ? ["gateway", "host", "operator"] : path === "/v1/checkpoint" ? ["gateway", "host"] : ["gateway"];

export function controlApp(
  host: Controlled,
  { authenticator, channel, certified, clock, metrics, log, partition, logs = noLogs }: ControlAppOptions,
): Api {
  const app = createApi({ part: "host", manual: "docs/CONTROL-API.md", log });
  app.use(async function beSilent(_context, next) {
    await partition?.over;
    await next();
  });
  app.use(requireCertificate(certified, rolesOf), limitGuesses({ clock, log }));
  if (channel !== undefined) app.use(sealedChannel(channel));
  app.use(authenticate(authenticator), limitBody());
  app.get("/metrics", async (context) =>
    context.text(await metrics.text(), 200, { "content-type": metrics.contentType }),
  );
  app.get("/v1/status", (context) => {
    const [gateway, format] = [context.req.header(gatewayField), context.req.header(recordFormatField)];
    if (gateway !== undefined && isIdentifier(gateway) && format !== undefined && formatPattern.test(format))
      host.gateways.toldFormat(gateway, Number(format));
    return context.json(host.status());
  });
  app.get("/v1/status/stream", (context) => {
    context.header("content-type", "application/x-ndjson");
    return stream(context, async (out) => {
      const changes = new Changes(host);
      const gateway = context.req.header(gatewayField);
      const left = host.gateways.watchedBy(gateway !== undefined && isIdentifier(gateway) ? gateway : undefined);
      try {
        while (!out.aborted && !out.closed) {
          await partition?.over;
          const seen = changes.listen();
          await out.write(`${JSON.stringify(host.status())}\n`);
          await seen.within(clock, heartbeatMs);
        }
      } finally {
        left();
      }
    });
  });
  app.post("/v1/promote", jsonBody(promoteRequestSchema), (context) =>
    ndjson<PromoteEvent>(context, (report) => host.promote(context.req.valid("json"), report)),
  );
  app.post("/v1/demote", jsonBody(demoteRequestSchema), (context) =>
    ndjson<DemoteEvent>(context, (report) => host.demote(context.req.valid("json"), report)),
  );
  app.post("/v1/restore", async (context) => {
    const refusal = await host.restore();
    return refusal === undefined ? context.json(host.status()) : context.json(refusal, 409);
  });
  app.post("/v1/removed", jsonBody(removalSchema), (context) => {
    host.gateways.removedBy(context.req.valid("json").gateway);
    return context.json(host.status());
  });
  app.post("/v1/checkpoint", async (context) => {
    const outcome = await host.checkpoint();
    return outcome.kind === "done" ? context.json(outcome.done) : context.json(outcome.refusal, 409);
  });
  app.post("/v1/rehearse", async (context) => {
    const outcome = await host.rehearse();
    return outcome.kind === "done" ? context.json(outcome.done) : context.json(outcome.refusal, 409);
  });
  app.post("/v1/drill", jsonBody(hostDrillRequestSchema), (context) => {
    const outcome = host.drill(context.req.valid("json"));
    return outcome.kind === "done" ? context.json(outcome.done) : context.json(outcome.refusal, 409);
  });
  app.post("/v1/suspects/clear", (context) => {
    host.clearSuspects();
    return context.json(host.status());
  });
  app.post("/v1/log", jsonBody(hostLogRequestSchema), async (context) =>
    context.json(await logs.read(context.req.valid("json"), clock, context.req.raw.signal)),
  );
  for (const act of ["plan", "prepare"] as const) {
    app.post(`/v1/rewind/${act}`, jsonBody(rewindHostRequestSchema), async (context) => {
      const outcome = await host.rewinds[act](context.req.valid("json").moment);
      return outcome.kind === "done" ? context.json(outcome.done) : context.json(outcome.refusal, 409);
    });
  }
  app.get("/v1/restore-points", async (context) => context.json(await host.restorePoints.read()));
  addDatabases(app, host);
  return app;
}

function addDatabases(app: Api, host: Controlled): void {
  app.get("/v1/databases", (context) => context.json(host.databases.list()));
  for (const act of databaseActs) {
    app.post(`/v1/databases/${act}`, jsonBody(databaseChangeSchema), async (context) => {
      const outcome = await host.databases[act](context.req.valid("json"));
      return outcome.kind === "done" ? context.json(outcome.done) : context.json(outcome.refusal, 409);
    });
  }
}

function ndjson<Event>(
  context: Parameters<typeof stream>[0],
  work: (report: (event: Event) => void) => Promise<void>,
): Response {
  context.header("content-type", "application/x-ndjson");
  return stream(context, async (out) => {
    let written = Promise.resolve();
    // The work continues if the caller goes away: half a promotion is useless.
    await work((event) => {
      written = written
        .then(() => out.write(`${JSON.stringify(event)}\n`))
        .then(
          () => undefined,
          () => undefined,
        );
    });
    await written;
  });
}

/**
 * Waits for changes of a host with one listener per change, however many heartbeats pass before it: a listener per
 * heartbeat would stay with the promise until the next change, and an idle service has none for weeks.
 */
class Changes {
  readonly #host: Controlled;
  #listened: Promise<void> | undefined;
  #isSeen = false;
  #wake: (() => void) | undefined;

  constructor(host: Controlled) {
    this.#host = host;
  }

  /** Call before reading the status: `within` sees later changes. */
  listen(): Changes {
    const changed = this.#host.changed();
    if (changed === this.#listened) return this;
    this.#listened = changed;
    this.#isSeen = false;
    changed.then(
      () => this.#see(changed),
      () => this.#see(changed),
    );
    return this;
  }

  /** Resolves at the change or after the time, and leaves no timer behind. */
  within(clock: Clock, afterMs: number): Promise<void> {
    if (this.#isSeen) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = clock.setTimer(afterMs, resolve);
      this.#wake = () => {
        timer.cancel();
        resolve();
      };
    });
  }

  #see(changed: Promise<void>): void {
    if (changed !== this.#listened) return;
    this.#isSeen = true;
    this.#wake?.();
  }
}

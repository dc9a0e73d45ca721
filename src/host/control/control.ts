/**
 * The control API of a host (docs/CONTROL-API.md): a thin Hono app over the `Controlled` port. No decision is made
 * here.
 *
 * Promote and demote answer with NDJSON, a line per phase as it ends, so that a gateway sees where the time goes while
 * it goes. The status stream is the fastest failure signal that a gateway has: it ends when this process ends.
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { stream } from "hono/streaming";
import * as v from "valibot";
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
  removedNoticeSchema,
} from "../../control/messages.ts";
import { databaseActs, databaseChangeSchema } from "../../control/databases.ts";
import { isIdentifier } from "../../core/identifier.ts";
import type { Exposition } from "../../metrics/prometheus.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { DatabaseDesk } from "./database-desk.ts";
import type { GatewayWatch } from "./gateway-watch.ts";
import type { Outcome } from "../ports/ports.ts";
import type { Refusal } from "../../core/refusal.ts";

/** What the control API can ask of a host. */
export interface Controlled {
  status(): HostStatus;
  /** Resolves at the next change of the status. */
  changed(): Promise<void>;
  promote(request: PromoteRequest, report: (event: PromoteEvent) => void): Promise<void>;
  demote(request: DemoteRequest, report: (event: DemoteEvent) => void): Promise<void>;
  restore(): Promise<Refusal | undefined>;
  /** Who watches this host. */
  readonly gateways: Pick<GatewayWatch, "watchedBy" | "removedBy" | "toldFormat">;
  /** Requests that were put aside are forwarded again. */
  clearSuspects(): void;
  checkpoint(): Promise<Outcome<CheckpointDone>>;
  rehearse(): Promise<Outcome<RehearsalDone>>;
  readonly databases: Pick<DatabaseDesk, "list" | "exclude" | "include">;
}

const formatPattern = /^[1-9]\d{0,3}$/;

/** The largest order is a promotion, with the ids of the gateways that see the primary down. */
const bodyBytesMax = 256 * 1024;

/** The Hono app; `secret` is the cluster's. */
export function controlApp(host: Controlled, secret: string, clock: Clock, metrics: Exposition): Hono {
  const app = new Hono();
  const isAllowed = bearerCheck(secret);
  for (const path of ["/v1/*", "/metrics"]) {
    app.use(path, async (context, next) => {
      if (!isAllowed(context.req.header("authorization"))) {
        const advice =
          "send `Authorization: Bearer <cluster secret>`; the secret must be the same on all gateways and hosts of the cluster";
        return context.json({ error: "not authenticated", advice }, 401);
      }
      return next();
    });
  }
  const tooLarge = { error: "the body is too large", advice: `at most ${bodyBytesMax} bytes are accepted` };
  app.use("/v1/*", bodyLimit({ maxSize: bodyBytesMax, onError: (context) => context.json(tooLarge, 413) }));
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
          const seen = changes.listen();
          await out.write(`${JSON.stringify(host.status())}\n`);
          await seen.within(clock, heartbeatMs);
        }
      } finally {
        left();
      }
    });
  });
  app.post("/v1/promote", async (context) => {
    const request = await parseBody(context.req.raw, promoteRequestSchema);
    if (request.kind === "malformed") return context.json(request.answer, 400);
    return ndjson<PromoteEvent>(context, (report) => host.promote(request.value, report));
  });
  app.post("/v1/demote", async (context) => {
    const request = await parseBody(context.req.raw, demoteRequestSchema);
    if (request.kind === "malformed") return context.json(request.answer, 400);
    return ndjson<DemoteEvent>(context, (report) => host.demote(request.value, report));
  });
  app.post("/v1/restore", async (context) => {
    const refusal = await host.restore();
    return refusal === undefined ? context.json(host.status()) : context.json(refusal, 409);
  });
  app.post("/v1/removed", async (context) => {
    const notice = await parseBody(context.req.raw, removedNoticeSchema);
    if (notice.kind === "malformed") return context.json(notice.answer, 400);
    host.gateways.removedBy(notice.value.gateway);
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
  app.post("/v1/suspects/clear", (context) => {
    host.clearSuspects();
    return context.json(host.status());
  });
  addDatabases(app, host);
  app.notFound((context) =>
    context.json({ error: "no such call", advice: "see docs/CONTROL-API.md for the calls of version 1" }, 404),
  );
  return app;
}

function addDatabases(app: Hono, host: Controlled): void {
  app.get("/v1/databases", (context) => context.json(host.databases.list()));
  for (const act of databaseActs) {
    app.post(`/v1/databases/${act}`, async (context) => {
      const change = await parseBody(context.req.raw, databaseChangeSchema);
      if (change.kind === "malformed") return context.json(change.answer, 400);
      const outcome = await host.databases[act](change.value);
      return outcome.kind === "done" ? context.json(outcome.done) : context.json(outcome.refusal, 409);
    });
  }
}

/** Compares digests, so that neither length nor content of the secret shows in the time it takes. */
export function bearerCheck(secret: string): (authorization: string | undefined) => boolean {
  const expected = digest(`Bearer ${secret}`);
  return (authorization) => authorization !== undefined && timingSafeEqual(digest(authorization), expected);
}

const digest = (text: string): Buffer => createHash("sha256").update(text).digest();

function ndjson<Event>(
  context: Parameters<typeof stream>[0],
  work: (report: (event: Event) => void) => Promise<void>,
): Response {
  context.header("content-type", "application/x-ndjson");
  return stream(context, async (out) => {
    let written = Promise.resolve();
    // The work goes on when the asker goes away: half a promotion helps nobody.
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

type Parsed<T> =
  | { readonly kind: "ok"; readonly value: T }
  | { readonly kind: "malformed"; readonly answer: { readonly error: string; readonly advice: string } };

async function parseBody<T>(request: Request, schema: v.GenericSchema<unknown, T>): Promise<Parsed<T>> {
  const advice = "see docs/CONTROL-API.md for the body of this call";
  let body: unknown;
  try {
    body = await request.json();
  } catch {
    return { kind: "malformed", answer: { error: "the body is not JSON", advice } };
  }
  const parsed = v.safeParse(schema, body);
  if (parsed.success) return { kind: "ok", value: parsed.output };
  const issue = parsed.issues[0];
  return { kind: "malformed", answer: { error: `${v.getDotPath(issue) ?? "body"}: ${issue.message}`, advice } };
}

/**
 * Waits for changes of a host, one listener per change however many heartbeats pass before it comes: a listener per
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

  /** Before the status is read: what changes after that is seen by `within`. */
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

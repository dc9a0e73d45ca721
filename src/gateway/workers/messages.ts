/**
 * Messages between the control plane of a gateway and its workers, one JSON object per line: control on the worker's
 * standard input, the worker on its standard output. The end of the input is the end of the control plane.
 *
 * Both sides are the same binary, so there is no version; schemas check every message all the same, because an invalid
 * one must be reported, not half accepted. Routes have numbers: a service that was removed and added again is another
 * route.
 */
import * as v from "valibot";
import { gatewayLimits } from "../../config/limits.ts";
import type { GatewayLimitName } from "../../http/limits.ts";
import { requestEnds } from "../../http/proxy/request-trace.ts";
import { definitions, type MetricName } from "../../metrics/metrics.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const text = v.string();
const limits = v.object(
  Object.fromEntries(gatewayLimits.map(({ name }) => [name, count])) as Record<GatewayLimitName, typeof count>,
);
/** As `HeardOfHost` (src/http/upstream/upstream.ts). */
const heard = v.object({ position: count, vault: v.optional(text), takesNames: v.boolean() });
const files = { certPath: text, keyPath: text };
const acme = v.object({
  ...{ directory: text, email: v.optional(text), domains: v.array(text), folder: text, caPath: v.optional(text) },
  challenge: v.picklist(["http-01", "tls-alpn-01"]),
});
const target = v.variant("kind", [
  v.object({ kind: v.literal("off") }),
  v.object({ kind: v.literal("stderr") }),
  v.object({ kind: v.literal("file"), path: text }),
]);

const settingsSchema = v.object({
  listen: v.object({ host: text, port: count }),
  limits,
  /** For a worker whose control plane is gone. */
  drainMs: count,
  replayAgainMax: count,
  replayWrites: v.picklist(["named", "never"]),
  replaySpool: v.object({ bytesMax: count, folder: text }),
  answerWholeBytesMax: count,
  clientHalfClose: v.picklist(["gone", "serve"]),
  /** For the certificates of connections to hosts. */
  id: text,
  cluster: v.object({
    name: text,
    acceptBearer: v.boolean(),
    tls: v.optional(v.object({ ...files, caPath: text })),
  }),
  hold: v.object({ requestsMax: count, bytesMax: count, timeMs: count }),
  dataPlane: v.object({
    tls: v.optional(
      v.object({ ...files, acme: v.optional(acme), names: v.array(v.object({ serverName: text, ...files })) }),
    ),
    http2: v.boolean(),
    app: v.boolean(),
    listeners: v.array(
      v.object({
        address: v.object({ host: text, port: count }),
        serve: v.variant("kind", [
          v.object({ kind: v.picklist(["plain", "tls"]) }),
          v.object({ kind: v.literal("redirect"), port: count }),
        ]),
      }),
    ),
    proxyProtocolFrom: v.array(text),
    trustedProxies: v.array(text),
    underscoreFields: v.picklist(["drop", "keep"]),
    traceparent: v.picklist(["pass", "make"]),
    accessLog: v.object({ target, format: v.picklist(["json", "combined"]) }),
    releaseConcurrency: count,
  }),
  services: v.array(
    v.object({
      name: text,
      match: v.object({ host: v.optional(text), path: v.optional(text) }),
      maintenance: v.optional(v.object({ html: v.optional(text), retryAfterMs: count })),
      firstByte: v.array(v.object({ path: text, timeMs: count })),
      isKeyed: v.optional(v.boolean()),
      replayWrites: v.optional(v.picklist(["named", "never"])),
      route: count,
      isTraced: v.boolean(),
    }),
  ),
});
export type WorkerSettings = v.InferOutput<typeof settingsSchema>;

export const toWorkerSchema = v.variant("kind", [
  /** The first message, and again when a setting has changed. */
  v.object({ kind: v.literal("settings"), settings: settingsSchema }),
  v.object({
    ...{ kind: v.literal("route"), route: count, host: text, dataUrl: text, epoch: v.optional(count) },
    heard: v.optional(heard),
  }),
  v.object({ kind: v.literal("heard"), route: count, epoch: count, heard }),
  v.object({ kind: v.literal("doubt"), route: count, isDoubted: v.boolean() }),
  v.object({ kind: v.literal("hold"), route: count }),
  v.object({ kind: v.literal("drop"), route: count, host: text, reason: text }),
  v.object({ kind: v.literal("wait-for-port"), route: count }),
  v.object({ kind: v.literal("maintain"), route: count, isOn: v.boolean(), untilMs: v.optional(count) }),
  v.object({ kind: v.literal("close"), route: count }),
  /** Accept nothing more, finish the requests in progress, and end. */
  v.object({ kind: v.literal("drain"), drainMs: count, idle: v.picklist(["close", "serve-once"]) }),
]);
export type ToWorker = v.InferOutput<typeof toWorkerSchema>;

const endedSchema = v.object({
  end: v.picklist(requestEnds),
  held: v.boolean(),
  replayed: v.boolean(),
  count,
});

/** As `TracedRequest` (src/http/proxy/request-trace.ts). */
const tracedSchema = v.object({
  ...{ traceId: text, parentId: text, requestId: text, method: text, replays: count },
  end: v.picklist(requestEnds),
  steps: v.array(
    v.object({
      kind: v.picklist(["hold", "replay"]),
      startMs: v.number(),
      endMs: v.number(),
      why: v.optional(text),
      result: text,
    }),
  ),
});
/** In one report; of a crowd that waited, the first ones are told. */
export const tracedMax = 1_000;

/** The growth of a worker's metrics (src/metrics/deltas.ts). */
const name = v.picklist(Object.keys(definitions) as MetricName[]);
const amount = v.pipe(v.number(), v.minValue(0));
const deltaSchema = v.variant("kind", [
  v.object({ kind: v.literal("counter"), name, labels: v.record(text, text), amount }),
  v.object({
    kind: v.literal("histogram"),
    name,
    labels: v.record(text, text),
    tally: v.object({ counts: v.array(count), sum: amount }),
  }),
]);

export const fromWorkerSchema = v.variant("kind", [
  v.object({ kind: v.literal("listening") }),
  /** The worker cannot serve, and ends: for example because of an unreadable certificate. */
  v.object({ kind: v.literal("failed"), found: text, accepted: v.optional(text), advice: v.optional(text) }),
  /** Everything since the last report; at least one per `reportIdleMs`. */
  v.object({
    kind: v.literal("report"),
    connections: count,
    troubles: v.array(text),
    metrics: v.array(deltaSchema),
    routes: v.array(
      v.object({
        ...{ route: count, requests: count, bytes: count },
        ended: v.array(endedSchema),
        traced: v.array(tracedSchema),
      }),
    ),
  }),
  /** Sent at once. */
  v.object({ kind: v.literal("connection-error"), route: count, host: text, cause: text }),
]);
export type FromWorker = v.InferOutput<typeof fromWorkerSchema>;
export type EndedRequest = v.InferOutput<typeof endedSchema>;

/** Requests that ended are reported together, at most this late: the resolution of a gap around a failover. */
export const reportMs = 20;
/** A worker without news sends at least an empty report this often. */
export const reportIdleMs = 1_000;

/**
 * Requests and answers of a host's control API, version 1. Host and gateway share these schemas; docs/CONTROL-API.md
 * follows them.
 *
 * GET  /v1/status          -> HostStatus
 * GET  /v1/status/stream   -> NDJSON of HostStatus: at once, at every change, and at least every `heartbeatMs`
 * POST /v1/promote         PromoteRequest  -> NDJSON of PromoteEvent, ends with `done` or `refused`
 * POST /v1/demote          DemoteRequest   -> NDJSON of DemoteEvent, ends with `done` or `refused`
 * POST /v1/rewind/plan     RewindHostRequest -> RewindPlan, or a refusal (409)
 * POST /v1/rewind/prepare  RewindHostRequest -> RewindPrepared, or a refusal (409)
 * POST /v1/restore         {}              -> HostStatus, or a refusal (409)
 * POST /v1/checkpoint      {}              -> CheckpointDone, or a refusal (409)
 * POST /v1/rehearse        {}              -> RehearsalDone (also after a failed one), or a refusal (409)
 * POST /v1/removed         Removal         -> HostStatus
 * POST /v1/suspects/clear  {}              -> HostStatus
 * POST /v1/log             HostLogRequest -> HostLog (log-api.ts)
 * GET  /v1/restore-points  -> RestorePoints (restore-points.ts)
 * GET  /v1/databases       -> DatabaseList (databases.ts)
 * POST /v1/databases/exclude|include  DatabaseChange -> DatabaseList, or a refusal (409)
 *
 * Every call is authenticated by the channel (channel/transcript.ts); without it 401 and nothing else. A refusal
 * outside a stream is a `409` with a `Refusal` as its body; a malformed request is answered with `400` and `{error,
 * advice}`, a body over the limit with `413`.
 */
import * as v from "valibot";
import { baseUrlSchema } from "./addresses.ts";
import { identifierAccepted, isIdentifier } from "../core/identifier.ts";
import { rehearsalSchema, suspectSchema } from "./host-status.ts";

/** Numbers beyond 2^53 are not exact: such an epoch could never be exceeded. */
const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
/**
 * Text that becomes part of a record: well-formed, and short enough for a record. It is refused on arrival, because
 * later a host would already have stopped its application and could only restore.
 */
const recordText = (charactersMax: number) =>
  v.pipe(
    v.string(),
    v.maxLength(charactersMax),
    v.check((text) => !/\p{Surrogate}/u.test(text), "text without a lone surrogate"),
  );
const recordIdMax = 64;
const reasonMax = 500;
/** Bound for all hosts of a service together. */
export const suspectsMax = 256;
const milliseconds = v.pipe(v.number(), v.minValue(0));

/** A gateway's order to become primary, with its evidence. */
export const promoteRequestSchema = v.object({
  /** Id of the ordering gateway. */
  gateway: v.string(),
  /** Highest epoch that it knows; if the log is ahead, the host answers `epoch_taken`. */
  epoch: count,
  /** Number of registered gateways. */
  gatewaysRegistered: count,
  /** Ids of the gateways that see the primary down now. */
  gatewaysSeeingDown: v.array(v.string()),
  /** True for a planned switchover or a forced failover: no evidence is needed beyond the log itself. */
  planned: v.boolean(),
  /**
   * The candidate's status on which this order rests (`instance` and `clockMs`), and for how long after it the order is
   * valid. The candidate thus refuses an order that the network delayed. null: it never expires.
   */
  basedOn: v.optional(v.nullable(v.object({ instance: v.string(), clockMs: v.number(), validMs: milliseconds })), null),
  /**
   * The highest position heard of the primary of `epoch`, and the identity of its vault. A candidate that has read its
   * log to the end and is behind that, or uses another vault, refuses (`other_log`). 0 and null: unknown.
   */
  positionHeard: v.optional(count, 0),
  vault: v.optional(v.nullable(v.string()), null),
  /** What the hosts of the service know of requests that end the application, so that this host continues the count. */
  suspects: v.optional(v.pipe(v.array(suspectSchema), v.maxLength(suspectsMax)), []),
  /** The newest record format that all hosts of the service read, as far as this gateway knows. null: unknown. */
  recordFormat: v.optional(v.nullable(count), null),
});
/** The request as it is sent: fields with a default may be left out. */
export type PromoteRequest = v.InferInput<typeof promoteRequestSchema>;

/** `Refusal` of src/core/refusal.ts, as sent. */
export const refusalSchema = v.variant("kind", [
  v.object({ kind: v.literal("epoch_taken"), epoch: count, host: v.pipe(v.string(), v.nonEmpty()) }),
  v.object({ kind: v.literal("primary_alive"), evidence: v.string() }),
  v.object({ kind: v.literal("not_ready"), reason: v.string() }),
  v.object({ kind: v.literal("order_expired"), reason: v.string() }),
  /** This host's vault is not the vault of the service, or has lost records. */
  v.object({ kind: v.literal("other_log"), reason: v.string() }),
]);

export const promotePhases = ["claim", "lease", "catch-up", "start", "ready"] as const;
export type PromotePhase = (typeof promotePhases)[number];

export const promoteEventSchema = v.variant("kind", [
  /** The phase ended; `ms` is how long it took. */
  v.object({ kind: v.literal("phase"), phase: v.picklist(promotePhases), ms: milliseconds }),
  v.object({ kind: v.literal("done"), epoch: count, position: count, dataUrl: baseUrlSchema }),
  v.object({ kind: v.literal("refused"), refusal: refusalSchema }),
]);
export type PromoteEvent = v.InferOutput<typeof promoteEventSchema>;

export const demoteRequestSchema = v.object({
  gateway: v.string(),
  /** Host id named in the `vacate` record, or null. */
  successor: v.nullable(recordText(recordIdMax)),
  reason: recordText(reasonMax),
  /** The epoch whose primary is to step down; a late order is refused in another epoch. null: any epoch. */
  epoch: v.optional(v.nullable(count), null),
  /** A rewind that this host has prepared: its flush is the last one before the `vacate`. null: none. */
  rewind: v.optional(v.nullable(v.string()), null),
});
export type DemoteRequest = v.InferInput<typeof demoteRequestSchema>;

/** `rewind`: only of an order with one. */
export const demotePhases = ["drain", "stop", "flush", "rewind", "vacate"] as const;
export type DemotePhase = (typeof demotePhases)[number];

export const demoteEventSchema = v.variant("kind", [
  v.object({ kind: v.literal("phase"), phase: v.picklist(demotePhases), ms: milliseconds }),
  /** The rewind could not be made: the state is as it was. The host steps down nevertheless. */
  v.object({ kind: v.literal("not-rewound"), reason: v.string() }),
  v.object({ kind: v.literal("done"), position: count }),
  v.object({ kind: v.literal("refused"), refusal: refusalSchema }),
]);
export type DemoteEvent = v.InferOutput<typeof demoteEventSchema>;

export const checkpointDoneSchema = v.object({
  position: count,
  chunksWritten: count,
  chunksReused: count,
  ms: milliseconds,
});
export type CheckpointDone = v.InferOutput<typeof checkpointDoneSchema>;

/** The result of a rehearsal. Not `ok`: the application would not have served at a failover; that is not a refusal. */
export const rehearsalDoneSchema = v.object({
  ...rehearsalSchema.entries,
  /** Log position of the copy on which it started. */
  position: count,
  copyMs: milliseconds,
  /** null: there was nothing to stop. */
  stopMs: v.nullable(milliseconds),
});
export type RehearsalDone = v.InferOutput<typeof rehearsalDoneSchema>;

/** A gateway has removed this host from its registry. */
export const removalSchema = v.object({ gateway: v.pipe(v.string(), v.check(isIdentifier, identifierAccepted)) });

/** Request field with the id of the calling gateway. */
export const gatewayField = "stead-gateway";

/** Request field of `GET /v1/status` with the same content as `recordFormat` of a promotion, sent with each probe. */
export const recordFormatField = "stead-record-format";

/** A status stream that is silent for longer than a few of these is dead. */
export const heartbeatMs = 250;

/**
 * Requests and answers of a host's control API, version 1. One place, used by host and gateway; docs/CONTROL-API.md
 * follows it.
 *
 * GET  /v1/status          -> HostStatus
 * GET  /v1/status/stream   -> NDJSON of HostStatus: at once, at every change, and at least every `heartbeatMs`
 * POST /v1/promote         PromoteRequest  -> NDJSON of PromoteEvent, ends with `done` or `refused`
 * POST /v1/demote          DemoteRequest   -> NDJSON of DemoteEvent, ends with `done` or `refused`
 * POST /v1/restore         {}              -> HostStatus, or a refusal (409)
 * POST /v1/checkpoint      {}              -> CheckpointDone, or a refusal (409)
 * POST /v1/rehearse        {}              -> RehearsalDone (also of one that failed), or a refusal (409)
 * POST /v1/removed         RemovedNotice   -> HostStatus
 * POST /v1/suspects/clear  {}              -> HostStatus
 * GET  /v1/databases       -> DatabaseList (databases.ts)
 * POST /v1/databases/exclude|include  DatabaseChange -> DatabaseList, or a refusal (409)
 *
 * Every call carries `Authorization: Bearer <cluster secret>`; without it 401, and nothing else is said. A refusal
 * outside a stream is a `409` with a `Refusal` as its body; a malformed request a `400` with `{error, advice}`, one
 * with a body over the limit a `413`.
 */
import * as v from "valibot";
import { identifierAccepted, isIdentifier } from "../core/identifier.ts";
import { rehearsalSchema, suspectSchema } from "./host-status.ts";

/** Beyond 2^53 numbers are not exact: an epoch there could never be overtaken. */
const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
/**
 * Text that becomes part of a record: well-formed, and so short that the record takes it. Refused at the door, because
 * a host that has stopped its application by then could only restore.
 */
const recordText = (charactersMax: number) =>
  v.pipe(
    v.string(),
    v.maxLength(charactersMax),
    v.check((text) => !/\p{Surrogate}/u.test(text), "text without a lone surrogate"),
  );
const recordIdMax = 64;
const reasonMax = 500;
/** Of all hosts of a service together. */
export const suspectsMax = 256;
const milliseconds = v.pipe(v.number(), v.minValue(0));

/** Why the gateway thinks that a new primary is needed. */
export const promoteRequestSchema = v.object({
  /** Id of the gateway that asks. */
  gateway: v.string(),
  /** Highest epoch it believes in; a log that is further answers `epoch_taken`. */
  epoch: count,
  /** Registered gateways, all of them, by number. */
  gatewaysRegistered: count,
  /** Ids of the gateways that see the primary down right now. */
  gatewaysSeeingDown: v.array(v.string()),
  /** Set for a planned switchover or a forced failover: no evidence is needed beyond the log itself. */
  planned: v.boolean(),
  /**
   * The candidate's own words on which this order rests, `instance` and `clockMs` of its status, and for how long after
   * them it may be obeyed. An order that a network kept back is refused by that. null: it never expires.
   */
  basedOn: v.optional(v.nullable(v.object({ instance: v.string(), clockMs: v.number(), validMs: milliseconds })), null),
  /**
   * The highest position that the primary of `epoch` was heard to have, and the identity of its vault. A candidate that
   * has read its log to the end and is behind that, or uses another vault, refuses (`other_log`). 0 and null: not
   * known.
   */
  positionHeard: v.optional(count, 0),
  vault: v.optional(v.nullable(v.string()), null),
  /**
   * What the hosts of the service know of requests that end the application, so that its end here counts on from there.
   */
  suspects: v.optional(v.pipe(v.array(suspectSchema), v.maxLength(suspectsMax)), []),
  /**
   * The newest format of records that all hosts of the service read, as far as this gateway knows. null: it does not
   * say.
   */
  recordFormat: v.optional(v.nullable(count), null),
});
/** As it is sent: what has a default may be left out. */
export type PromoteRequest = v.InferInput<typeof promoteRequestSchema>;

/** `Refusal` of src/core/refusal.ts, as it travels. */
export const refusalSchema = v.variant("kind", [
  v.object({ kind: v.literal("epoch_taken"), epoch: count, host: v.pipe(v.string(), v.nonEmpty()) }),
  v.object({ kind: v.literal("primary_alive"), evidence: v.string() }),
  v.object({ kind: v.literal("not_ready"), reason: v.string() }),
  v.object({ kind: v.literal("order_expired"), reason: v.string() }),
  /** This host's vault is not the vault of the service, or lost records. */
  v.object({ kind: v.literal("other_log"), reason: v.string() }),
]);

export const promotePhases = ["claim", "lease", "catch-up", "start", "ready"] as const;
export type PromotePhase = (typeof promotePhases)[number];

export const promoteEventSchema = v.variant("kind", [
  /** The phase ended; `ms` is how long it took. */
  v.object({ kind: v.literal("phase"), phase: v.picklist(promotePhases), ms: milliseconds }),
  v.object({ kind: v.literal("done"), epoch: count, position: count, dataUrl: v.string() }),
  v.object({ kind: v.literal("refused"), refusal: refusalSchema }),
]);
export type PromoteEvent = v.InferOutput<typeof promoteEventSchema>;

export const demoteRequestSchema = v.object({
  gateway: v.string(),
  /** Host id named in the `vacate` record, or null. */
  successor: v.nullable(recordText(recordIdMax)),
  reason: recordText(reasonMax),
  /** The epoch whose primary is to step down; an order that comes late is refused in another. null: whichever it is. */
  epoch: v.optional(v.nullable(count), null),
});
export type DemoteRequest = v.InferInput<typeof demoteRequestSchema>;

export const demotePhases = ["drain", "stop", "flush", "vacate"] as const;
export type DemotePhase = (typeof demotePhases)[number];

export const demoteEventSchema = v.variant("kind", [
  v.object({ kind: v.literal("phase"), phase: v.picklist(demotePhases), ms: milliseconds }),
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

/** How a rehearsal went. Not `ok`: the application would not have served at a failover; it is no refusal. */
export const rehearsalDoneSchema = v.object({
  ...rehearsalSchema.entries,
  /** Log position of the copy on which it started. */
  position: count,
  copyMs: milliseconds,
  /** null: there was nothing to stop. */
  stopMs: v.nullable(milliseconds),
});
export type RehearsalDone = v.InferOutput<typeof rehearsalDoneSchema>;

/** A gateway has taken this host out of its registry. */
export const removedNoticeSchema = v.object({ gateway: v.pipe(v.string(), v.check(isIdentifier, identifierAccepted)) });

/** Request field by which a gateway says who asks: its id. */
export const gatewayField = "stead-gateway";

/**
 * Request field of `GET /v1/status` by which a gateway says what `recordFormat` of a promotion says, again and again.
 */
export const recordFormatField = "stead-record-format";

/** A status stream that is silent for longer than a few of these has died. */
export const heartbeatMs = 250;

/**
 * The admin API of a gateway, version 1. The gateway, the CLI and all other clients use these schemas;
 * docs/GATEWAY-API.md follows them.
 *
 * GET    /v1/cluster                       -> ClusterStatus
 * POST   /v1/switchover  HostRequest       -> CommandDone, or 409 Refused
 * POST   /v1/failover    FailoverRequest   -> CommandDone, or DryRunAnswer with `dryRun`, or 409 Refused
 * GET    /v1/dry-run/:service              -> DryRunAnswer
 * POST   /v1/pause       PauseCall         -> CommandDone
 * POST   /v1/maintenance MaintenanceCall   -> MaintenanceAnswer
 * POST   /v1/resume      ServiceRequest    -> CommandDone
 * GET    /v1/hosts                         -> HostList
 * POST   /v1/hosts       AddHostRequest    -> HostList
 * PATCH  /v1/hosts/:service/:host  HostChange -> HostList
 * POST   /v1/hosts/:service/:host/drain    -> CommandDone, or 409 Refused
 * DELETE /v1/hosts/:service/:host          -> HostList, or 409 Refused
 * GET    /v1/config                        -> ConfigReport
 * GET    /v1/gateways                      -> GatewayList
 * DELETE /v1/gateways/:gateway             -> GatewayList, or 409 Refused
 * POST   /v1/checkpoint  HostRequest       -> CheckpointAnswer, or 409 Refused
 * POST   /v1/rehearse    RehearseRequest   -> RehearsalAnswer (also of one that failed), or 409 Refused
 * POST   /v1/suspects/clear  ServiceRequest -> SuspectsCleared, or 409 Refused
 * POST   /v1/logs        LogRequest        -> LogAnswer (log-api.ts), or 409 Refused
 * POST   /v1/databases/list  ServiceRequest -> DatabasesAnswer, or 409 Refused
 * POST   /v1/databases/exclude|include  DatabaseRequest -> DatabasesAnswer, or 409 Refused
 * GET    /v1/tokens                        -> TokenList
 * POST   /v1/tokens      AddTokenRequest   -> TokenAdded, or 409 Refused
 * DELETE /v1/tokens/:token                 -> TokenList
 * POST   /v1/sql         SqlRequest        -> SqlAnswer, or 400 Refused
 * GET    /health, /health/:service         -> HealthAnswer, 200 or 503; needs no secret
 * GET    /liveness                         -> LivenessAnswer; needs no secret
 * GET    /metrics                          -> Prometheus text
 *
 * Every call except /health and /liveness is authenticated, by the channel (channel/transcript.ts) or by
 * `Authorization: Bearer <cluster secret or token>`; without it 401, and 403 if the role of the token does not suffice
 * (gateway/admin/route-roles.ts). If there is one service, a request may leave its name out. Every refusal is answered
 * as Refused (refused.ts).
 */
import * as v from "valibot";
import { identifierAccepted, isIdentifier } from "../core/identifier.ts";
import { baseUrlSchema } from "./addresses.ts";
import { databaseChangeSchema, databaseListSchema } from "./databases.ts";
import {
  applicationSchema,
  checkpointProgressSchema,
  filesSchema,
  hostRoles,
  impairmentSchema,
  captureSchema,
  recordFormatSchema,
  rehearsalSchema,
  retrySchema,
  suspectSchema,
  vaultSchema,
} from "./host-status.ts";
import { drillSummarySchema } from "./drill-api.ts";
import { failoverEntrySchema } from "./failover-api.ts";
import { rehearsalDoneSchema } from "./host-api.ts";
import { heardProgramSchema, programSchema } from "./program-status.ts";
import { restoreTestSchema } from "./restore-test.ts";
import { vaultCopySchema } from "./vault-copy.ts";
import { secretStatusSchema } from "./secret-status.ts";
import { tokenRoles } from "./token.ts";

const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const milliseconds = v.pipe(v.number(), v.minValue(0));
const name = v.pipe(v.string(), v.minLength(1), v.maxLength(100));

/** Ten years. */
export const tokenValidMsMax = 10 * 366 * 24 * 3600 * 1_000;

export const clusterHostSchema = v.object({
  id: v.string(),
  controlUrl: v.string(),
  dataUrl: v.nullable(v.string()),
  health: v.picklist(["unknown", "up", "down"]),
  role: v.nullable(v.picklist(hostRoles)),
  reason: v.nullable(v.string()),
  epoch: v.nullable(count),
  position: v.nullable(count),
  /** Log positions behind the primary; null: unknown. */
  lag: v.nullable(count),
  priority: v.pipe(v.number(), v.integer()),
  nofailover: v.boolean(),
  /** Time since this gateway last heard of it; null: never. */
  heardMsAgo: v.nullable(milliseconds),
  checkpoint: v.nullable(v.object({ position: count, wallTimeMs: count })),
  setAside: v.array(v.string()),
  /** These, up to the secret, as in the host's status (src/control/host-status.ts). */
  checkpointProgress: v.optional(v.nullable(checkpointProgressSchema), null),
  files: v.optional(v.nullable(filesSchema), null),
  application: v.optional(v.nullable(applicationSchema), null),
  impairments: v.optional(v.array(impairmentSchema), []),
  retry: v.optional(v.nullable(retrySchema), null),
  suspects: v.optional(v.array(suspectSchema), []),
  vault: v.optional(v.nullable(vaultSchema), null),
  rehearsal: v.optional(v.nullable(rehearsalSchema), null),
  restoreTest: v.optional(v.nullable(restoreTestSchema), null),
  vaultCopies: v.optional(v.array(vaultCopySchema), []),
  capture: v.optional(v.nullable(captureSchema), null),
  recordFormat: v.optional(v.nullable(recordFormatSchema), null),
  secret: v.optional(v.nullable(secretStatusSchema), null),
  /** How long its lease is, and since when it has seen no record of the current epoch in the log; null: not heard. */
  lease: v.optional(v.nullable(v.object({ ms: count, lastRecordAgeMs: v.nullable(v.number()) })), null),
  program: v.optional(v.nullable(heardProgramSchema), null),
  /** Warnings: the host's own, and what this gateway finds. */
  notes: v.array(v.string()),
});
export const suspectsClearedSchema = v.object({
  service: v.string(),
  /** The hosts that forgot them. */
  hosts: v.array(v.string()),
});
export type SuspectsCleared = v.InferOutput<typeof suspectsClearedSchema>;

export const databaseRequestSchema = v.object({ service: v.optional(name), ...databaseChangeSchema.entries });

/** The databases as reported by the primary, or by a secondary if there is no primary. */
export const databasesAnswerSchema = v.object({ service: v.string(), host: v.string(), ...databaseListSchema.entries });
export type DatabasesAnswer = v.InferOutput<typeof databasesAnswerSchema>;

export type ClusterHost = v.InferOutput<typeof clusterHostSchema>;

export const clusterServiceSchema = v.object({
  name: v.string(),
  /** Phase of the failover state machine (docs/ARCHITECTURE.md); `serving` is healthy. */
  phase: v.string(),
  /** The reason, if it is not serving. */
  reason: v.nullable(v.string()),
  primary: v.nullable(v.string()),
  epoch: count,
  /** The vault as the hosts see it. `slow` and `away` have lasted for a while, and a failover would not help. */
  vault: v.optional(v.object({ state: v.picklist(["well", "slow", "away"]), forMs: milliseconds }), {
    state: "well",
    forMs: 0,
  }),
  /** Primaries that ended one after the other for the same cause, the last at most a minute ago; null: none. */
  row: v.optional(v.nullable(v.object({ count, cause: v.string(), spanMs: milliseconds, waitMs: milliseconds })), null),
  paused: v.boolean(),
  /** Why automation is paused, and until when by the wall clock (null: until it is resumed); null: it is on. */
  pause: v.optional(v.nullable(v.object({ reason: v.nullable(v.string()), untilMs: v.nullable(count) })), null),
  /** Requests get the maintenance page since an operator said so: why, and until when; null: they do not. */
  maintenance: v.optional(v.nullable(v.object({ reason: v.nullable(v.string()), untilMs: v.nullable(count) })), null),
  /** Where requests are sent now; null: they wait. */
  routedTo: v.nullable(v.string()),
  waiting: v.object({ requests: count, bytes: count }),
  requests: v.object({
    ...{ ok: count, held: count, replayed: count, unknown: count, failed: count, clientGone: count },
    /** Answered with the maintenance page. */
    maintenance: v.optional(count, 0),
  }),
  requestsPerSecond: v.pipe(v.number(), v.minValue(0)),
  hosts: v.array(clusterHostSchema),
  /** The newest failovers of all gateways, including those before a restart, oldest first. */
  failovers: v.array(failoverEntrySchema),
  /** The last drill and the next one; gateways of an earlier version say nothing. */
  drill: v.optional(drillSummarySchema, { last: null, next: null }),
  /** Events of this run of the gateway, oldest first. */
  events: v.array(
    v.object({
      atMs: count,
      level: v.picklist(["info", "warning", "error"]),
      what: v.string(),
      host: v.nullable(v.string()),
      detail: v.string(),
    }),
  ),
});
export type ClusterService = v.InferOutput<typeof clusterServiceSchema>;

export const gatewayEntrySchema = v.object({
  /** Its id, or its address while the id is unknown. */
  id: v.string(),
  adminUrl: v.string(),
  self: v.boolean(),
  /** Time since it was last heard; null: never. */
  heardMsAgo: v.optional(v.nullable(milliseconds), null),
  /** Why the last exchange with it failed; null: it succeeded. */
  trouble: v.optional(v.nullable(v.string()), null),
});

export const gatewayListSchema = v.object({
  gateways: v.array(gatewayEntrySchema),
  /** The number of gateways that count for a majority. */
  registered: count,
  troubles: v.array(v.string()),
});
export type GatewayList = v.InferOutput<typeof gatewayListSchema>;

export const configurationStatusSchema = v.object({
  /** null: not from a file. */
  file: v.nullable(v.string()),
  loadedAtMs: count,
  /** A newer version of the file that was refused, and why. */
  refused: v.nullable(v.object({ atMs: count, why: v.string() })),
});
export type ConfigurationStatus = v.InferOutput<typeof configurationStatusSchema>;

const workerEntrySchema = v.object({
  /** null: none at the moment. */
  pid: v.nullable(count),
  state: v.picklist(["starting", "serving", "waiting"]),
  connections: count,
  /** Processes that ended before this one in its place. */
  restarts: count,
});

const notifyTargetSchema = v.object({
  name: v.string(),
  /** `webhook`, `slack`, `teams`, `pagerduty`, `ntfy`, `command` or `smtp`. */
  to: v.string(),
  queued: count,
  /** Why the last attempt failed; null: it succeeded, or there was none. */
  failure: v.nullable(v.string()),
});

export const clusterStatusSchema = v.object({
  version: v.literal(1),
  gateway: v.string(),
  startedAtMs: count,
  uptimeMs: milliseconds,
  /** null: an earlier version. */
  program: v.optional(v.nullable(programSchema), null),
  /** Warnings of this gateway itself. */
  troubles: v.array(v.string()),
  configuration: configurationStatusSchema,
  /** The secrets that this gateway knows. null: an earlier version. */
  secret: v.optional(v.nullable(secretStatusSchema), null),
  database: v.object({ path: v.string(), trouble: v.nullable(v.string()), queued: count, dropped: count }),
  connections: count,
  /** Who is told what happens (`[[notify]]`); gateways of an earlier version say nothing. */
  notify: v.optional(v.array(notifyTargetSchema), []),
  /** Processes of the data plane; empty if the gateway's own process serves. */
  workers: v.optional(v.array(workerEntrySchema), []),
  gateways: v.array(gatewayEntrySchema),
  services: v.array(clusterServiceSchema),
});
export type ClusterStatus = v.InferOutput<typeof clusterStatusSchema>;

export const serviceRequestSchema = v.strictObject({ service: v.optional(name) });

const orderTermsSchema = v.object({ reason: v.nullable(v.string()), untilMs: v.nullable(count) });

/** Thirty days. */
export const pauseForMsMax = 30 * 24 * 3600 * 1_000;
export const reasonLengthMax = 300;
const reason = v.pipe(
  v.string(),
  v.maxLength(reasonLengthMax),
  // It appears in logs and on terminals.
  v.regex(/^(?=.*\S)[^\u0000-\u001f\u007f]+$/, "one line, not empty"),
);
export const pauseCallSchema = v.strictObject({
  service: v.optional(name),
  /** Why; it appears wherever the pause does. */
  reason: v.optional(reason),
  /** It then ends by itself; default: it lasts until it is resumed. */
  forMs: v.optional(v.pipe(count, v.minValue(1_000), v.maxValue(pauseForMsMax))),
});
export const maintenanceCallSchema = v.strictObject({ ...pauseCallSchema.entries, on: v.boolean() });
export type MaintenanceCall = v.InferInput<typeof maintenanceCallSchema>;
export const maintenanceAnswerSchema = v.object({
  service: v.string(),
  /** null: it is off. */
  maintenance: v.nullable(orderTermsSchema),
});
export type MaintenanceAnswer = v.InferOutput<typeof maintenanceAnswerSchema>;
export type PauseCall = v.InferInput<typeof pauseCallSchema>;
export const hostRequestSchema = v.strictObject({ service: v.optional(name), host: v.optional(name) });
export const switchoverRequestSchema = v.strictObject({
  ...hostRequestSchema.entries,
  dryRun: v.optional(v.boolean(), false),
});
export const rehearseRequestSchema = v.strictObject({ service: v.optional(name), host: name });
export const failoverRequestSchema = v.strictObject({
  service: v.optional(name),
  host: v.optional(name),
  force: v.optional(v.boolean(), false),
  dryRun: v.optional(v.boolean(), false),
});

export const commandDoneSchema = v.object({
  service: v.string(),
  primary: v.nullable(v.string()),
  epoch: count,
  failover: v.nullable(failoverEntrySchema),
  /** For a forced failover: what may be lost, and when. */
  mayLose: v.optional(v.nullable(v.string()), null),
});
export type CommandDone = v.InferOutput<typeof commandDoneSchema>;

/** As in the configuration: other gateways could not store another id or number. */
const hostId = v.pipe(v.string(), v.check(isIdentifier, identifierAccepted));
const priority = v.pipe(v.number(), v.integer(), v.minValue(-1_000), v.maxValue(1_000));
export const addHostRequestSchema = v.strictObject({
  service: v.optional(name),
  id: hostId,
  controlUrl: baseUrlSchema,
  priority: v.optional(v.nullable(priority), null),
  nofailover: v.optional(v.nullable(v.boolean()), null),
});
export type AddHostRequest = v.InferInput<typeof addHostRequestSchema>;

/** Fields that are left out stay unchanged; null: the host's own setting applies. */
export const hostChangeSchema = v.strictObject({
  priority: v.optional(v.nullable(priority)),
  nofailover: v.optional(v.nullable(v.boolean())),
});
export type HostChange = v.InferInput<typeof hostChangeSchema>;

export const hostListSchema = v.object({
  hosts: v.array(
    v.object({
      service: v.string(),
      id: v.string(),
      controlUrl: v.string(),
      priority: v.nullable(v.number()),
      nofailover: v.nullable(v.boolean()),
      /** `config`: named by the file; `operator`: added or changed at run time, which wins over the file. */
      source: v.picklist(["config", "operator"]),
    }),
  ),
});
export type HostList = v.InferOutput<typeof hostListSchema>;

const tokenRole = v.picklist(tokenRoles);
export const tokenEntrySchema = v.object({
  id: v.string(),
  name: v.string(),
  role: tokenRole,
  createdAtMs: count,
  /** The name of the token with which it was made, or `secret`. */
  createdBy: v.string(),
  /** null: it does not expire. */
  expiresAtMs: v.nullable(count),
});
export type TokenEntry = v.InferOutput<typeof tokenEntrySchema>;

/** The tokens that are valid now. */
export const tokenListSchema = v.object({ tokens: v.array(tokenEntrySchema) });
export type TokenList = v.InferOutput<typeof tokenListSchema>;

export const addTokenRequestSchema = v.strictObject({
  name: v.pipe(v.string(), v.check(isIdentifier, identifierAccepted)),
  role: tokenRole,
  /** How long it is valid; null: until it is revoked. */
  validMs: v.nullable(v.pipe(count, v.minValue(1_000), v.maxValue(tokenValidMsMax))),
});
export type AddTokenRequest = v.InferOutput<typeof addTokenRequestSchema>;

export const tokenAddedSchema = v.object({
  /** The token itself. No later answer has it. */
  token: v.string(),
  entry: tokenEntrySchema,
});
export type TokenAdded = v.InferOutput<typeof tokenAddedSchema>;

export const checkpointAnswerSchema = v.object({
  service: v.string(),
  host: v.string(),
  position: count,
  chunksWritten: count,
  chunksReused: count,
  ms: milliseconds,
});
export type CheckpointAnswer = v.InferOutput<typeof checkpointAnswerSchema>;

/** The result of a rehearsal on this host; not `ok`: the application would not have served. */
export const rehearsalAnswerSchema = v.object({
  service: v.string(),
  host: v.string(),
  ...rehearsalDoneSchema.entries,
});
export type RehearsalAnswer = v.InferOutput<typeof rehearsalAnswerSchema>;

/** For load balancers. */
export const healthAnswerSchema = v.object({
  /**
   * True if every requested service is routed, its vault is not away, and the gateway is not out of descriptors. A
   * service that is ok may have a reason: a slow vault.
   */
  ok: v.boolean(),
  services: v.array(v.object({ service: v.string(), ok: v.boolean(), reasons: v.array(v.string()) })),
});
export type HealthAnswer = v.InferOutput<typeof healthAnswerSchema>;

/**
 * For supervisors that restart a process that does not answer. It says nothing about the hosts, because a restart would
 * not fix their problems.
 */
export const livenessAnswerSchema = v.object({ ok: v.literal(true) });
export type LivenessAnswer = v.InferOutput<typeof livenessAnswerSchema>;

/** Limits of one query; a request may set lower ones only. */
export const sqlRowsMax = 10_000;
export const sqlTimeoutMs = 5_000;
export const sqlRequestSchema = v.strictObject({
  sql: v.pipe(v.string(), v.minLength(1), v.maxLength(100_000)),
  rowsMax: v.optional(v.pipe(count, v.minValue(1), v.maxValue(sqlRowsMax)), 1_000),
  timeoutMs: v.optional(v.pipe(count, v.minValue(1), v.maxValue(sqlTimeoutMs)), 2_000),
});

/** Blobs are `{base64}`; integers beyond 2^53 are decimal text. */
export const sqlValueSchema = v.union([v.null(), v.number(), v.string(), v.object({ base64: v.string() })]);
export type SqlValue = v.InferOutput<typeof sqlValueSchema>;
export const sqlAnswerSchema = v.object({
  columns: v.array(v.string()),
  rows: v.array(v.array(sqlValueSchema)),
  /** True if there were more rows than requested. */
  truncated: v.boolean(),
});
export type SqlAnswer = v.InferOutput<typeof sqlAnswerSchema>;

/** The admin API of a gateway as a table; src/gateway/admin/admin.ts has the same routes, which a test compares. */
import * as v from "valibot";
import * as drillApi from "../../src/control/drill-api.ts";
import * as failoverApi from "../../src/control/failover-api.ts";
import * as gatewayApi from "../../src/control/gateway-api.ts";
import * as configApi from "../../src/control/config-api.ts";
import * as logApi from "../../src/control/log-api.ts";
import * as notifyApi from "../../src/control/notify-api.ts";
import * as restorePoints from "../../src/control/restore-points.ts";
import * as rewindApi from "../../src/control/rewind-api.ts";
import * as samplesApi from "../../src/control/samples-api.ts";
import * as sightApi from "../../src/control/sight-api.ts";
import { refusedSchema } from "../../src/control/refused.ts";
import * as hrana from "../../src/control/hrana.ts";
import { type Api, type Body, type Call, schemasOf } from "./openapi-document.ts";

const needsBody: ReadonlySet<string> = new Set([
  "AddHostRequest",
  "AddTokenRequest",
  "DatabaseRequest",
  "DrillRequest",
  "DrillPlanRequest",
  "DrillCancelRequest",
  "RewindRequest",
  "SqlRequest",
]);

/** A call behind the secret, with the refusals that it can have besides. */
function call(
  method: Call["method"],
  path: string,
  summary: string,
  ok: Call["ok"] & { readonly request?: string },
  refusals: readonly (400 | 404 | 409)[] = [],
): Call {
  const { request, ...answer } = ok;
  const named = { 400: "Malformed", 404: "Unknown", 409: "Refused" } as const;
  const others = Object.fromEntries(refusals.map((status) => [status, named[status]]));
  return {
    ...{ method, path, summary, ok: answer },
    ...(request === undefined
      ? {}
      : {
          request: {
            schema: request,
            optional: !needsBody.has(request),
          },
        }),
    others: {
      ...others,
      401: "Unauthorized",
      403: "Forbidden",
      ...(request === undefined ? {} : { 413: "TooLarge" }),
      500: "Defect",
    },
  };
}

const json = (...schemas: string[]): Body => ({ json: schemas });
const done = {
  description: "Done: the service's primary serves, or automation is as ordered",
  body: json("CommandDone"),
};
const registry = { description: "The registry", body: json("HostList") };
const tokens = { description: "The tokens that are valid now", body: json("TokenList") };
const gateways = { description: "The gateways as this one hears them", body: json("GatewayList") };

const commands: readonly Call[] = [
  call("get", "/v1/cluster", "Everything that `stead status` shows", {
    description: "The cluster as this gateway sees it",
    body: json("ClusterStatus"),
  }),
  call(
    "post",
    "/v1/switchover",
    "Moves the primary while all hosts are healthy; with `dryRun` says where to, and how long requests would wait",
    {
      request: "SwitchoverRequest",
      description: "The new primary serves; with `dryRun`: what would happen",
      body: json("CommandDone", "DryRunAnswer"),
    },
    [400, 404, 409],
  ),
  call(
    "post",
    "/v1/failover",
    "Replaces a lost primary; with `force` any; with `dryRun` names the host that would take over, and why others would not",
    {
      request: "FailoverRequest",
      description: "The new primary serves; with `dryRun`: what would happen",
      body: json("CommandDone", "DryRunAnswer"),
    },
    [400, 404, 409],
  ),
  call(
    "post",
    "/v1/pause",
    "Automation off, with `forMs` for a time; routing stays; outlasts a restart",
    { request: "PauseCall", ...done },
    [400, 404, 409],
  ),
  call(
    "post",
    "/v1/maintenance",
    "Answers requests with the maintenance page, with `forMs` for a time; `on` false: no longer",
    { request: "MaintenanceCall", description: "It is so", body: json("MaintenanceAnswer") },
    [400, 404],
  ),
  call("post", "/v1/resume", "Automation on", { request: "ServiceRequest", ...done }, [400, 404, 409]),
  call(
    "post",
    "/v1/checkpoint",
    "Asks a host (the primary) for a checkpoint",
    { request: "HostRequest", description: "It is written and announced", body: json("CheckpointAnswer") },
    [400, 404, 409],
  ),
  call(
    "post",
    "/v1/logs",
    "The newest lines of a host's log or of its application's output, and those that follow",
    { request: "LogRequest", description: "Lines, or none within `waitMs`", body: json("LogAnswer") },
    [400, 404, 409],
  ),
  call(
    "get",
    "/v1/restore-points/{service}",
    "What the vault of a service can be restored to: its newest checkpoints, and the first and last moment",
    { description: "As one of its hosts reads the vault", body: json("RestorePointsAnswer") },
    [404, 409],
  ),
  call(
    "get",
    "/v1/samples/{service}",
    "The last hour of a service and its hosts, as this gateway saw it",
    { description: "Samples of 15 seconds each", body: json("SamplesAnswer") },
    [404],
  ),
  call("get", "/v1/sight", "How every gateway sees each host, and the other gateways", {
    description: "Of this gateway, and of each other one that tells it",
    body: json("SightAnswer"),
  }),
  call("get", "/v1/drills", "The newest drills of all gateways", {
    description: "Oldest first",
    body: json("DrillList"),
  }),
  call(
    "post",
    "/v1/drills",
    "Takes the primary away on purpose, if that is safe now, and measures how long clients wait",
    { request: "DrillRequest", description: "The service is back, or the drill failed", body: json("DrillEntry") },
    [400, 404, 409],
  ),
  call(
    "post",
    "/v1/drills/plan",
    "Plans a drill once, at the next such time in UTC",
    { request: "DrillPlanRequest", description: "It is planned", body: json("PlannedDrill") },
    [400, 404, 409],
  ),
  call(
    "post",
    "/v1/drills/cancel",
    "Takes back the drill that was planned by an order",
    { request: "DrillCancelRequest", description: "What was planned", body: json("PlannedDrill") },
    [400, 404, 409],
  ),
  call(
    "post",
    "/v1/rehearse",
    "Starts the application on a secondary, on a copy of its databases, and stops it again",
    {
      request: "RehearseRequest",
      description: "How it went, also when the application failed",
      body: json("RehearsalAnswer"),
    },
    [400, 404, 409],
  ),
  call(
    "post",
    "/v1/rewind",
    "Makes an earlier state of a service its state again, or says what that would undo (`dryRun`)",
    {
      request: "RewindRequest",
      description: "The next primary serves with that state; of a dry run: nothing was changed",
      body: json("RewindAnswer"),
    },
    [400, 404, 409],
  ),
  call(
    "post",
    "/v1/databases/list",
    "The databases of a service on its primary, with their condition",
    { request: "ServiceRequest", description: "Those that are not captured first", body: json("DatabasesAnswer") },
    [400, 404, 409],
  ),
  call(
    "post",
    "/v1/databases/exclude",
    "Excludes a database from capture, on every host, until it is included again",
    { request: "DatabaseRequest", description: "It is so, durably", body: json("DatabasesAnswer") },
    [400, 404, 409],
  ),
  call(
    "post",
    "/v1/databases/include",
    "Captures an excluded database again",
    { request: "DatabaseRequest", description: "It is so, durably", body: json("DatabasesAnswer") },
    [400, 404, 409],
  ),
  call(
    "post",
    "/v1/notify/test",
    "Tells one target of [[notify]], or all, that it is a test",
    { request: "NotifyTestRequest", description: "How each attempt ended", body: json("NotifyTestAnswer") },
    [400, 404],
  ),
  call(
    "post",
    "/v1/suspects/clear",
    "Forwards requests again that were set aside because they ended the application",
    { request: "ServiceRequest", description: "The hosts that have forgotten them", body: json("SuspectsCleared") },
    [400, 404, 409],
  ),
];

const registers: readonly Call[] = [
  call("get", "/v1/hosts", "The hosts of every service", registry),
  call("post", "/v1/hosts", "Adds or replaces a host", { request: "AddHostRequest", ...registry }, [400, 404]),
  call(
    "patch",
    "/v1/hosts/{service}/{host}",
    "Changes a host's priority or eligibility",
    { request: "HostChange", ...registry },
    [400, 404],
  ),
  call("delete", "/v1/hosts/{service}/{host}", "Removes a host; a serving primary is refused", registry, [404, 409]),
  call(
    "post",
    "/v1/hosts/{service}/{host}/drain",
    "Never a candidate any more, and switched over when it is primary",
    done,
    [404, 409],
  ),
  call("get", "/v1/gateways", "The gateways of the cluster", gateways),
  call("delete", "/v1/gateways/{id}", "Takes a gateway out for good", gateways, [404, 409]),
  call("get", "/v1/tokens", "The tokens that are valid now", tokens),
  call(
    "post",
    "/v1/tokens",
    "Makes a token with a role",
    { request: "AddTokenRequest", description: "It is made; no later answer has it", body: json("TokenAdded") },
    [400, 409],
  ),
  call("delete", "/v1/tokens/{token}", "Revokes a token, by its id or name", tokens, [404]),
  call(
    "get",
    "/v1/dry-run/{service}",
    "What would happen if the primary were lost now; changes nothing",
    { description: "The candidates, and why each other host is none", body: json("DryRunAnswer") },
    [404],
  ),
  call("get", "/v1/config", "What the gateway does now", {
    description: "Settings in force",
    body: json("ConfigReport"),
  }),
];

const questions: readonly Call[] = [
  call(
    "post",
    "/v1/sql",
    "One statement that reads",
    { request: "SqlRequest", description: "Its rows", body: json("SqlAnswer") },
    [400],
  ),
  ...["v2", "v3"].flatMap((version): Call[] => [
    {
      method: "get",
      path: `/${version}`,
      summary: "Hrana is spoken here",
      isOpen: true,
      ok: { description: "It is", body: json("HranaVersion") },
      others: {},
    },
    {
      ...call("post", `/${version}/pipeline`, "Hrana over HTTP, read-only", {
        request: "HranaPipeline",
        description: "A result for each request",
        body: json("HranaPipelineAnswer"),
      }),
      request: { schema: "HranaPipeline", optional: false },
      others: { 400: "HranaMalformed", 401: "Unauthorized", 403: "Forbidden", 413: "TooLarge", 500: "Defect" },
    },
  ]),
  call("get", "/metrics", "Metrics for Prometheus (docs/METRICS.md)", {
    description: "Text format 0.0.4",
    body: { text: "text/plain" },
  }),
  {
    method: "get",
    path: "/liveness",
    summary: "For supervisors that start a process again when it does not answer",
    isOpen: true,
    ok: { description: "The process answers", body: json("LivenessAnswer") },
    others: { 500: "Defect" },
  },
  health("/health", {}),
  health("/health/{service}", { 404: "Unknown" }),
];

function health(path: string, others: Call["others"]): Call {
  const ok = { description: "Requests are routed", body: json("HealthAnswer") };
  return {
    method: "get",
    path,
    summary: "For load balancers",
    isOpen: true,
    ok,
    others: { ...others, 500: "Defect", 503: "Waiting" },
  };
}

export const gatewayApiTable = (comments: Api["comments"]): Api => ({
  title: "stead: admin API of a gateway",
  certificates:
    "`gateway`, `host` or `operator` for /liveness, /health and /metrics; `gateway` or `operator` for all others",
  description: [
    "What the `stead` commands and operators ask of a gateway; docs/GATEWAY-API.md says what the answers mean. Where there is one service, `service` may be left out.",
    "`POST /v1/peer/sync` is between gateways of one version and not part of this contract.",
  ].join(" "),
  schemas: {
    ...schemasOf(failoverApi),
    LogRequest: logApi.logRequestSchema,
    LogAnswer: logApi.logAnswerSchema,
    RestorePointsAnswer: restorePoints.restorePointsAnswerSchema,
    RewindRequest: rewindApi.rewindRequestSchema,
    RewindPlan: rewindApi.rewindPlanSchema,
    RewindAnswer: rewindApi.rewindAnswerSchema,
    SamplesAnswer: samplesApi.samplesAnswerSchema,
    SightAnswer: sightApi.sightAnswerSchema,
    DrillRequest: drillApi.drillRequestSchema,
    DrillPlanRequest: drillApi.drillPlanRequestSchema,
    DrillCancelRequest: drillApi.drillCancelRequestSchema,
    PlannedDrill: drillApi.plannedDrillSchema,
    DrillEntry: drillApi.drillEntrySchema,
    DrillSummary: drillApi.drillSummarySchema,
    DrillList: drillApi.drillListSchema,
    ...schemasOf(notifyApi),
    ...schemasOf(gatewayApi),
    ...schemasOf(configApi),
    Refused: refusedSchema,
    ...schemasOf(hrana),
    HranaPipelineAnswer: v.object({
      baton: v.nullable(v.string()),
      base_url: v.null(),
      results: v.array(v.looseObject({ type: v.picklist(["ok", "error"]) })),
    }),
    HranaError: v.object({ message: v.string(), code: v.string() }),
    HranaVersion: v.object({
      version: v.picklist(["v2", "v3"]),
      encoding: v.literal("json"),
      access: v.literal("read-only"),
    }),
  },
  comments: {
    ...comments,
    HranaPipeline: "The part of Hrana 3 (libSQL: HRANA_3_SPEC.md) that a read-only server needs.",
    HranaPipelineAnswer: "As HRANA_3_SPEC.md has it: `results` are StreamResult.",
  },
  responses: {
    Malformed: {
      description: "The body does not fit, the service has to be named, or the statement is refused",
      schema: "Refused",
    },
    Unauthorized: { description: "The credentials are missing or not valid", schema: "Refused" },
    Forbidden: { description: "The role of the token does not suffice", schema: "Refused" },
    Unknown: { description: "There is no such service, host, gateway or token", schema: "Refused" },
    Refused: { description: "It cannot be, with the reason", schema: "Refused" },
    TooLarge: { description: "The body is too large", schema: "Refused" },
    Defect: { description: "A defect of the gateway, or what it needs for the call has failed", schema: "Refused" },
    Waiting: { description: "Requests wait, with the reasons", schema: "HealthAnswer" },
    HranaMalformed: { description: "Malformed, or its baton is unknown", schema: "HranaError" },
  },
  calls: [...commands, ...registers, ...questions],
});

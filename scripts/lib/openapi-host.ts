/** The control API of a host as a table; src/host/control/control.ts has the same routes, which a test compares. */
import * as v from "valibot";
import * as drillApi from "../../src/control/drill-api.ts";
import * as databases from "../../src/control/databases.ts";
import * as logApi from "../../src/control/log-api.ts";
import * as restorePoints from "../../src/control/restore-points.ts";
import * as rewindApi from "../../src/control/rewind-api.ts";
import * as hostStatus from "../../src/control/host-status.ts";
import { refusedSchema } from "../../src/control/refused.ts";
import * as messages from "../../src/control/host-api.ts";
import { type Api, type Call, schemasOf } from "./openapi-document.ts";

const ended = "Ends with `done` or `refused`. The work continues if the caller disconnects.";

const calls: readonly Call[] = [
  {
    method: "get",
    path: "/metrics",
    summary: "Metrics for Prometheus (docs/METRICS.md)",
    ok: { description: "Text format 0.0.4", body: { text: "text/plain" } },
    others: { 401: "Unauthorized" },
  },
  {
    method: "get",
    path: "/v1/status",
    summary: "The status of the host",
    ok: { description: "Its status", body: { json: ["HostStatus"] } },
    others: { 401: "Unauthorized" },
  },
  {
    method: "get",
    path: "/v1/status/stream",
    summary: `The status at once, at each change, and at least every ${messages.heartbeatMs} ms`,
    ok: {
      description: "Continues until one side ends it. An end that the caller did not cause is a failure signal.",
      body: { lines: "HostStatus" },
    },
    others: { 401: "Unauthorized" },
  },
  {
    method: "post",
    path: "/v1/promote",
    summary: "Orders the host to become primary",
    request: { schema: "PromoteRequest", optional: false },
    ok: { description: `The phases as they end. ${ended}`, body: { lines: "PromoteEvent" } },
    others: { 400: "Malformed", 401: "Unauthorized", 413: "TooLarge" },
  },
  {
    method: "post",
    path: "/v1/demote",
    summary: "Orders the primary to step down",
    request: { schema: "DemoteRequest", optional: false },
    ok: { description: `The phases as they end. ${ended}`, body: { lines: "DemoteEvent" } },
    others: { 400: "Malformed", 401: "Unauthorized", 413: "TooLarge" },
  },
  {
    method: "post",
    path: "/v1/rewind/plan",
    summary: "What a rewind to a moment would undo",
    request: { schema: "RewindHostRequest", optional: false },
    ok: { description: "Nothing was changed", body: { json: ["RewindPlan"] } },
    others: { 400: "Malformed", 401: "Unauthorized", 409: "Refused", 413: "TooLarge" },
  },
  {
    method: "post",
    path: "/v1/rewind/prepare",
    summary: "Restores the state of a moment beside the present one, for the order to step down that names it",
    request: { schema: "RewindHostRequest", optional: false },
    ok: { description: "It is prepared, and valid for a while", body: { json: ["RewindPrepared"] } },
    others: { 400: "Malformed", 401: "Unauthorized", 409: "Refused", 413: "TooLarge" },
  },
  {
    method: "post",
    path: "/v1/restore",
    summary: "Orders a host that is not primary to restore itself from the vault",
    request: { schema: "Nothing", optional: true },
    ok: { description: "The restore has begun", body: { json: ["HostStatus"] } },
    others: { 401: "Unauthorized", 409: "Refused", 413: "TooLarge" },
  },
  {
    method: "post",
    path: "/v1/removed",
    summary:
      "Says that a gateway has taken the host out of its registry: it warns in its status until that gateway watches it again",
    request: { schema: "Removal", optional: false },
    ok: { description: "Its status", body: { json: ["HostStatus"] } },
    others: { 400: "Malformed", 401: "Unauthorized", 413: "TooLarge" },
  },
  {
    method: "post",
    path: "/v1/checkpoint",
    summary: "Orders the primary to write a checkpoint",
    request: { schema: "Nothing", optional: true },
    ok: { description: "It is written, verified and announced", body: { json: ["CheckpointDone"] } },
    others: { 401: "Unauthorized", 409: "Refused", 413: "TooLarge" },
  },
  {
    method: "post",
    path: "/v1/rehearse",
    summary: "Starts the application of a secondary on a copy of its databases, and stops it again",
    request: { schema: "Nothing", optional: true },
    ok: { description: "How it went, also when the application failed", body: { json: ["RehearsalDone"] } },
    others: { 401: "Unauthorized", 409: "Refused", 413: "TooLarge" },
  },
  {
    method: "post",
    path: "/v1/drill",
    summary: "Takes a primary away for a drill, for a bounded time",
    request: { schema: "HostDrillRequest", optional: false },
    ok: { description: "It begins now, and ends by itself", body: { json: ["HostDrillDone"] } },
    others: { 400: "Refused", 401: "Unauthorized", 409: "Refused", 413: "TooLarge" },
  },
  {
    method: "post",
    path: "/v1/log",
    summary: "The newest lines of the host's log or of its application's output, and those that follow",
    request: { schema: "HostLogRequest", optional: false },
    ok: { description: "Lines, or none within `waitMs`", body: { json: ["HostLog"] } },
    others: { 400: "Refused", 401: "Unauthorized", 413: "TooLarge" },
  },
  {
    method: "get",
    path: "/v1/restore-points",
    summary: "What the vault can be restored to: its newest checkpoints, and the first and last moment",
    ok: { description: "As the host reads the vault, at most a few seconds old", body: { json: ["RestorePoints"] } },
    others: { 401: "Unauthorized" },
  },
  {
    method: "get",
    path: "/v1/databases",
    summary: "The databases that the host captures or follows, with their condition",
    ok: { description: "Those that are not captured first", body: { json: ["DatabaseList"] } },
    others: { 401: "Unauthorized" },
  },
  ...(["exclude", "include"] as const).map(
    (act): Call => ({
      method: "post",
      path: `/v1/databases/${act}`,
      summary:
        act === "exclude"
          ? "Excludes a database from capture, on every host, until it is included again"
          : "Captures an excluded database again",
      request: { schema: "DatabaseChange", optional: false },
      ok: { description: "It is so, durably; also when it was before", body: { json: ["DatabaseList"] } },
      others: { 400: "Malformed", 401: "Unauthorized", 409: "Refused", 413: "TooLarge" },
    }),
  ),
  {
    method: "post",
    path: "/v1/suspects/clear",
    summary: "Forwards requests again that were set aside because they ended the application",
    request: { schema: "Nothing", optional: true },
    ok: { description: "They are forgotten", body: { json: ["HostStatus"] } },
    others: { 401: "Unauthorized", 413: "TooLarge" },
  },
];

export const hostApi = (comments: Api["comments"]): Api => ({
  title: "stead: control API of a host",
  certificates:
    "`gateway`, `host` or `operator` for every GET; `gateway` or `host` for POST /v1/checkpoint; `gateway` for all others",
  description:
    "What a gateway asks of a host. Any server that implements it can be driven by the gateway. docs/CONTROL-API.md says what the calls mean.",
  schemas: {
    ...schemasOf(hostStatus),
    ...schemasOf(messages),
    ...schemasOf(databases),
    HostLogRequest: logApi.hostLogRequestSchema,
    HostLog: logApi.hostLogSchema,
    RestorePoints: restorePoints.restorePointsSchema,
    RewindHostRequest: rewindApi.rewindHostRequestSchema,
    RewindPlan: rewindApi.rewindPlanSchema,
    RewindPrepared: rewindApi.rewindPreparedSchema,
    HostDrillRequest: drillApi.hostDrillRequestSchema,
    HostDrillDone: drillApi.hostDrillDoneSchema,
    Refused: refusedSchema,
    Nothing: v.object({}),
  },
  comments: { ...comments, Nothing: "Nothing is read from it." },
  responses: {
    Malformed: { description: "The body is not JSON or does not fit: the error names the field", schema: "Refused" },
    Unauthorized: { description: "The cluster secret is missing or another", schema: "Refused" },
    Refused: { description: "The host's state does not allow it", schema: "Refusal" },
    TooLarge: { description: "The body is too large", schema: "Refused" },
    Defect: { description: "A defect of the host, or what it needs for the call has failed", schema: "Refused" },
  },
  calls: calls.map((call) => ({ ...call, others: { ...call.others, 500: "Defect" } })),
});

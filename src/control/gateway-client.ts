/** Client of a gateway's admin API (gateway-api.ts). Failures are data: what happened, and the gateway's answer. */
import * as v from "valibot";
import type { Clock } from "../runtime/clock.ts";
import type { AccessToken } from "./access-token.ts";
import { ChannelClient } from "./channel/client.ts";
import { anyOf } from "./channel/transcript.ts";
import {
  type DrillCancelRequest,
  type DrillEntry,
  drillEntrySchema,
  type DrillList,
  drillListSchema,
  type DrillPlanRequest,
  type DrillRequest,
  type PlannedDrillEntry,
  plannedDrillSchema,
} from "./drill-api.ts";
import type { DatabaseAct } from "./databases.ts";
import { configReportSchema, type ConfigReport } from "./config-api.ts";
import {
  checkpointAnswerSchema,
  clusterStatusSchema,
  commandDoneSchema,
  databasesAnswerSchema,
  gatewayListSchema,
  hostListSchema,
  livenessAnswerSchema,
  rehearsalAnswerSchema,
  sqlAnswerSchema,
  suspectsClearedSchema,
  tokenAddedSchema,
  tokenListSchema,
  type AddHostRequest,
  type AddTokenRequest,
  type CheckpointAnswer,
  type ClusterStatus,
  type CommandDone,
  type DatabasesAnswer,
  type GatewayList,
  type HostChange,
  type HostList,
  type LivenessAnswer,
  maintenanceAnswerSchema,
  type MaintenanceAnswer,
  type MaintenanceCall,
  type PauseCall,
  type RehearsalAnswer,
  type SqlAnswer,
  type SuspectsCleared,
  type TokenAdded,
  type TokenList,
} from "./gateway-api.ts";
import { type NotifyTestAnswer, notifyTestAnswerSchema } from "./notify-api.ts";
import { dryRunAnswerSchema, type DryRunAnswer } from "./failover-api.ts";
import { callJson, type CallFailure, type CallOptions, type JsonCall } from "./json-call.ts";
import { type LogAnswer, logAnswerSchema, type LogRequest } from "./log-api.ts";
import { type RewindAnswer, rewindAnswerSchema, type RewindRequest } from "./rewind-api.ts";
import { type Refused, refusedSchema } from "./refused.ts";

export type GatewayAnswer<T> =
  | { readonly kind: "ok"; readonly value: T }
  /** The gateway refused. */
  | ({ readonly kind: "refused-by-gateway"; readonly status: number } & Readonly<Refused>)
  | CallFailure;

/** A switchover lasts as long as the application takes to stop and start. */
const commandTimeoutMs = 150_000;
const queryTimeoutMs = 10_000;
const checkpointTimeoutMs = 600_000;
/** The gateway gives a drill 200 s. */
const drillTimeoutMs = 210_000;
/** The gateway gives its host an hour to prepare it, and then 600 s. */
const rewindTimeoutMs = 4_210_000;
/** The gateway gives its host 600 s. */
const rehearsalTimeoutMs = 610_000;

const pathOfHost = (service: string, host: string): string =>
  `/v1/hosts/${encodeURIComponent(service)}/${encodeURIComponent(host)}`;

export class GatewayClient {
  readonly #options: CallOptions;

  /** `adminUrl`: `http://address:port` of the admin listener. A secret alone stands for an operator. */
  constructor(adminUrl: string, caller: ChannelClient | AccessToken | string, clock: Clock) {
    const known = typeof caller === "string" ? ChannelClient.ofOperator(caller, clock) : caller;
    this.#options = { baseUrl: adminUrl, caller: known, to: anyOf("gateway"), clock };
  }

  liveness(signal?: AbortSignal): Promise<GatewayAnswer<LivenessAnswer>> {
    return this.#call(livenessAnswerSchema, { method: "GET", path: "/liveness", timeoutMs: queryTimeoutMs, signal });
  }

  cluster(signal?: AbortSignal): Promise<GatewayAnswer<ClusterStatus>> {
    return this.#call(clusterStatusSchema, { method: "GET", path: "/v1/cluster", timeoutMs: queryTimeoutMs, signal });
  }

  switchover(request: { service?: string; host?: string }, signal?: AbortSignal): Promise<GatewayAnswer<CommandDone>> {
    return this.#call(commandDoneSchema, {
      method: "POST",
      path: "/v1/switchover",
      body: request,
      timeoutMs: commandTimeoutMs,
      signal,
    });
  }

  failover(
    request: { service?: string; host?: string; force?: boolean },
    signal?: AbortSignal,
  ): Promise<GatewayAnswer<CommandDone>> {
    return this.#call(commandDoneSchema, {
      method: "POST",
      path: "/v1/failover",
      body: request,
      timeoutMs: commandTimeoutMs,
      signal,
    });
  }

  dryRun(request: { service?: string }, signal?: AbortSignal): Promise<GatewayAnswer<DryRunAnswer>> {
    return this.#call(dryRunAnswerSchema, {
      method: "POST",
      path: "/v1/failover",
      body: { ...request, dryRun: true },
      timeoutMs: queryTimeoutMs,
      signal,
    });
  }

  /** `host`: the new primary; default: the best one. */
  switchoverDryRun(
    request: { service?: string; host?: string },
    signal?: AbortSignal,
  ): Promise<GatewayAnswer<DryRunAnswer>> {
    return this.#call(dryRunAnswerSchema, {
      method: "POST",
      path: "/v1/switchover",
      body: { ...request, dryRun: true },
      timeoutMs: queryTimeoutMs,
      signal,
    });
  }

  pause(request: PauseCall, signal?: AbortSignal): Promise<GatewayAnswer<CommandDone>> {
    return this.#call(commandDoneSchema, {
      method: "POST",
      path: "/v1/pause",
      body: request,
      timeoutMs: queryTimeoutMs,
      signal,
    });
  }

  resume(request: { service?: string }, signal?: AbortSignal): Promise<GatewayAnswer<CommandDone>> {
    return this.#call(commandDoneSchema, {
      method: "POST",
      path: "/v1/resume",
      body: request,
      timeoutMs: queryTimeoutMs,
      signal,
    });
  }

  maintenance(request: MaintenanceCall, signal?: AbortSignal): Promise<GatewayAnswer<MaintenanceAnswer>> {
    return this.#call(maintenanceAnswerSchema, {
      method: "POST",
      path: "/v1/maintenance",
      body: request,
      timeoutMs: queryTimeoutMs,
      signal,
    });
  }

  hosts(signal?: AbortSignal): Promise<GatewayAnswer<HostList>> {
    return this.#call(hostListSchema, { method: "GET", path: "/v1/hosts", timeoutMs: queryTimeoutMs, signal });
  }

  addHost(request: AddHostRequest, signal?: AbortSignal): Promise<GatewayAnswer<HostList>> {
    return this.#call(hostListSchema, {
      method: "POST",
      path: "/v1/hosts",
      body: request,
      timeoutMs: queryTimeoutMs,
      signal,
    });
  }

  changeHost(
    service: string,
    host: string,
    change: HostChange,
    signal?: AbortSignal,
  ): Promise<GatewayAnswer<HostList>> {
    return this.#call(hostListSchema, {
      method: "PATCH",
      path: pathOfHost(service, host),
      body: change,
      timeoutMs: queryTimeoutMs,
      signal,
    });
  }

  /** Excludes the host as a candidate; a primary is first switched over to another host. */
  drainHost(service: string, host: string, signal?: AbortSignal): Promise<GatewayAnswer<CommandDone>> {
    return this.#call(commandDoneSchema, {
      method: "POST",
      path: `${pathOfHost(service, host)}/drain`,
      body: {},
      timeoutMs: commandTimeoutMs,
      signal,
    });
  }

  config(signal?: AbortSignal): Promise<GatewayAnswer<ConfigReport>> {
    return this.#call(configReportSchema, { method: "GET", path: "/v1/config", timeoutMs: queryTimeoutMs, signal });
  }

  removeHost(service: string, host: string, signal?: AbortSignal): Promise<GatewayAnswer<HostList>> {
    return this.#call(hostListSchema, {
      method: "DELETE",
      path: pathOfHost(service, host),
      timeoutMs: queryTimeoutMs,
      signal,
    });
  }

  gateways(signal?: AbortSignal): Promise<GatewayAnswer<GatewayList>> {
    return this.#call(gatewayListSchema, { method: "GET", path: "/v1/gateways", timeoutMs: queryTimeoutMs, signal });
  }

  removeGateway(gateway: string, signal?: AbortSignal): Promise<GatewayAnswer<GatewayList>> {
    return this.#call(gatewayListSchema, {
      method: "DELETE",
      path: `/v1/gateways/${encodeURIComponent(gateway)}`,
      timeoutMs: queryTimeoutMs,
      signal,
    });
  }

  checkpoint(
    request: { service?: string; host?: string },
    signal?: AbortSignal,
  ): Promise<GatewayAnswer<CheckpointAnswer>> {
    return this.#call(checkpointAnswerSchema, {
      method: "POST",
      path: "/v1/checkpoint",
      body: request,
      timeoutMs: checkpointTimeoutMs,
      signal,
    });
  }

  rehearse(request: { service?: string; host: string }, signal?: AbortSignal): Promise<GatewayAnswer<RehearsalAnswer>> {
    return this.#call(rehearsalAnswerSchema, {
      method: "POST",
      path: "/v1/rehearse",
      body: request,
      timeoutMs: rehearsalTimeoutMs,
      signal,
    });
  }

  rewind(body: RewindRequest, signal?: AbortSignal): Promise<GatewayAnswer<RewindAnswer>> {
    const timeoutMs = body.dryRun === true ? checkpointTimeoutMs : rewindTimeoutMs;
    return this.#call(rewindAnswerSchema, { method: "POST", path: "/v1/rewind", body, timeoutMs, signal });
  }

  drills(signal?: AbortSignal): Promise<GatewayAnswer<DrillList>> {
    return this.#call(drillListSchema, { method: "GET", path: "/v1/drills", timeoutMs: queryTimeoutMs, signal });
  }

  planDrill(body: DrillPlanRequest, signal?: AbortSignal): Promise<GatewayAnswer<PlannedDrillEntry>> {
    const call = { method: "POST", path: "/v1/drills/plan", body, timeoutMs: queryTimeoutMs, signal } as const;
    return this.#call(plannedDrillSchema, call);
  }

  cancelDrill(body: DrillCancelRequest, signal?: AbortSignal): Promise<GatewayAnswer<PlannedDrillEntry>> {
    const call = { method: "POST", path: "/v1/drills/cancel", body, timeoutMs: queryTimeoutMs, signal } as const;
    return this.#call(plannedDrillSchema, call);
  }

  /** Resolves when the service is back. */
  drill(request: DrillRequest, signal?: AbortSignal): Promise<GatewayAnswer<DrillEntry>> {
    return this.#call(drillEntrySchema, {
      method: "POST",
      path: "/v1/drills",
      body: request,
      timeoutMs: drillTimeoutMs,
      signal,
    });
  }

  clearSuspects(request: { service?: string }, signal?: AbortSignal): Promise<GatewayAnswer<SuspectsCleared>> {
    return this.#call(suspectsClearedSchema, {
      method: "POST",
      path: "/v1/suspects/clear",
      body: request,
      timeoutMs: commandTimeoutMs,
      signal,
    });
  }

  /** `target` null: all. */
  notifyTest(request: { target: string | null }, signal?: AbortSignal): Promise<GatewayAnswer<NotifyTestAnswer>> {
    return this.#call(notifyTestAnswerSchema, {
      method: "POST",
      path: "/v1/notify/test",
      body: request,
      timeoutMs: commandTimeoutMs,
      signal,
    });
  }

  logs(body: LogRequest, signal?: AbortSignal): Promise<GatewayAnswer<LogAnswer>> {
    const timeoutMs = (body.waitMs ?? 0) + queryTimeoutMs;
    return this.#call(logAnswerSchema, { method: "POST", path: "/v1/logs", body, timeoutMs, signal });
  }

  databases(request: { service?: string }, signal?: AbortSignal): Promise<GatewayAnswer<DatabasesAnswer>> {
    return this.#call(databasesAnswerSchema, {
      method: "POST",
      path: "/v1/databases/list",
      body: request,
      timeoutMs: commandTimeoutMs,
      signal,
    });
  }

  changeDatabase(
    act: DatabaseAct,
    request: { service?: string; name: string; force?: boolean },
    signal?: AbortSignal,
  ): Promise<GatewayAnswer<DatabasesAnswer>> {
    return this.#call(databasesAnswerSchema, {
      method: "POST",
      path: `/v1/databases/${act}`,
      body: request,
      timeoutMs: commandTimeoutMs,
      signal,
    });
  }

  tokens(signal?: AbortSignal): Promise<GatewayAnswer<TokenList>> {
    return this.#call(tokenListSchema, { method: "GET", path: "/v1/tokens", timeoutMs: queryTimeoutMs, signal });
  }

  addToken(request: AddTokenRequest, signal?: AbortSignal): Promise<GatewayAnswer<TokenAdded>> {
    return this.#call(tokenAddedSchema, {
      method: "POST",
      path: "/v1/tokens",
      body: request,
      timeoutMs: queryTimeoutMs,
      signal,
    });
  }

  /** `token`: its id or its name. */
  revokeToken(token: string, signal?: AbortSignal): Promise<GatewayAnswer<TokenList>> {
    return this.#call(tokenListSchema, {
      method: "DELETE",
      path: `/v1/tokens/${encodeURIComponent(token)}`,
      timeoutMs: queryTimeoutMs,
      signal,
    });
  }

  sql(
    request: { sql: string; rowsMax?: number; timeoutMs?: number },
    signal?: AbortSignal,
  ): Promise<GatewayAnswer<SqlAnswer>> {
    return this.#call(sqlAnswerSchema, {
      method: "POST",
      path: "/v1/sql",
      body: request,
      timeoutMs: queryTimeoutMs,
      signal,
    });
  }

  async #call<S extends v.GenericSchema>(schema: S, call: JsonCall): Promise<GatewayAnswer<v.InferOutput<S>>> {
    const answer = await callJson(this.#options, call);
    if (answer.kind !== "answer") return answer;
    if (answer.status === 200) {
      const parsed = v.safeParse(schema, answer.body);
      return parsed.success
        ? { kind: "ok", value: parsed.output }
        : { kind: "invalid", message: `${call.path}: ${v.summarize(parsed.issues)}` };
    }
    const refused = v.safeParse(refusedSchema, answer.body);
    if (!refused.success) return { kind: "invalid", message: `${call.path} was answered with ${answer.status}` };
    return { kind: "refused-by-gateway", status: answer.status, ...refused.output };
  }
}

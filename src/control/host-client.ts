/**
 * The gateway's client for a host's control API (host-api.ts): typed calls, each with a time limit and a signal.
 *
 * Every answer is checked against the schemas; one that does not match is `invalid` and never passed on. A refusal by
 * the host is an answer, not a failure.
 */
import * as v from "valibot";
import type { Clock } from "../runtime/clock.ts";
import { ChannelClient } from "./channel/client.ts";
import { anyOf, type Party } from "./channel/transcript.ts";
import { type HostDrillDone, hostDrillDoneSchema, type HostDrillRequest } from "./drill-api.ts";
import { callJson, callLines, type CallFailure, type CallOptions } from "./json-call.ts";
import { type DatabaseAct, type DatabaseChange, type DatabaseList, databaseListSchema } from "./databases.ts";
import { hostStatusSchema, type HostStatus } from "./host-status.ts";
import { type HostLog, type HostLogRequest, hostLogSchema } from "./log-api.ts";
import { type RestorePoints, restorePointsSchema } from "./restore-points.ts";
import {
  type RewindHostRequest,
  type RewindPlan,
  rewindPlanSchema,
  type RewindPrepared,
  rewindPreparedSchema,
} from "./rewind-api.ts";
import { refusedSchema } from "./refused.ts";
import {
  checkpointDoneSchema,
  demoteEventSchema,
  gatewayField,
  heartbeatMs,
  promoteEventSchema,
  recordFormatField,
  refusalSchema,
  rehearsalDoneSchema,
  type CheckpointDone,
  type DemoteEvent,
  type DemoteRequest,
  type PromoteEvent,
  type PromoteRequest,
  type RehearsalDone,
} from "./host-api.ts";
import type { Refusal } from "../core/refusal.ts";

export type HostAnswer<T> =
  | { readonly kind: "ok"; readonly value: T }
  | { readonly kind: "refused-by-host"; readonly refusal: Refusal }
  | CallFailure;

/** How a status stream ended: `ended` is a clean end by the host. */
export type StreamEnd = { readonly kind: "ended" } | CallFailure;

export interface HostClientLimits {
  /** From connecting to the head of the answer. */
  readonly connectTimeoutMs: number;
  /** Limit of a whole promotion or demotion; hosts limit their own phases far below. */
  readonly orderTimeoutMs: number;
  readonly checkpointTimeoutMs: number;
  /** The host limits the copy, the start and the stop separately. */
  readonly rehearsalTimeoutMs: number;
}

export const defaultHostClientLimits: HostClientLimits = {
  connectTimeoutMs: 2_000,
  orderTimeoutMs: 120_000,
  checkpointTimeoutMs: 600_000,
  rehearsalTimeoutMs: 600_000,
};

/** Preparing a rewind restores all databases. */
const rewindTimeoutMs = 3_600_000;

/** A status stream that is silent for longer is dead: a few heartbeats. */
export const streamSilenceMs = heartbeatMs * 4;

export class HostClient {
  readonly #options: CallOptions;
  readonly #limits: HostClientLimits;
  readonly #gateway: string;

  /**
   * A secret alone stands for an operator. `host`: the one that is meant; default: any. `gateway`: the id of the
   * calling gateway; empty: the caller is not a gateway.
   */
  constructor(
    controlUrl: string,
    caller: ChannelClient | string,
    clock: Clock,
    limits: HostClientLimits = defaultHostClientLimits,
    { gateway = "", host = anyOf("host") }: { readonly gateway?: string; readonly host?: Party } = {},
  ) {
    const known = typeof caller === "string" ? ChannelClient.ofOperator(caller, clock) : caller;
    const headers = gateway === "" ? {} : { [gatewayField]: gateway };
    this.#options = { baseUrl: controlUrl, caller: known, to: host, clock, headers };
    this.#limits = limits;
    this.#gateway = gateway;
  }

  /** `timeoutMs` covers the whole call. `recordFormat` tells the host the newest record format that all hosts read. */
  async status(timeoutMs: number, signal?: AbortSignal, recordFormat?: number): Promise<HostAnswer<HostStatus>> {
    const headers = recordFormat === undefined ? undefined : { [recordFormatField]: String(recordFormat) };
    return this.#json(hostStatusSchema, { method: "GET", path: "/v1/status", headers, timeoutMs, signal });
  }

  /** Passes on each status until the stream ends, for any reason; never throws. */
  async streamStatus(onStatus: (status: HostStatus) => void, signal: AbortSignal): Promise<StreamEnd> {
    const call = {
      method: "GET" as const,
      path: "/v1/status/stream",
      timeoutMs: this.#limits.connectTimeoutMs,
      silenceMs: streamSilenceMs,
      signal,
    };
    const end = await callLines(this.#options, call, (value) => {
      const parsed = v.safeParse(hostStatusSchema, value);
      if (parsed.success) onStatus(parsed.output);
      return parsed.success;
    });
    if (end.kind === "answer") return { kind: "invalid", message: `the status stream was answered with ${end.status}` };
    return end.kind === "ended" ? { kind: "ended" } : end;
  }

  /** Ends with a `done` or `refused` event passed to `onEvent`, or with a failure. */
  async promote(
    request: PromoteRequest,
    onEvent: (event: PromoteEvent) => void,
    signal: AbortSignal,
  ): Promise<StreamEnd> {
    return this.#order("/v1/promote", request, promoteEventSchema, onEvent, signal);
  }

  async demote(request: DemoteRequest, onEvent: (event: DemoteEvent) => void, signal: AbortSignal): Promise<StreamEnd> {
    return this.#order("/v1/demote", request, demoteEventSchema, onEvent, signal);
  }

  async checkpoint(signal?: AbortSignal): Promise<HostAnswer<CheckpointDone>> {
    return this.#json(checkpointDoneSchema, {
      method: "POST",
      path: "/v1/checkpoint",
      body: {},
      timeoutMs: this.#limits.checkpointTimeoutMs,
      signal,
    });
  }

  async rehearse(signal?: AbortSignal): Promise<HostAnswer<RehearsalDone>> {
    return this.#json(rehearsalDoneSchema, {
      method: "POST",
      path: "/v1/rehearse",
      body: {},
      timeoutMs: this.#limits.rehearsalTimeoutMs,
      signal,
    });
  }

  async drill(body: HostDrillRequest, signal?: AbortSignal): Promise<HostAnswer<HostDrillDone>> {
    return this.#json(hostDrillDoneSchema, {
      method: "POST",
      path: "/v1/drill",
      body,
      timeoutMs: this.#limits.connectTimeoutMs,
      signal,
    });
  }

  async restore(signal?: AbortSignal): Promise<HostAnswer<HostStatus>> {
    return this.#json(hostStatusSchema, {
      method: "POST",
      path: "/v1/restore",
      body: {},
      timeoutMs: this.#limits.orderTimeoutMs,
      signal,
    });
  }

  /** Tells the host that this gateway has removed it from its registry. */
  async removed(signal?: AbortSignal): Promise<HostAnswer<HostStatus>> {
    const body = { gateway: this.#gateway };
    return this.#json(hostStatusSchema, {
      method: "POST",
      path: "/v1/removed",
      body,
      timeoutMs: this.#limits.connectTimeoutMs,
      signal,
    });
  }

  async clearSuspects(signal?: AbortSignal): Promise<HostAnswer<HostStatus>> {
    return this.#json(hostStatusSchema, {
      method: "POST",
      path: "/v1/suspects/clear",
      body: {},
      timeoutMs: this.#limits.connectTimeoutMs,
      signal,
    });
  }

  async restorePoints(signal?: AbortSignal): Promise<HostAnswer<RestorePoints>> {
    return this.#json(restorePointsSchema, {
      method: "GET",
      path: "/v1/restore-points",
      timeoutMs: this.#limits.connectTimeoutMs,
      signal,
    });
  }

  async planRewind(body: RewindHostRequest, signal?: AbortSignal): Promise<HostAnswer<RewindPlan>> {
    const timeoutMs = this.#limits.checkpointTimeoutMs;
    return this.#json(rewindPlanSchema, { method: "POST", path: "/v1/rewind/plan", body, timeoutMs, signal });
  }

  async prepareRewind(body: RewindHostRequest, signal?: AbortSignal): Promise<HostAnswer<RewindPrepared>> {
    const timeoutMs = rewindTimeoutMs;
    return this.#json(rewindPreparedSchema, { method: "POST", path: "/v1/rewind/prepare", body, timeoutMs, signal });
  }

  async log(body: HostLogRequest, signal?: AbortSignal): Promise<HostAnswer<HostLog>> {
    const timeoutMs = (body.waitMs ?? 0) + this.#limits.connectTimeoutMs;
    return this.#json(hostLogSchema, { method: "POST", path: "/v1/log", body, timeoutMs, signal });
  }

  async databases(signal?: AbortSignal): Promise<HostAnswer<DatabaseList>> {
    return this.#json(databaseListSchema, {
      method: "GET",
      path: "/v1/databases",
      timeoutMs: this.#limits.connectTimeoutMs,
      signal,
    });
  }

  async changeDatabase(
    act: DatabaseAct,
    body: DatabaseChange,
    signal?: AbortSignal,
  ): Promise<HostAnswer<DatabaseList>> {
    return this.#json(databaseListSchema, {
      method: "POST",
      path: `/v1/databases/${act}`,
      body,
      timeoutMs: this.#limits.orderTimeoutMs,
      signal,
    });
  }

  async #json<S extends v.GenericSchema>(
    schema: S,
    call: Parameters<typeof callJson>[1],
  ): Promise<HostAnswer<v.InferOutput<S>>> {
    const answer = await callJson(this.#options, call);
    if (answer.kind !== "answer") return answer;
    if (answer.status === 200) {
      const parsed = v.safeParse(schema, answer.body);
      if (parsed.success) return { kind: "ok", value: parsed.output };
      return { kind: "invalid", message: `${call.path}: ${v.summarize(parsed.issues)}` };
    }
    return refusalOf(answer.status, answer.body, call.path);
  }

  async #order<E extends { readonly kind: string }>(
    path: string,
    body: unknown,
    schema: v.GenericSchema<unknown, E>,
    onEvent: (event: E | { readonly kind: "refused"; readonly refusal: Refusal }) => void,
    signal: AbortSignal,
  ): Promise<StreamEnd> {
    let last = "";
    const call = {
      method: "POST" as const,
      path,
      body,
      timeoutMs: this.#limits.orderTimeoutMs,
      silenceMs: this.#limits.orderTimeoutMs,
      signal,
    };
    const end = await callLines(this.#options, call, (value) => {
      const parsed = v.safeParse(schema, value);
      if (!parsed.success) return false;
      last = parsed.output.kind;
      onEvent(parsed.output);
      return true;
    });
    if (end.kind === "answer") {
      const refused = refusalOf(end.status, end.body, path);
      if (refused.kind !== "refused-by-host") return refused;
      onEvent({ kind: "refused", refusal: refused.refusal });
      return { kind: "ended" };
    }
    if (end.kind !== "ended") return end;
    if (last === "done" || last === "refused") return { kind: "ended" };
    return { kind: "reset", message: `${path} ended before it was done` };
  }
}

function refusalOf(
  status: number,
  body: unknown,
  path: string,
): { readonly kind: "refused-by-host"; readonly refusal: Refusal } | CallFailure {
  const parsed = status === 409 ? v.safeParse(refusalSchema, body) : undefined;
  if (parsed?.success === true) return { kind: "refused-by-host", refusal: parsed.output };
  const refused = v.safeParse(refusedSchema, body);
  const said = refused.success
    ? `${refused.output.error} (${refused.output.advice})`
    : JSON.stringify(body).slice(0, 200);
  return { kind: "invalid", message: `${path} was answered with ${status}: ${said}` };
}

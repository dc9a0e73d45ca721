/**
 * What happened to one request that waited for a primary or was resent, for the client's own trace: when each wait and
 * each repetition began and ended. Kept only for a request that brought `traceparent`, whose sender records the trace.
 */
import type { Clock } from "../../runtime/clock.ts";
import { fieldSet, TRACEPARENT } from "../message/known-fields.ts";
import { parseTraceParent, type TraceParent } from "../message/trace-parent.ts";
import type { Exchange } from "../upstream/exchange.ts";

/** `maintenance`: answered with the maintenance page, on purpose. */
export const requestEnds = ["ok", "unknown", "failed", "maintenance", "client-gone"] as const;
export type RequestEnd = (typeof requestEnds)[number];
export type StepKind = "hold" | "replay";

export interface TracedStep {
  readonly kind: StepKind;
  /** By the wall clock. */
  readonly startMs: number;
  readonly endMs: number;
  /** Of a replay: why it was safe (core/replay.ts). Undefined: a hold. */
  readonly why: string | undefined;
  /** How it ended: of a hold as in `HoldResult`, of a replay as in `ForwardOutcome`. */
  readonly result: string;
}

export interface TracedRequest {
  readonly traceId: string;
  readonly parentId: string;
  readonly requestId: string;
  readonly method: string;
  readonly end: RequestEnd;
  readonly replays: number;
  readonly steps: readonly TracedStep[];
}

/** A request that is resent to a closed port until its patience ends has many; the first ones are kept. */
export const stepsMax = 16;
const traceField = fieldSet(TRACEPARENT);

interface OpenStep {
  readonly kind: StepKind;
  readonly startMs: number;
  readonly why: string | undefined;
}

export class RequestTrace {
  readonly #parent: TraceParent;
  readonly #exchange: Exchange;
  readonly #clock: Clock;
  readonly #steps: TracedStep[] = [];
  readonly #open = new Map<StepKind, OpenStep>();

  /** Returns undefined for a request without a trace that its sender records. */
  static of(exchange: Exchange, clock: Clock): RequestTrace | undefined {
    const { headers } = exchange.request;
    const given = headers.mayHave(traceField) ? headers.getAll("traceparent") : [];
    const parent = given.length === 1 ? parseTraceParent(given[0] ?? "") : undefined;
    return parent?.isSampled === true ? new RequestTrace(exchange, clock, parent) : undefined;
  }

  private constructor(exchange: Exchange, clock: Clock, parent: TraceParent) {
    this.#exchange = exchange;
    this.#clock = clock;
    this.#parent = parent;
  }

  /** `startMs`: by the wall clock; default: now. */
  begin(kind: StepKind, { why, startMs = this.#clock.wallTime() }: { why?: string; startMs?: number } = {}): void {
    this.#open.set(kind, { kind, startMs, why });
  }

  /** Does nothing if no such step is open. */
  complete(kind: StepKind, result: string): void {
    const step = this.#open.get(kind);
    if (step === undefined) return;
    this.#open.delete(kind);
    if (this.#steps.length < stepsMax)
      this.#steps.push({ ...step, endMs: Math.max(step.startMs, this.#clock.wallTime()), result });
  }

  /** The request is finished. Returns undefined if nothing happened to it. */
  told(end: RequestEnd, replays: number): TracedRequest | undefined {
    for (const kind of [...this.#open.keys()]) this.complete(kind, end);
    if (this.#steps.length === 0) return undefined;
    const { traceId, parentId } = this.#parent;
    const { requestId, request } = this.#exchange;
    return { traceId, parentId, requestId, method: request.method, end, replays, steps: this.#steps };
  }
}

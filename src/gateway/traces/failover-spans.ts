/**
 * A failover as a trace: one span for the whole, from the first phase to the last, one for each phase below it, and one
 * for the gap that clients noticed, once that is known. Names and attributes are an interface (docs/OPERATIONS.md).
 */
import type { PhaseSpan } from "../../core/failover/state.ts";
import type { FailoverRow } from "../state/rows.ts";
import { type Attributes, failoverSpanId, failoverTraceId, type Span, type SpanContext } from "./span.ts";

export type TracedFailover = Pick<
  FailoverRow,
  | "id"
  | "service"
  | "gateway"
  | "kind"
  | "outcome"
  | "fromHost"
  | "toHost"
  | "epochFrom"
  | "epochTo"
  | "attempts"
  | "decidedAtMs"
  | "timeline"
  | "cause"
  | "predictedMs"
  | "gapMs"
  | "gapStartMs"
>;

/** The span of a failover as a whole. */
export const failoverContext = (id: string): SpanContext => ({
  traceId: failoverTraceId(id),
  spanId: failoverSpanId(id, "failover"),
});

export function failoverSpans(failover: TracedFailover): readonly Span[] {
  const phases = timelineOf(failover);
  const starts = phases.map(({ startMs }) => startMs);
  const ends = phases.map(({ startMs, ms }) => startMs + ms);
  const startMs = failover.decidedAtMs + Math.min(0, ...starts);
  const endMs = failover.decidedAtMs + Math.max(0, ...ends);
  const { outcome, cause } = failover;
  const whole: Span = {
    ...{ ...failoverContext(failover.id), parentSpanId: undefined, links: [] },
    ...{
      name: ["switchover", "rewind"].includes(failover.kind) ? "stead.switchover" : "stead.failover",
      startMs,
      endMs,
    },
    attributes: {
      ...commonOf(failover),
      "stead.failover.kind": failover.kind,
      "stead.failover.outcome": outcome,
      "stead.failover.attempts": failover.attempts,
      "stead.failover.cause": cause ?? undefined,
      "stead.failover.predicted_ms": failover.predictedMs ?? undefined,
      "stead.host.from": failover.fromHost ?? undefined,
      "stead.host.to": failover.toHost ?? undefined,
      "stead.epoch.from": failover.epochFrom,
      "stead.epoch.to": failover.epochTo ?? undefined,
    },
    error: outcome === "done" ? undefined : `${outcome}${cause === null || cause === undefined ? "" : `: ${cause}`}`,
  };
  return [whole, ...phases.map((phase, index) => phaseSpan(failover, phase, index)), ...gapSpans(failover)];
}

/** None while the gap is not known. */
export function gapSpans(failover: TracedFailover): readonly Span[] {
  const { gapMs, gapStartMs } = failover;
  if (typeof gapMs !== "number" || typeof gapStartMs !== "number") return [];
  return [below(failover, "gap", { startMs: gapStartMs, ms: gapMs }, "gap", commonOf(failover))];
}

/** A phase may come twice, for example `retry`. */
function phaseSpan(failover: TracedFailover, { phase, startMs, ms }: PhaseSpan, index: number): Span {
  const name = phase === "catchUp" ? "catch_up" : phase;
  return below(failover, `${index}.${phase}`, { startMs, ms }, name, { ...commonOf(failover), "stead.phase": name });
}

function below(
  { id, decidedAtMs }: TracedFailover,
  part: string,
  { startMs, ms }: { readonly startMs: number; readonly ms: number },
  name: string,
  attributes: Attributes,
): Span {
  const { traceId, spanId } = failoverContext(id);
  const start = decidedAtMs + startMs;
  return {
    ...{ traceId, spanId: failoverSpanId(id, part), parentSpanId: spanId, name: `stead.failover.${name}` },
    ...{ startMs: start, endMs: start + ms, attributes, error: undefined, links: [] },
  };
}

const commonOf = ({ id, service, gateway }: TracedFailover): Attributes => ({
  "stead.service": service,
  "stead.gateway": gateway,
  "stead.failover.id": id,
});

/** Empty for a failover that an earlier version recorded. */
const timelineOf = ({ timeline }: TracedFailover): readonly PhaseSpan[] =>
  timeline === null || timeline === undefined ? [] : (JSON.parse(timeline) as PhaseSpan[]);

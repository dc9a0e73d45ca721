/**
 * A failover's phases on one time axis, whose zero is the decision.
 *
 * The length is bounded, since a service without a candidate alternates between waiting and failed attempts for as long
 * as that lasts: adjoining spans of one phase are one, and beyond the bound the oldest two of one phase become one.
 */
import type { PhaseSpan } from "./state.ts";

/** More than there are phases, so that two of one phase exist whenever it is reached. */
export const spansMax = 24;

export function addSpan(timeline: readonly PhaseSpan[], span: PhaseSpan): readonly PhaseSpan[] {
  const last = timeline.at(-1);
  if (last?.phase === span.phase) return [...timeline.slice(0, -1), joined(last, span)];
  return [...(timeline.length < spansMax ? timeline : withoutOneRepetition(timeline)), span];
}

function withoutOneRepetition(timeline: readonly PhaseSpan[]): readonly PhaseSpan[] {
  const again = timeline.findIndex(({ phase }, index) => firstOf(timeline, phase) < index);
  const repeated = timeline[again];
  if (repeated === undefined) return timeline;
  const first = firstOf(timeline, repeated.phase);
  return timeline.flatMap((span, index) =>
    index === again ? [] : index === first ? [joined(span, repeated)] : [span],
  );
}

const firstOf = (timeline: readonly PhaseSpan[], phase: string): number =>
  timeline.findIndex((span) => span.phase === phase);

const joined = (first: PhaseSpan, later: PhaseSpan): PhaseSpan => ({
  ...first,
  ms: Math.max(first.ms, later.startMs + later.ms - first.startMs),
});

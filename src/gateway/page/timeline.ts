/**
 * Phases of failovers on one time axis, in milliseconds from the decision (docs/GATEWAY-API.md, "Phases of a
 * failover"): `detect` lies before it.
 */
import type { FailoverEntry } from "../../control/failover-api.ts";

export interface Bar {
  readonly phase: string;
  readonly startMs: number;
  readonly ms: number;
}

export interface Axis {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Of earlier versions, which tell only how long each took: one after the other, in the order in which they happen. */
const phaseOrder = [
  "agree",
  "demote",
  "wait",
  "retry",
  "claim",
  "catchUp",
  "start",
  "lease",
  "route",
] as const satisfies readonly (keyof FailoverEntry["phases"])[];

/** Sorts phases as they happen; those that are no part of the order (a prediction's rest) come last. */
export function inPhaseOrder(phases: readonly string[]): readonly string[] {
  const order: readonly string[] = ["detect", ...phaseOrder];
  const placeOf = (phase: string): number => (order.includes(phase) ? order.indexOf(phase) : order.length);
  return phases.toSorted((a, b) => placeOf(a) - placeOf(b));
}

/** Returns the phases that happened, without the clients' gap. */
export function barsOf({ timeline, phases }: Pick<FailoverEntry, "timeline" | "phases">): readonly Bar[] {
  if (timeline.length > 0) return timeline;
  const detect = phases.detect === null ? [] : [{ phase: "detect", startMs: -phases.detect, ms: phases.detect }];
  let at = 0;
  const others = phaseOrder.flatMap((phase) => {
    const ms = phases[phase];
    if (ms === null) return [];
    const bar = { phase, startMs: at, ms };
    at += ms;
    return [bar];
  });
  return [...detect, ...others];
}

/** Returns the clients' gap. Earlier versions do not tell when it began: then it is shown from the first phase on. */
export function gapOf(entry: FailoverEntry): Bar | undefined {
  if (entry.gapMs === null) return undefined;
  const startMs = entry.gapStartMs ?? Math.min(0, ...barsOf(entry).map((bar) => bar.startMs));
  return { phase: "gap", startMs, ms: entry.gapMs };
}

/** Returns the axis on which all of them fit; at least a millisecond. */
export function axisOf(entries: readonly FailoverEntry[]): Axis {
  const bars = entries.flatMap((entry) => [...barsOf(entry), ...[gapOf(entry)].filter((gap) => gap !== undefined)]);
  const fromMs = Math.min(0, ...bars.map(({ startMs }) => startMs));
  const toMs = Math.max(fromMs + 1, ...bars.map(({ startMs, ms }) => startMs + ms));
  return { fromMs, toMs };
}

/** From the last moment when the primary was known to be healthy until requests went to the new one. */
export function totalMsOf(entry: FailoverEntry): number {
  const bars = barsOf(entry);
  if (bars.length === 0) return 0;
  return Math.max(...bars.map(({ startMs, ms }) => startMs + ms)) - Math.min(...bars.map(({ startMs }) => startMs));
}

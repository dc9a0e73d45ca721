/**
 * How long clients would wait if the primary ended now: the expected gap by phase, from what earlier failovers of this
 * service took, the candidate's lag and the configured times.
 *
 * Each phase is the typical value of the newest failovers that say something about it: detection, stepping down and the
 * lease depend on how the primary ends, the start of the application on the host if that was measured there. Without
 * any, the configured times count, or for the start the candidate's last rehearsal, or the last start on the primary.
 * `rest` is what earlier gaps had beyond their phases: the way to the client and back, and the time between a client's
 * requests. That is the same after a kill and a switchover, so each counts for the other while there are few. After a
 * hang it is negative where clients were served in some phases, by a primary that gateways could not hear.
 *
 * Nothing decides on a prediction.
 */
import type { FailoverKind } from "./loss.ts";
import type { PhaseDurations, PhaseName } from "./state.ts";

/** How the primary ends. `hang`: it is silent, also behind a partition. */
export type LossKind = "kill" | "hang" | "switchover";
export const lossKinds: readonly LossKind[] = ["kill", "hang", "switchover"];

export interface MeasuredFailover {
  readonly kind: string;
  readonly to: string | undefined;
  readonly phases: PhaseDurations;
  readonly gapMs: number | undefined;
}

export interface PredictionBasis {
  /** Completed ones, oldest first. */
  readonly measured: readonly MeasuredFailover[];
  readonly candidate: string;
  /** Log positions that the candidate is behind. */
  readonly lag: number;
  /** Time until the application was ready in the candidate's last rehearsal. */
  readonly rehearsedMs: number | undefined;
  /** Time of the application's last start on the primary until it was ready. */
  readonly primaryStartMs: number | undefined;
  readonly probe: { readonly intervalMs: number; readonly timeoutMs: number; readonly fall: number };
  readonly leaseMs: number;
}

export type PredictionSource = "measured" | "measured elsewhere" | "rehearsed" | "configured" | "assumed";

/** `startMs`: after the decision; negative before it. `failovers`: the number that were measured. */
export interface PredictedPhase {
  readonly phase: PhaseName | "rest";
  readonly startMs: number;
  readonly ms: number;
  readonly source: PredictionSource;
  readonly failovers: number;
}

export interface Prediction {
  readonly kind: LossKind;
  readonly host: string;
  readonly gapMs: number;
  readonly phases: readonly PredictedPhase[];
}

/** Newest failovers that count. */
const samplesMax = 10;
/** Fewer say too little alone: one of them differs from the next by half. */
const enoughSamples = 3;
/** Assumed where nothing is measured or configured. */
const refusedTwiceMs = 25;
const putMs = 20;
const startMs = 1_000;
/** Requests of a service are mostly short; the record that ends the term is put after them. */
const drainMs = 10;
const positionMs = 1;
/** Of the lease: the usual margin for clocks, and the mean age of a primary's last record. */
const driftShare = 0.1;
const recordAgeShare = 0.25;

export function predict(kind: LossKind, basis: PredictionBasis): Prediction {
  const parts = [
    ...(kind === "switchover" ? [demote(basis)] : [detect(kind, basis), agree(kind, basis)]),
    claim(basis),
    catchUp(basis),
    start(basis),
    lease(kind, basis),
    route(basis),
    rest(kind, basis),
  ];
  let at = parts.reduce((sum, { phase, ms }) => (phase === "detect" ? sum - ms : sum), 0);
  const phases = parts.map((part) => {
    const placed = { ...part, startMs: at };
    at += part.ms;
    return placed;
  });
  return {
    kind,
    host: basis.candidate,
    gapMs: Math.max(
      0,
      phases.reduce((sum, { ms }) => sum + ms, 0),
    ),
    phases,
  };
}

/** Returns the kind of prediction for a failover of this kind; undefined: none was made for it. */
export const lossKindOf = (kind: FailoverKind): LossKind | undefined => lossKinds.find((known) => known === kind);

type Part = Omit<PredictedPhase, "startMs">;
type Fallback = readonly [ms: number, source: PredictionSource];

function partOf(phase: PhaseName, samples: readonly MeasuredFailover[], [ms, source]: Fallback): Part {
  const values = newest(samples.flatMap(({ phases }) => phases[phase] ?? []));
  return values.length === 0
    ? { phase, ms, source, failovers: 0 }
    : { phase, ms: typical(values), source: "measured", failovers: values.length };
}

const of = (kind: LossKind, { measured }: PredictionBasis): readonly MeasuredFailover[] =>
  measured.filter((each) => each.kind === kind);

function detect(kind: LossKind, basis: PredictionBasis): Part {
  const { intervalMs, timeoutMs, fall } = basis.probe;
  const fallback: Fallback =
    kind === "hang" ? [timeoutMs + intervalMs * (fall - 0.5), "configured"] : [refusedTwiceMs, "assumed"];
  return partOf("detect", of(kind, basis), fallback);
}

const agree = (kind: LossKind, basis: PredictionBasis): Part => partOf("agree", of(kind, basis), [0, "assumed"]);
const demote = (basis: PredictionBasis): Part =>
  partOf("demote", of("switchover", basis), [drainMs + putMs, "assumed"]);
const claim = ({ measured }: PredictionBasis): Part => partOf("claim", measured, [putMs, "assumed"]);
const route = ({ measured }: PredictionBasis): Part => partOf("route", measured, [1, "assumed"]);

function catchUp({ measured, lag }: PredictionBasis): Part {
  const part = partOf("catchUp", measured, [putMs, "assumed"]);
  return lag === 0 ? part : { ...part, ms: part.ms + lag * positionMs, source: "assumed" };
}

function start({ measured, candidate, rehearsedMs, primaryStartMs }: PredictionBasis): Part {
  const here = partOf(
    "start",
    measured.filter(({ to }) => to === candidate),
    [0, "assumed"],
  );
  if (here.failovers > 0) return here;
  if (rehearsedMs !== undefined) return { phase: "start", ms: rehearsedMs, source: "rehearsed", failovers: 0 };
  const elsewhere = partOf("start", measured, [startMs, "assumed"]);
  if (elsewhere.failovers > 0) return { ...elsewhere, source: "measured elsewhere" };
  return primaryStartMs === undefined ? elsewhere : { ...elsewhere, ms: primaryStartMs, source: "measured elsewhere" };
}

/**
 * A primary that is proven gone, or has stepped down, leaves no lease to wait for; a silent one does. It has run since
 * the last record, which on average is a quarter of a lease older than the silence; what the candidate does meanwhile
 * is taken off too.
 */
function lease(kind: LossKind, basis: PredictionBasis): Part {
  const meanwhile = [detect(kind, basis), agree(kind, basis), claim(basis)].reduce((sum, { ms }) => sum + ms, 0);
  const restMs = basis.leaseMs * (1 + driftShare - recordAgeShare) - meanwhile;
  return partOf("lease", of(kind, basis), kind === "hang" ? [Math.max(0, restMs), "configured"] : [0, "assumed"]);
}

function rest(kind: LossKind, basis: PredictionBasis): Part {
  const beyondOf = (kinds: readonly string[]): readonly number[] =>
    basis.measured.flatMap(({ kind: of, gapMs, phases }) =>
      kinds.includes(of) && gapMs !== undefined ? [gapMs - durationOf(phases)] : [],
    );
  const beyond = newest(enough(beyondOf([kind]), () => beyondOf(alikeAfterwards(kind))));
  return beyond.length === 0
    ? { phase: "rest", ms: 0, source: "assumed", failovers: 0 }
    : { phase: "rest", ms: typical(beyond), source: "measured", failovers: beyond.length };
}

/** Kinds of losses after which clients wait alike once the new primary serves. */
export const alikeAfterwards = (kind: LossKind): readonly LossKind[] =>
  kind === "hang" ? ["hang"] : ["kill", "switchover"];

/** Values of the same kind if there are enough, otherwise those of similar kinds. */
export const enough = (same: readonly number[], similar: () => readonly number[]): readonly number[] =>
  same.length >= enoughSamples ? same : similar();

/** Returns how long all phases took together. */
export const durationOf = (phases: PhaseDurations): number => Object.values(phases).reduce((sum, ms) => sum + ms, 0);

const newest = (values: readonly number[]): readonly number[] => values.slice(-samplesMax);

/** The median, of an odd number: one of the values, and of two the newer, as the first of a kind often takes longer. */
export const typical = (values: readonly number[]): number =>
  median(values.length % 2 === 0 ? values.slice(1) : values);

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  const upper = sorted[Math.floor(middle)] ?? 0;
  return Number.isInteger(middle) ? (upper + (sorted[middle - 1] ?? upper)) / 2 : upper;
}

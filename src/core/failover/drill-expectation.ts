/**
 * How long clients will wait in a drill, by phase: what a failover of that kind is expected to take (prediction.ts),
 * with what drills of this kind have measured.
 *
 * - A partition cuts a host off from the gateways and the vault, but not from clients: they are served until its lease
 *   ends. Without earlier ones, three quarters of a lease are taken off: on average its last record is a quarter old.
 * - A hang of the application causes no failover where the host restarts it: the clients wait for the patience of its
 *   health check and the start, or until it continues.
 */
import type { DrillKind } from "./drill.ts";
import {
  alikeAfterwards,
  durationOf,
  enough,
  type LossKind,
  type PredictedPhase,
  type Prediction,
  predict,
  type PredictionBasis,
  typical,
} from "./prediction.ts";
import type { PhaseDurations } from "./state.ts";

/** `phases`: of the failover; undefined: the same host continued. */
export interface MeasuredDrill {
  readonly kind: string;
  readonly rtoMs: number;
  readonly phases: PhaseDurations | undefined;
}

export interface DrillBasis extends PredictionBasis {
  /** Those whose clients were measured, oldest first. */
  readonly drills: readonly MeasuredDrill[];
  /** How long a hang or a partition lasts. */
  readonly forMs: number;
  /** Of the primary's application; undefined: unknown, or none. */
  readonly patienceMs: number | undefined;
}

export type DrillExpectation = Omit<Prediction, "kind">;

const lossOf: Readonly<Record<DrillKind, LossKind>> = {
  kill: "kill",
  hang: "hang",
  partition: "hang",
  switchover: "switchover",
};

/** Share of the lease during which a primary that is cut off still serves. */
const servedLeaseShare = 0.75;
/** A check is made at least so often in a patience. */
const checksPerPatience = 4;

export function expectDrill(kind: DrillKind, basis: DrillBasis): DrillExpectation {
  const earlier = basis.drills.filter((drill) => drill.kind === kind);
  if (kind === "hang" && earlier.every(({ phases }) => phases === undefined)) return continued(earlier, basis);
  const prediction = predict(lossOf[kind], basis);
  const beyondOf = (kinds: readonly string[]): readonly number[] =>
    basis.drills.flatMap(({ kind: of, rtoMs, phases }) =>
      kinds.includes(of) && phases !== undefined ? [rtoMs - durationOf(phases)] : [],
    );
  const beyond = enough(beyondOf([kind]), () =>
    beyondOf(kind === "partition" || kind === "hang" ? [kind] : alikeAfterwards(kind)),
  );
  const known = beyond.length > 0 ? { ms: typical(beyond), source: "measured" as const } : undefined;
  const assumed =
    kind === "partition" ? { ms: -servedLeaseShare * basis.leaseMs, source: "configured" as const } : undefined;
  const rest = known ?? assumed;
  return {
    ...asExpected(
      prediction.phases.map((phase) =>
        phase.phase === "rest" && rest !== undefined ? { ...phase, ...rest, failovers: beyond.length } : phase,
      ),
    ),
    host: prediction.host,
  };
}

/** The application hangs, and its host restarts it. */
function continued(earlier: readonly MeasuredDrill[], basis: DrillBasis): DrillExpectation {
  const { patienceMs, forMs, candidate } = basis;
  const start = predict("kill", basis).phases.find(({ phase }) => phase === "start");
  const isRestarted = patienceMs !== undefined && patienceMs < forMs;
  const startMs = isRestarted ? (start?.ms ?? 0) : 0;
  const whole = earlier.length > 0 ? typical(earlier.map(({ rtoMs }) => rtoMs)) : undefined;
  const noticedMs = isRestarted ? Math.min(forMs, patienceMs * (1 + 1 / checksPerPatience)) : forMs;
  const detect: PredictedPhase = {
    ...{ phase: "detect", startMs: 0, failovers: earlier.length },
    ...(whole === undefined
      ? { ms: noticedMs, source: "configured" }
      : { ms: Math.max(0, whole - startMs), source: "measured" }),
  };
  const phases = isRestarted && start !== undefined ? [detect, { ...start, startMs: detect.ms }] : [detect];
  return { ...asExpected(phases), host: candidate };
}

const asExpected = (phases: readonly PredictedPhase[]): Pick<DrillExpectation, "gapMs" | "phases"> => ({
  gapMs: Math.max(
    0,
    phases.reduce((sum, { ms }) => sum + ms, 0),
  ),
  phases,
});

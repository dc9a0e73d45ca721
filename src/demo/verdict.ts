/** The demo's result and verdict. `stead demo --json` prints the object as its last line. */
import type { PhaseTimes } from "../../harness/gateway-view.ts";
import type { History, HistoryResult } from "../../harness/history.ts";
import type { LoadCounts } from "../../harness/load.ts";
import type { EventKind } from "./plan.ts";

/** The phases of the JSON object. */
const reportedPhases = ["detect", "agree", "claim", "lease", "catchup", "start", "route"] as const;
type ReportedPhase = (typeof reportedPhases)[number];

export interface EventResult {
  readonly kind: EventKind;
  readonly phases: PhaseTimes;
  /** Measured by the clients. */
  readonly gapMs: number;
  /** When the gap began, counted from the event; below 0 when the last success was before it. */
  readonly gapAfterMs: number;
}

export interface VerdictInput {
  readonly events: readonly EventResult[];
  readonly counts: LoadCounts;
  /** Counted by the gateway: requests that waited, and requests that were sent a second time. */
  readonly held: number;
  readonly replayed: number;
  readonly result: HistoryResult;
  /** Successful answers of a host that had been replaced. */
  readonly zombieAcknowledged: number;
  readonly history: Pick<History, "violations" | "count">;
  /** Time until all gateways had the same rows; null: never. Left out: there is one gateway. */
  readonly gatewaysConvergeMs?: number | null;
}

type PhaseField = `${ReportedPhase}_ms`;

export interface VerdictObject {
  readonly failovers: readonly (Readonly<Record<PhaseField | "gap_ms", number>> & { readonly kind: EventKind })[];
  readonly requests: Readonly<Record<"ok" | "held" | "replayed" | "unknown" | "failed", number>>;
  /** Why writes are unknown, and how many of each. */
  readonly unknown_reasons: Readonly<Record<string, number>>;
  readonly writes: Readonly<Record<"acknowledged" | "missing" | "phantom", number>>;
  readonly zombie_acknowledged: number;
  /**
   * The application's own invariant holds, and so does every other check of the history: nothing duplicated, nothing
   * stale, nothing shown and then taken back, nothing that no client sent.
   */
  readonly invariant_ok: boolean;
  /** Time until all gateways had the same rows; null: never. 0 with one gateway. */
  readonly gateways_converge_ms: number | null;
}

const tenth = (ms: number): number => Math.round(ms * 10) / 10;

export function verdictObject(input: VerdictInput): VerdictObject {
  const failovers = input.events.map(({ kind, phases, gapMs }) => {
    const times = Object.fromEntries(reportedPhases.map((name) => [`${name}_ms`, tenth(phases[name])])) as Record<
      PhaseField,
      number
    >;
    return { kind, ...times, gap_ms: tenth(gapMs) };
  });
  const { ok, unknown, failed } = input.counts;
  return {
    failovers,
    requests: { ok, held: input.held, replayed: input.replayed, unknown, failed },
    unknown_reasons: input.counts.unknownReasons,
    writes: { acknowledged: input.result.acknowledged, missing: input.result.missing, phantom: input.result.phantom },
    zombie_acknowledged: input.zombieAcknowledged + input.result.forbidden,
    invariant_ok: input.history.violations.every(({ kind }) => kind === "missing"),
    gateways_converge_ms: input.gatewaysConvergeMs === null ? null : tenth(input.gatewaysConvergeMs ?? 0),
  };
}

export function isGood(verdict: VerdictObject): boolean {
  const { writes, requests, gateways_converge_ms } = verdict;
  return (
    writes.missing === 0 &&
    verdict.zombie_acknowledged === 0 &&
    requests.failed === 0 &&
    verdict.invariant_ok &&
    gateways_converge_ms !== null
  );
}

/** Formats the verdict for a terminal. */
export function verdictLines(verdict: VerdictObject, gateways = 1): string[] {
  const { requests, writes } = verdict;
  const mark = (good: boolean): string => (good ? "✓" : "✗");
  return [
    `${mark(writes.missing === 0)} ${writes.acknowledged} writes acknowledged, ${writes.missing} missing`,
    `${mark(verdict.zombie_acknowledged === 0)} ${verdict.zombie_acknowledged} answers from a primary that had been replaced`,
    `${mark(requests.failed === 0)} ${requests.ok} requests answered, ${requests.held} of them held, ${requests.replayed} resent, ${requests.failed} failed`,
    `${mark(verdict.invariant_ok)} ${verdict.invariant_ok ? "nothing stale, nothing twice, nothing taken back" : "the history is inconsistent (see above)"}`,
    ...(gateways === 1 ? [] : [convergenceLine(verdict.gateways_converge_ms, gateways)]),
    `  ${requests.unknown} answered "unknown"${gateways === 1 ? "" : ", or cut off by a gateway that was killed"} (in flight at a kill, not idempotent); ${writes.phantom} of them had taken effect`,
    ...Object.entries(verdict.unknown_reasons).map(([reason, count]) => `    ${count}: ${reason}`),
  ];
}

function convergenceLine(ms: number | null, gateways: number): string {
  if (ms === null) return `✗ the ${gateways} gateways do not have the same rows (see above)`;
  return `✓ all ${gateways} gateways have the same rows, ${(ms / 1000).toFixed(1)} s after one came back with an empty database`;
}

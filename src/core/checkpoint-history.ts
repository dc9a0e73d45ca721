/**
 * Which checkpoints older than the window are kept, by rules such as "hourly for 7 days": each of them is one moment
 * that can be restored, without the log after it.
 *
 * Of each period the first checkpoint counts, by position: one that came first stays the first whatever follows, so a
 * choice never changes while its rule reaches back that far, and each day's checkpoint is also one of its hours'.
 * Wall-clock times come from different hosts and may go backwards: a period then has another first one, and no fewer
 * periods have one.
 */
export interface HistoryRule {
  /** One checkpoint of each such period, beginning at multiples of it since 1970. */
  readonly everyMs: number;
  /** For so long. */
  readonly forMs: number;
}

interface Point {
  readonly position: number;
  /** Wall-clock time of the state, milliseconds since 1970. */
  readonly wallTimeMs: number;
}

/** How many checkpoints rules keep at most. */
export const historyCount = (rules: readonly HistoryRule[]): number =>
  rules.reduce((sum, { everyMs, forMs }) => sum + Math.ceil(forMs / everyMs), 0);

/** Returns those that a rule keeps, ascending. `points`: ascending by position. */
export function thinOut<P extends Point>(points: readonly P[], rules: readonly HistoryRule[], nowMs: number): P[] {
  const kept = new Set<P>();
  for (const { everyMs, forMs } of rules) {
    const seen = new Set<number>();
    for (const point of points) {
      const period = Math.floor(point.wallTimeMs / everyMs);
      // By its period, so that the first of it stays until all of it is too old.
      if ((period + 1) * everyMs <= nowMs - forMs || seen.has(period)) continue;
      seen.add(period);
      kept.add(point);
    }
  }
  return points.filter((point) => kept.has(point));
}

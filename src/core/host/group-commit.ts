/**
 * Whether a flush waits a moment so that more commits leave with it. Without a wait half of the writers miss each
 * flush: those whose answers a flush releases send their next commits just after the following one began, and the
 * writers fall into two groups that take turns. Where a put takes long (a bucket, a distant file system) that halves
 * the throughput, which is the number of writers in each flush by the time of a put. Where a put is fast, every flush
 * costs CPU time that the application on the same machine does not have. A flush that waits for the group which the
 * last one released has all of them.
 *
 * It waits up to the time of a flush: with puts of 10 ms and 16 clients, a quarter of it was over before the last of
 * them came back. On a disk with flushes of 1.5 ms, the wait made 1.7 times the writes with 2 clients, 1.1 with 4 and
 * 8, and 1.2 with 16, at two thirds of the CPU time for each (`bun run bench:gate`); a single client never waits.
 *
 * The wait begins with the end of the last flush: what arrives later than the longest wait after it, alone, never
 * waits. It ends early when as many wait as were released and left waiting then. Waits that end without them are given
 * up for longer and longer runs of flushes: writers that do not come back at once gain nothing by them. PostgreSQL's
 * `commit_delay` and `commit_siblings` are the same idea with a fixed time and count.
 */

export interface GroupCommit {
  /** Of a flush, from its first read to the end of its last put, milliseconds; smoothed. */
  readonly flushMs: number;
  /** Responses that the last flush released, and those that waited for the next one at its end. */
  readonly group: number;
  /** Monotonic end of the last flush. */
  readonly endedAtMs: number;
  /** Waits without success in a row, and the number of flushes that do not wait because of them. */
  readonly misses: number;
  readonly skips: number;
}

/** Faster flushes are not waited for: a timer may take a millisecond. */
const flushMsMin = 0.5;
/** The longest wait, however long a flush takes. */
const waitMsMax = 25;
/** Weight of the last flush in `flushMs`. */
const smoothing = 0.2;
const missesMax = 6;

export const noGroup: GroupCommit = { flushMs: 0, group: 0, endedAtMs: 0, misses: 0, skips: 0 };

/** After a flush. */
export function flushEnded(
  state: GroupCommit,
  ended: { readonly nowMs: number; readonly tookMs: number; readonly released: number; readonly waiting: number },
): GroupCommit {
  const { nowMs, tookMs, released, waiting } = ended;
  return {
    ...state,
    flushMs: state.flushMs === 0 ? tookMs : state.flushMs + smoothing * (tookMs - state.flushMs),
    group: released + waiting,
    endedAtMs: nowMs,
  };
}

/** Milliseconds for which a flush for this many waiting responses is put off; at most 0: it begins now. */
export function waitForGroupMs(state: GroupCommit, nowMs: number, waiting: number): number {
  if (state.flushMs < flushMsMin || state.skips > 0 || waiting >= state.group) return 0;
  return state.endedAtMs + Math.min(waitMsMax, state.flushMs) - nowMs;
}

/** When a flush begins; `hasWaited`: it was put off. */
export function flushBegins(state: GroupCommit, waiting: number, hasWaited: boolean): GroupCommit {
  if (state.skips > 0) return { ...state, skips: state.skips - 1 };
  if (!hasWaited) return state;
  if (waiting >= state.group) return { ...state, misses: 0 };
  const misses = Math.min(missesMax, state.misses + 1);
  return { ...state, misses, skips: 2 ** misses - 1 };
}

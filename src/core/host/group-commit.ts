/**
 * Whether a flush waits a moment so that more commits leave with it. Where a put takes long (a bucket, a distant file
 * system) throughput is the number of writers in each flush by the time of a put, and without a wait half of them miss
 * each one: those whose answers a flush releases send their next commits just after the following flush began, and the
 * writers fall into two groups that take turns. A flush that waits for the group which the last one released has all
 * of them. It waits longer than it seems to need, up to three fifths of a put: with puts of 10 ms and 16 clients, a
 * quarter was over before the last of them came back (734 writes a second, and 939 with three fifths).
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

/** Faster flushes are not waited for: a timer's resolution is a millisecond. */
const flushMsMin = 4;
/** The longest wait, as a share of a flush, and however long one took. */
const waitShare = 0.6;
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
  return state.endedAtMs + Math.min(waitMsMax, waitShare * state.flushMs) - nowMs;
}

/** When a flush begins; `hasWaited`: it was put off. */
export function flushBegins(state: GroupCommit, waiting: number, hasWaited: boolean): GroupCommit {
  if (state.skips > 0) return { ...state, skips: state.skips - 1 };
  if (!hasWaited) return state;
  if (waiting >= state.group) return { ...state, misses: 0 };
  const misses = Math.min(missesMax, state.misses + 1);
  return { ...state, misses, skips: 2 ** misses - 1 };
}

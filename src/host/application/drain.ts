/**
 * The planned end of a front's requests in flight: which responses are waited for, and which are ended.
 *
 * Waited for, up to `drainMs`, are requests that have an end: those without a response yet, responses of known length,
 * and responses of unknown length as long as parts of them arrive. Event streams and tunnels have no natural end, and
 * an idle response of unknown length shows none: they are cut, so that their clients reconnect and are held until the
 * next primary serves. Idle ones are cut at once if nothing else is waited for, since waiting would not help them and
 * would delay all others; the remaining ones get `streamsMs` to come to a pause.
 */
import type { Clock } from "../../runtime/clock.ts";
import { type OpenAttempt, openAttempts } from "../../http/upstream/answer-progress.ts";
import type { CancellationGroup } from "../../runtime/cancellation-group.ts";

export interface DrainTimes {
  readonly drainMs: number;
  readonly streamsMs: number;
}

/** A stream without data for this long is idle. */
const quietMs = 50;
const why = "this host is stepping down";

/** What an attempt had released at its last progress. */
interface Pace {
  released: number;
  since: number;
}

/**
 * Resolves when nothing is in flight, or the time is over. `active`: requests in flight of any kind. `idle` is aborted
 * when there are none.
 */
export async function drainRequests(
  end: CancellationGroup,
  active: () => number,
  times: DrainTimes,
  clock: Clock,
  idle: AbortSignal,
): Promise<void> {
  const begun = clock.now();
  const paces = new Map<OpenAttempt, Pace>();
  while (active() > 0) {
    const now = clock.now();
    if (now - begun >= times.drainMs) return;
    const attempts = openAttempts(end);
    const quietFor = (attempt: OpenAttempt): number => quietMsOf(paces, attempt, now);
    const streams = attempts.filter(({ answer }) => answer === "stream");
    const isNothingElse = active() <= streams.length;
    const isOver = now - begun >= times.streamsMs;
    for (const stream of streams)
      if (quietFor(stream) >= (isNothingElse ? quietMs : Infinity) || isOver) stream.onAbort(why);
    for (const open of attempts)
      if (open.answer === "open" && quietFor(open) >= Math.max(quietMs, times.streamsMs)) open.onAbort(why);
    // Nothing is left.
    if (active() > 0) await clock.sleep(Math.min(quietMs, begun + times.drainMs - now), idle).catch(() => undefined);
  }
}

function quietMsOf(paces: Map<OpenAttempt, Pace>, attempt: OpenAttempt, now: number): number {
  const pace = paces.get(attempt);
  if (pace !== undefined && pace.released === attempt.released) return now - pace.since;
  paces.set(attempt, { released: attempt.released, since: now });
  return 0;
}

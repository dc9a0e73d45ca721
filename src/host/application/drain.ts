/**
 * The planned end of what a front has in flight: which answers are waited for, and which get their end.
 *
 * Waited for, up to `drainMs`, is what has an end: requests without an answer yet, answers of a known length, and those
 * whose length nobody has said as long as something of them comes. Event streams and tunnels have no end of their own,
 * and an answer of unknown length that stands still does not show one: they are cut, so that their clients connect
 * again and are held until the next primary serves. Those that stand still are cut at once when nothing else is waited
 * for, since waiting would bring them nothing and costs all others their time; `streamsMs` is what the rest of them
 * gets to come to a pause.
 */
import type { Clock } from "../../runtime/clock.ts";
import { type OpenAttempt, openAttempts } from "../../http/upstream/answer-progress.ts";
import type { CancellationGroup } from "../../runtime/cancellation-group.ts";

export interface DrainTimes {
  readonly drainMs: number;
  readonly streamsMs: number;
}

/** A stream from which nothing has come for so long stands still. */
const quietMs = 50;
const why = "this host is stepping down";

/** What an attempt had released when it was last seen to move. */
interface Pace {
  released: number;
  since: number;
}

/**
 * Resolves when nothing is in flight, or the time is over. `active`: requests in flight, whatever they are. `idle` is
 * aborted when there are none.
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
    // nothing is left
    if (active() > 0) await clock.sleep(Math.min(quietMs, begun + times.drainMs - now), idle).catch(() => undefined);
  }
}

function quietMsOf(paces: Map<OpenAttempt, Pace>, attempt: OpenAttempt, now: number): number {
  const pace = paces.get(attempt);
  if (pace !== undefined && pace.released === attempt.released) return now - pace.since;
  paces.set(attempt, { released: attempt.released, since: now });
  return 0;
}

/**
 * How many named requests the application may have at a time, and how long a flush waits until it has none, before it
 * is collected.
 *
 * A request that executes at the collection stands in the flush with its name alone: lost then, it is in doubt. So no
 * further request is handed over from before the collection to its end, and the flush waits for those that have begun.
 * SQLite has one writer: an application that has many requests may execute one after the other, and is quiet only after
 * all. The window keeps what it has so short that this fits into the wait, and one more is handed over whenever one is
 * answered: a queue in the front in place of one in the application. It is TCP's congestion window: it grows with each
 * answer until a wait found no quiet, is halved then, and grows slowly from there. An application that executes its
 * requests side by side is quiet as soon as with one, and its window grows beyond what its clients send.
 *
 * Requests that have been executing for longer than the wait count for nothing. An application that is not quiet in
 * time with one request either is slower than that: it is left alone, for longer and longer runs of flushes.
 */

export interface QuietCut {
  /** Young named requests that the application may have. */
  readonly window: number;
  /** Since the first wait that found no quiet the window grows slowly. */
  readonly isSteady: boolean;
  /** Flushes for which nothing is held, and how many the next time. */
  readonly skips: number;
  readonly nextSkips: number;
}

const windowFirst = 4;
const windowMax = 1024;
/** Answers, for each place of the window, until it has one more. */
const steadyAnswers = 48;
const [waitMsMin, waitMsMax] = [10, 100];
const [skipsFirst, skipsMax] = [8, 2048];

export const firstQuietCut: QuietCut = { window: windowFirst, isSteady: false, skips: 0, nextSkips: skipsFirst };

/** Milliseconds for which a flush that takes `flushMs` may wait. A request that executes for longer is not young. */
export const quietWaitMs = (flushMs: number): number => Math.min(waitMsMax, Math.max(waitMsMin, 2 * flushMs));

/** Nothing is held: neither for this flush nor between two. */
export const isLeftAlone = ({ skips }: QuietCut): boolean => skips > 0;

export const mayHandOver = (state: QuietCut, young: number): boolean =>
  isLeftAlone(state) || young < Math.floor(state.window);

export function onAnswer(state: QuietCut): QuietCut {
  if (isLeftAlone(state) || state.window >= windowMax) return state;
  return { ...state, window: state.window + (state.isSteady ? 1 / (steadyAnswers * state.window) : 1) };
}

/** Before a flush. `young`: what it waited for; `isQuiet`: that was answered in time. */
export function onWaited(state: QuietCut, young: number, isQuiet: boolean): QuietCut {
  if (isLeftAlone(state)) {
    const skips = state.skips - 1;
    return skips > 0 ? { ...state, skips } : { ...firstQuietCut, nextSkips: state.nextSkips };
  }
  if (isQuiet) return young > 0 && state.nextSkips > skipsFirst ? { ...state, nextSkips: skipsFirst } : state;
  if (young > 1) return { ...state, window: Math.max(1, Math.min(state.window, young) / 2), isSteady: true };
  return { ...state, skips: state.nextSkips, nextSkips: Math.min(skipsMax, 2 * state.nextSkips) };
}

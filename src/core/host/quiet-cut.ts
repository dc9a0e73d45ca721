/**
 * Whether a flush waits until the application has no named request, before it is collected, and how many it may have.
 *
 * A request that executes at the collection stands in the flush with its name alone: lost then, it is in doubt. So no
 * further request is handed over from before the collection to its end, and the flush waits for those that have begun.
 * What that costs depends on how the application works, and what is known of that are response times. If it executes
 * its requests one by one, as those do that write to one SQLite file, a request takes longer the more others it has
 * before it. If it executes them side by side, it takes as long as one alone. Response time over the number in the
 * application is a straight line: its slope is work that queues, its intercept work that does not. There are three
 * manners:
 *
 * - `queue`: the window is half of what is in flight. One half executes while the other waits for its flush and comes
 *   back; a queue in the front takes the place of one in the application, which is as busy as before. A host begins
 *   with it.
 * - `batch`: flushes wait, and there is no window. It fits requests that all take equally long side by side: they come
 *   and go together.
 * - `free`: no flush waits. With 64 clients, side by side, and requests of 5 ms that vary, waiting would cost five
 *   sixths of the throughput; such requests are in doubt when they are lost, as without names.
 *
 * Once the line says that requests are executed side by side, `trial` finds the manner: the answers of some flushes are
 * counted for each in turns, always beside those of a free turn right before. A manner that is as fast as the free one
 * several times runs for a number of flushes; if none is, the free one does, longer each time. Flushes that wait in
 * vain lead to a free run too.
 */

/** Sums for the regression of response time (y, milliseconds) over the number in the application (x, itself too). */
interface Line {
  readonly n: number;
  readonly x: number;
  readonly y: number;
  readonly xx: number;
  readonly xy: number;
}

export type Manner = "free" | "queue" | "batch";

interface Run {
  readonly kind: "run";
  readonly manner: Manner;
  /** Flushes until the next trial; undefined: none has been needed. */
  readonly left: number | undefined;
}

interface Trial {
  readonly kind: "trial";
  /** Of this turn. */
  readonly manner: Manner;
  readonly turn: { readonly flushes: number; readonly answers: number; readonly sinceMs: number } | undefined;
  /** The free turn before it: answers per millisecond, and how long it was. */
  readonly free: { readonly rate: number; readonly forMs: number } | undefined;
  readonly scores: { readonly queue: number; readonly batch: number };
}

export interface QuietCut {
  readonly mode: Run | Trial;
  readonly line: Line;
  /** Answers since the line was judged. */
  readonly unjudged: number;
  /** Share of the last waits that found no quiet. */
  readonly missed: number;
  /** Flushes of the next run. */
  readonly nextRun: { readonly free: number; readonly waiting: number };
}

const lineForgets = 1 / 512;
const judgedAnswers = 128;
/** Variance of the number in the application, from which on there is a line. */
const varianceMin = 0.05;
/** Requests that the application seems to execute beside one, from which on there is a trial. */
const besideMax = 1;
/** A turn has this many flushes at least, and this many answers or milliseconds. */
const [turnFlushes, turnAnswers, turnMs] = [16, 200, 250];
/** Of the answers of the free turn: below the first a manner is slower, below the second it is out of question. */
const [slowerBelow, ruledOutBelow] = [0.94, 0.7];
const scoreDecides = 3;
const [runFirst, runMax] = [256, 32_768];
const [missForgets, missedMax] = [1 / 16, 0.5];
const windowMin = 2;
const [waitMsMin, waitMsMax] = [20, 100];

export const firstQuietCut: QuietCut = {
  mode: { kind: "run", manner: "queue", left: undefined },
  line: { n: 0, x: 0, y: 0, xx: 0, xy: 0 },
  unjudged: 0,
  missed: 0,
  nextRun: { free: runFirst, waiting: runFirst },
};

const firstTrial: Trial = {
  ...{ kind: "trial", manner: "free", turn: undefined, free: undefined },
  scores: { queue: 0, batch: 0 },
};

/** Milliseconds for which a flush that takes `flushMs` may wait. A request that executes for longer is not young. */
export const quietWaitMs = (flushMs: number): number => Math.min(waitMsMax, Math.max(waitMsMin, 4 * flushMs));

export const waitsForQuiet = ({ mode }: QuietCut): boolean => mode.manner !== "free";

/**
 * Young named requests that the application may have, of as many as are in flight, so that it is quiet within half of
 * `waitMs`.
 */
export function windowOf({ mode, line }: QuietCut, inFlight: number, waitMs: number): number {
  if (mode.manner !== "queue") return Number.POSITIVE_INFINITY;
  const quietWithin = waitMs / 2 / (fit(line)?.slope ?? 0);
  return Math.max(windowMin, Math.min(Math.ceil(inFlight / 2), Math.floor(quietWithin)));
}

/** Undefined: too few answers, or all found the application with as many. */
function fit({ n, x, y, xx, xy }: Line): { readonly slope: number; readonly intercept: number } | undefined {
  const spread = n * xx - x * x;
  if (n < judgedAnswers / 2 || spread < varianceMin * n * n) return undefined;
  const slope = Math.max(0, (n * xy - x * y) / spread);
  return { slope, intercept: Math.max(0, (y - slope * x) / n) };
}

/** An answer to a request that took `tookMs` and began as the last of `among` in the application. */
export function onAnswer(state: QuietCut, among: number, tookMs: number): QuietCut {
  const { line, mode } = state;
  const keep = 1 - lineForgets;
  const next: QuietCut = {
    ...state,
    mode: mode.kind === "run" || mode.turn === undefined ? mode : counted(mode, mode.turn),
    line: {
      ...{ n: line.n * keep + 1, x: line.x * keep + among, y: line.y * keep + tookMs },
      ...{ xx: line.xx * keep + among * among, xy: line.xy * keep + among * tookMs },
    },
    unjudged: state.unjudged + 1,
  };
  return next.unjudged < judgedAnswers ? next : judged({ ...next, unjudged: 0 });
}

const counted = (trial: Trial, turn: NonNullable<Trial["turn"]>): Trial => ({
  ...trial,
  turn: { ...turn, answers: turn.answers + 1 },
});

function judged(state: QuietCut): QuietCut {
  const { mode, line } = state;
  if (mode.kind === "trial" || mode.left !== undefined) return state;
  const found = fit(line);
  const isSideBySide = found !== undefined && found.intercept >= besideMax * found.slope;
  return isSideBySide ? { ...state, mode: firstTrial } : state;
}

/** A flush has waited. */
export function onWaited(state: QuietCut, isQuiet: boolean): QuietCut {
  const missed = state.missed + missForgets * ((isQuiet ? 0 : 1) - state.missed);
  if (missed <= missedMax || state.mode.kind === "trial") return { ...state, missed };
  return runFreely({ ...state, missed: 0 });
}

/** Before a flush. */
export function onFlush(state: QuietCut, nowMs: number): QuietCut {
  const { mode } = state;
  if (mode.kind === "trial") return onTrialFlush(state, mode, nowMs);
  if (mode.left === undefined) return state;
  return { ...state, mode: mode.left > 1 ? { ...mode, left: mode.left - 1 } : begunTurn(firstTrial, nowMs) };
}

function onTrialFlush(state: QuietCut, trial: Trial, nowMs: number): QuietCut {
  const { turn, free, manner, scores } = trial;
  if (turn === undefined) return { ...state, mode: begunTurn(trial, nowMs) };
  const forMs = nowMs - turn.sinceMs;
  const flushes = turn.flushes + 1;
  const isOver =
    free === undefined
      ? flushes >= turnFlushes && (turn.answers >= turnAnswers || forMs >= turnMs)
      : forMs >= free.forMs;
  if (!isOver) return { ...state, mode: { ...trial, turn: { ...turn, flushes } } };
  const rate = turn.answers / Math.max(1, forMs);
  if (free === undefined || manner === "free")
    return { ...state, mode: begunTurn(nextManner({ ...trial, free: { rate, forMs } }), nowMs) };
  const score = scores[manner] + scoreOf(rate / free.rate);
  return decided(state, { ...trial, scores: { ...scores, [manner]: score } }, nowMs);
}

function scoreOf(ratio: number): number {
  if (ratio < ruledOutBelow) return -scoreDecides;
  return ratio < slowerBelow ? -1 : 1;
}

function decided(state: QuietCut, trial: Trial, nowMs: number): QuietCut {
  const { queue, batch } = trial.scores;
  if (queue <= -scoreDecides && batch <= -scoreDecides) return runFreely(state);
  if (queue < scoreDecides && batch < scoreDecides) return { ...state, mode: begunTurn(nextManner(trial), nowMs) };
  const { waiting } = state.nextRun;
  return {
    ...{ ...state, nextRun: { free: runFirst, waiting: Math.min(runMax, 4 * waiting) } },
    mode: { kind: "run", manner: queue >= scoreDecides ? "queue" : "batch", left: waiting },
  };
}

function runFreely(state: QuietCut): QuietCut {
  const { free } = state.nextRun;
  return {
    ...{ ...state, nextRun: { free: Math.min(runMax, 4 * free), waiting: runFirst } },
    mode: { kind: "run", manner: "free", left: free },
  };
}

const begunTurn = (trial: Trial, sinceMs: number): Trial => ({ ...trial, turn: { flushes: 0, answers: 0, sinceMs } });

/** The next manner of this round that is not ruled out; after the last one the next round begins, with a free turn. */
function nextManner(trial: Trial): Trial {
  const { manner, scores } = trial;
  if (manner === "free" && scores.queue > -scoreDecides) return { ...trial, manner: "queue" };
  if (manner !== "batch" && scores.batch > -scoreDecides) return { ...trial, manner: "batch" };
  return { ...trial, manner: "free", free: undefined };
}

/**
 * Whether a flush waits until the application has no named request, before it is collected, and how many it may have.
 *
 * A request that executes at the collection stands in the flush with its name alone: lost then, it is in doubt. So no
 * further request is handed over from before the collection to its end, and the flush waits for those that have begun.
 * What that costs depends on how the application works: one request after the other, as those do that write to one
 * SQLite file, or side by side. There are three manners:
 *
 * - `queue`: the window is half of what is in flight. One half executes while the other waits for its flush and comes
 *   back; a queue in the front takes the place of one in the application, which is as busy as before. A host begins
 *   with it.
 * - `batch`: flushes wait, and there is no window. It fits requests that all take equally long side by side: they come
 *   and go together.
 * - `free`: no flush waits. With 64 clients, side by side, and requests of 5 ms that vary, waiting would cost five
 *   sixths of the throughput; such requests are in doubt when they are lost, as without names.
 *
 * A `trial` finds the manner: for a while the answers are counted in turns of each manner, beside those of a free turn
 * right before. It runs for a number of flushes then, longer each time that the result is the same. During the free
 * turns requests may be in doubt, so there is none without need. Flushes that wait in vain lead to a free run too.
 *
 * How a trial becomes due: by the times from one answer to the next. They are equal, on average, if requests are
 * executed one by one. Side by side they are longer when few are left than when the window is full, or, where all take
 * equally long, longest before the first; or response times are constant. (That response times hardly grow says less:
 * on a busy machine most of them is not the application's.)
 */

/** Sums over answers of the number in the application (x, itself too) and the response time (y, milliseconds). */
interface Sums {
  readonly n: number;
  readonly x: number;
  readonly y: number;
  readonly xx: number;
  readonly xy: number;
  readonly yy: number;
}

/** `xx`, `xy`: about the means of the time between two flushes to which they belong, as times change otherwise too. */
type Line = Sums;

interface Gaps {
  readonly n: number;
  readonly ms: number;
}

/** Times before an answer: the first one of an application that had nothing, and the others by how many it had. */
interface GapsByPlace {
  readonly first: Gaps;
  readonly full: Gaps;
  readonly draining: Gaps;
}

export type Manner = "free" | "queue" | "batch";

interface Run {
  readonly kind: "run";
  readonly manner: Manner;
  /** Flushes until the next trial; undefined: none has been needed. */
  readonly left: number | undefined;
}

interface Turns {
  readonly answers: number;
  readonly forMs: number;
}

interface Trial {
  readonly kind: "trial";
  /** Of this turn. */
  readonly manner: Manner;
  readonly turn: { readonly flushes: number; readonly answers: number; readonly sinceMs: number } | undefined;
  /** The free turn of this round. */
  readonly free: Turns | undefined;
  /** All turns of a manner, and the free ones of the same rounds. */
  readonly tried: Readonly<Record<Waiting, { readonly own: Turns; readonly free: Turns; readonly rounds: number }>>;
  readonly ruledOut: readonly Waiting[];
}

type Waiting = Exclude<Manner, "free">;

export interface QuietCut {
  readonly mode: Run | Trial;
  readonly line: Line;
  /** Answers since the last flush. */
  readonly recent: Sums;
  /** While no trial has been needed. */
  readonly gaps: GapsByPlace;
  /** Share of the last waits that found no quiet. */
  readonly missed: number;
  /** Flushes of the next run. */
  readonly nextRun: { readonly free: number; readonly waiting: number };
}

/** Of each answer. */
const lineForgets = 1 / 512;
const [fittedAnswers, constantAnswers] = [64, 256];
/** Shares of the mean response time: its standard deviation, and what grows with the number in the application. */
const constantWithin = 0.3;
/** Variance of the number in the application, from which on there is a line. */
const varianceMin = 0.05;
/**
 * Gaps of each kind before they are compared, and of all before they are halved. With a quarter of them the stalls of a
 * machine with a load of 10 looked like work side by side, and a trial's free turns left requests in doubt.
 */
const [gapsMin, gapsMax] = [96, 4096];
/** Gaps say nothing about one in the application. */
const fullFrom = 2;
/** Draining takes so much longer than being full, or the first so much longer than all others: a trial is due. */
const [drainingMax, firstMax] = [1.7, 10];
/** A free turn has this many flushes at least, and this many answers or milliseconds; the others are as long as it. */
const [turnFlushes, turnAnswers, turnMs] = [16, 200, 250];
const rounds = 5;
/** Of the answers of the free turns: below the first a manner is slower, below the second it is out of question. */
const [slowerBelow, ruledOutBelow] = [0.94, 0.7];
const [runFirst, runMax] = [256, 32_768];
const [missForgets, missedMax] = [1 / 16, 0.5];
const windowMin = 2;
/** With fewer in flight, halves are too small. */
const halvedFrom = 3;
/** On a busy machine flushes and the application stall alike: with half of it one in ten waits was in vain. */
const [waitMsMin, waitMsMax, waitFlushes] = [20, 200, 8];

const noSums: Sums = { n: 0, x: 0, y: 0, xx: 0, xy: 0, yy: 0 };
const noGaps: Gaps = { n: 0, ms: 0 };
const noTurns: Turns = { answers: 0, forMs: 0 };

export const firstQuietCut: QuietCut = {
  mode: { kind: "run", manner: "queue", left: undefined },
  ...{ line: noSums, recent: noSums },
  gaps: { first: noGaps, full: noGaps, draining: noGaps },
  missed: 0,
  nextRun: { free: runFirst, waiting: runFirst },
};

const untried = { own: noTurns, free: noTurns, rounds: 0 };
const firstTrial: Trial = {
  ...{ kind: "trial", manner: "free", turn: undefined, free: undefined },
  ...{ tried: { queue: untried, batch: untried }, ruledOut: [] },
};

/** Milliseconds for which a flush that takes `flushMs` may wait. A request that executes for longer is not young. */
export const quietWaitMs = (flushMs: number): number => Math.min(waitMsMax, Math.max(waitMsMin, waitFlushes * flushMs));

export const isWaiting = ({ mode }: QuietCut): boolean => mode.manner !== "free";

/**
 * Young named requests that the application may have, of as many as are in flight (0: not known yet), so that it is
 * quiet within half of `waitMs`.
 */
export function windowOf({ mode, line }: QuietCut, inFlight: number, waitMs: number): number {
  if (mode.manner !== "queue" || (inFlight < halvedFrom && inFlight > 0)) return Number.POSITIVE_INFINITY;
  const quietWithin = waitMs / 2 / (slopeOf(line) ?? 0);
  return Math.max(windowMin, Math.min(Math.ceil(inFlight / 2), Math.floor(quietWithin)));
}

/** Undefined: too few answers, or all found the application with as many. */
function slopeOf({ n, xx, xy }: Line): number | undefined {
  return n < fittedAnswers || xx < varianceMin * n ? undefined : Math.max(0, xy / xx);
}

/** An answer to a named request. */
export interface Answered {
  /** It began as the last of so many in the application. */
  readonly among: number;
  readonly tookMs: number;
  /** So many the application had before the answer. */
  readonly executing: number;
  /** Since the answer before, or since the application got its first request after it had none. */
  readonly gapMs: number;
  readonly isFirst: boolean;
}

export function onAnswer(state: QuietCut, answer: Answered, window: number): QuietCut {
  const { recent, mode } = state;
  const { n, x, y, xx, xy, yy } = recent;
  const { among, tookMs } = answer;
  return {
    ...state,
    mode: mode.kind === "run" || mode.turn === undefined ? mode : counted(mode, mode.turn),
    recent: {
      ...{ n: n + 1, x: x + among, y: y + tookMs },
      ...{ xx: xx + among * among, xy: xy + among * tookMs, yy: yy + tookMs * tookMs },
    },
    gaps: mode.kind === "run" && mode.left === undefined ? withGap(state.gaps, answer, window) : state.gaps,
  };
}

function withGap(gaps: GapsByPlace, { executing, gapMs, isFirst }: Answered, window: number): GapsByPlace {
  if (window < fullFrom) return gaps;
  const place = isFirst ? "first" : 2 * executing > window ? "full" : "draining";
  const { n, ms } = gaps[place];
  const next = { ...gaps, [place]: { n: n + 1, ms: ms + gapMs } };
  const { first, full, draining } = next;
  if (first.n + full.n + draining.n < gapsMax) return next;
  return { first: halved(first), full: halved(full), draining: halved(draining) };
}

const halved = ({ n, ms }: Gaps): Gaps => ({ n: n / 2, ms: ms / 2 });
const meanOf = ({ n, ms }: Gaps): number => ms / n;

/** With what was answered since the last flush. */
function lengthened({ line, recent: { n, x, y, xx, xy, yy } }: QuietCut): Line {
  if (n === 0) return line;
  const keep = (1 - lineForgets) ** n;
  return {
    ...{ n: line.n * keep + n, x: line.x * keep + x, y: line.y * keep + y },
    ...{ xx: line.xx * keep + xx - (x * x) / n, xy: line.xy * keep + xy - (x * y) / n, yy: line.yy * keep + yy },
  };
}

const counted = (trial: Trial, turn: NonNullable<Trial["turn"]>): Trial => ({
  ...trial,
  turn: { ...turn, answers: turn.answers + 1 },
});

function isTrialDue({ line, gaps: { first, full, draining } }: QuietCut): boolean {
  if (isConstant(line)) return true;
  if (Math.min(first.n, full.n, draining.n) < gapsMin) return false;
  const others = meanOf({ n: full.n + draining.n, ms: full.ms + draining.ms });
  return meanOf(draining) > drainingMax * meanOf(full) || meanOf(first) > firstMax * others;
}

/** Response times are nearly equal, however many the application has. */
function isConstant(line: Line): boolean {
  const slope = line.n < constantAnswers ? undefined : slopeOf(line);
  if (slope === undefined) return false;
  const mean = line.y / line.n;
  const deviation = Math.sqrt(Math.max(0, line.yy / line.n - mean * mean));
  return deviation < constantWithin * mean && (slope * line.x) / line.y < constantWithin;
}

/** A flush has waited. */
export function onWaited(state: QuietCut, isQuiet: boolean): QuietCut {
  const missed = state.missed + missForgets * ((isQuiet ? 0 : 1) - state.missed);
  if (missed <= missedMax || state.mode.kind === "trial") return { ...state, missed };
  return runFreely({ ...state, missed: 0 });
}

/** Before a flush. */
export function onFlush(before: QuietCut, nowMs: number): QuietCut {
  const state = { ...before, line: lengthened(before), recent: noSums };
  const { mode } = state;
  if (mode.kind === "trial") return onTrialFlush(state, mode, nowMs);
  if (mode.left === undefined && !isTrialDue(state)) return state;
  const isOver = mode.left === undefined || mode.left <= 1;
  return { ...state, mode: isOver ? begunTurn(firstTrial, nowMs) : { ...mode, left: mode.left - 1 } };
}

function onTrialFlush(state: QuietCut, trial: Trial, nowMs: number): QuietCut {
  const { turn, free, manner } = trial;
  if (turn === undefined) return { ...state, mode: begunTurn(trial, nowMs) };
  const forMs = nowMs - turn.sinceMs;
  const flushes = turn.flushes + 1;
  const isOver =
    free === undefined
      ? flushes >= turnFlushes && (turn.answers >= turnAnswers || forMs >= turnMs)
      : forMs >= free.forMs;
  if (!isOver) return { ...state, mode: { ...trial, turn: { ...turn, flushes } } };
  const { answers } = turn;
  if (free === undefined || manner === "free")
    return { ...state, mode: begunTurn(nextManner({ ...trial, free: { answers, forMs } }), nowMs) };
  return decided(state, triedOnce(trial, manner, { answers, forMs }, free), nowMs);
}

function triedOnce(trial: Trial, manner: Waiting, own: Turns, free: Turns): Trial {
  const before = trial.tried[manner];
  const tried = {
    ...trial.tried,
    [manner]: { own: together(before.own, own), free: together(before.free, free), rounds: before.rounds + 1 },
  };
  const ratio = ratioOf(tried[manner]);
  const isRuledOut = ratio < ruledOutBelow || (tried[manner].rounds >= rounds && ratio < slowerBelow);
  return { ...trial, tried, ruledOut: isRuledOut ? [...trial.ruledOut, manner] : trial.ruledOut };
}

const together = (one: Turns, other: Turns): Turns => ({
  answers: one.answers + other.answers,
  forMs: one.forMs + other.forMs,
});

const rateOf = ({ answers, forMs }: Turns): number => answers / Math.max(1, forMs);
const ratioOf = ({ own, free }: Trial["tried"][Waiting]): number =>
  free.answers === 0 ? 1 : rateOf(own) / rateOf(free);

function decided(state: QuietCut, trial: Trial, nowMs: number): QuietCut {
  if (trial.ruledOut.length === 2) return runFreely(state);
  const manner = waitingManners.find((each) => !trial.ruledOut.includes(each) && trial.tried[each].rounds >= rounds);
  if (manner === undefined) return { ...state, mode: begunTurn(nextManner(trial), nowMs) };
  const { waiting } = state.nextRun;
  return {
    ...{ ...state, nextRun: { free: runFirst, waiting: Math.min(runMax, 4 * waiting) } },
    mode: { kind: "run", manner, left: waiting },
  };
}
const waitingManners: readonly Waiting[] = ["queue", "batch"];

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
  const { manner, ruledOut } = trial;
  if (manner === "free" && !ruledOut.includes("queue")) return { ...trial, manner: "queue" };
  if (manner !== "batch" && !ruledOut.includes("batch")) return { ...trial, manner: "batch" };
  return { ...trial, manner: "free", free: undefined };
}

/** @jsxImportSource hono/jsx */
/**
 * The last hour of a figure as a line in its cell, with the same in words for those who do not see it. A point is the
 * worst of a minute; where nothing was known there is a gap; where the gateway was not started yet there is no line.
 */
import { sampleEveryMs, samplesMax } from "../../control/samples-api.ts";
import { inUnits } from "./words.ts";

const samplesPerPoint = 4;
/** Of the whole hour. */
const pointsMax = samplesMax / samplesPerPoint;
/** The height of the line, in units of the picture; points are one unit apart. */
const height = 16;

export interface Figure {
  readonly name: string;
  /** Oldest first; null: nothing was known. */
  readonly samples: readonly (number | null)[];
  /** The number of the newest sample since the gateway started. */
  readonly taken: number;
  readonly worst: "most" | "least";
  readonly unit: Unit;
}

interface Unit {
  /** A value in words. */
  readonly words: (value: number) => string;
  /** The same below the line, where there is little room. */
  readonly short: (value: number) => string;
}

const counted = (noun: string): Unit => ({
  words: (count) => `${count} ${noun}${count === 1 ? "" : "s"}`,
  short: String,
});
const precise = (ms: number): string => (ms < 1_000 ? `${ms.toFixed(1)} ms` : inUnits(ms));

export const records = counted("record");
export const requests = counted("request");
export const milliseconds: Unit = { words: precise, short: precise };
export const leaseLeft: Unit = {
  words: (ms) => (ms < 0 ? `missed by ${inUnits(-ms)}` : `${inUnits(ms)} left`),
  short: (ms) => (ms < 0 ? `−${inUnits(-ms)}` : inUnits(ms)),
};

/** Returns one value for each point, the newest last. Points end at the same samples whenever one looks. */
export function pointsOf({ samples, taken, worst }: Pick<Figure, "samples" | "taken" | "worst">): (number | null)[] {
  const points = new Map<number, number | null>();
  const pick = worst === "most" ? Math.max : Math.min;
  samples.forEach((value, index) => {
    const point = Math.floor((taken - samples.length + index) / samplesPerPoint);
    const known = points.get(point) ?? null;
    points.set(point, known === null ? value : value === null ? known : pick(known, value));
  });
  return [...points.values()].slice(-pointsMax);
}

export function Sparkline(figure: Figure) {
  const { name, samples, worst } = figure;
  const { words: text, short } = figure.unit;
  const known = samples.filter((value) => value !== null);
  if (known.length === 0) return null;
  const least = Math.min(...known);
  const most = Math.max(...known);
  const latest = samples.at(-1) ?? null;
  const words = `${name}, last ${inUnits(samples.length * sampleEveryMs)}: ${latest === null ? "not known now" : `latest ${text(latest)}`}, least ${text(least)}, most ${text(most)}`;
  return (
    <span class="spark">
      <svg viewBox={`0 0 ${pointsMax} ${height}`} preserveAspectRatio="none" role="img" aria-label={words}>
        {least < 0 ? <path class="zero" d={`M0 ${heightOf(0, least, most)}h${pointsMax}`} /> : null}
        <path
          {...(worst === "least" && least < 0 ? { class: "missed" } : {})}
          d={lineOf(pointsOf(figure), least, most)}
        />
      </svg>
      <small aria-hidden="true">{least === most ? short(most) : `${short(least)} … ${short(most)}`}</small>
    </span>
  );
}

/** On a scale that has 0. */
function heightOf(value: number, least: number, most: number): number {
  const bottom = Math.min(0, least);
  const span = Math.max(0, most) - bottom;
  return span === 0 ? height - 1 : Math.round(height - 1 - ((value - bottom) / span) * (height - 2));
}

/** In whole units and relative to the point before, to be short; a point between two gaps is a dash. */
function lineOf(points: readonly (number | null)[], least: number, most: number): string {
  let before: number | undefined;
  let line = "";
  for (const [index, value] of points.entries()) {
    const at = value === null ? undefined : heightOf(value, least, most);
    if (at !== undefined)
      line += before === undefined ? `M${pointsMax - points.length + index} ${at}h1` : `l1 ${at - before}`;
    before = at;
  }
  return line;
}

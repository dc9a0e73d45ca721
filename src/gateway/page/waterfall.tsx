/** @jsxImportSource hono/jsx */
/** A failover on one time axis: its phases, and the gap that clients saw. */
import type { FailoverEntry } from "../../control/failover-api.ts";
import { type Axis, axisOf, type Bar, barsOf, gapOf } from "./timeline.ts";
import { inUnits } from "./words.ts";

const names: Readonly<Record<string, string>> = { catchUp: "catch up", gap: "clients’ gap" };
export const nameOfPhase = (phase: string): string => names[phase] ?? phase;

/** The classes that have a colour; a phase of a later version has that of `other`. */
const coloured = new Set(["detect", "agree", "claim", "lease", "catchUp", "start", "route", "gap"]);
const classOf = (phase: string): string => `bar ${coloured.has(phase) ? phase : "other"}`;

const percent = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(2)}%`;

/** A phase of less than this part of the axis is still to be seen. */
const partMin = 1 / 300;

/** `axis`: one on which several can be compared; default: this one's own. */
export function Waterfall({ entry, axis = axisOf([entry]) }: { readonly entry: FailoverEntry; readonly axis?: Axis }) {
  const gap = gapOf(entry);
  const bars = [...barsOf(entry), ...(gap === undefined ? [] : [gap])];
  if (bars.length === 0) return <p class="quiet">No phase has ended yet.</p>;
  return <Bars caption={`Phases of the ${entry.kind} failover ${entry.id}`} bars={bars} axis={axis} />;
}

interface BarsProps {
  readonly caption: string;
  /** `source`: how its time is known. */
  readonly bars: readonly (Bar & { readonly source?: string })[];
  readonly axis: Axis;
}

/** A row for each bar, in time from the decision. */
export function Bars({ caption, bars, axis }: BarsProps) {
  return (
    <table class="waterfall">
      <caption class="hidden">{caption}, in time from the decision</caption>
      <thead>
        <tr>
          <th scope="col">Phase</th>
          <th scope="col">
            <Scale axis={axis} />
          </th>
          <th scope="col" class="number">
            Takes
          </th>
        </tr>
      </thead>
      <tbody>
        {bars.map((bar) => (
          <tr>
            <th scope="row">{nameOfPhase(bar.phase)}</th>
            <td>
              <span class="hidden">from {signed(bar.startMs)}</span>
              <svg width="100%" height="14" aria-hidden="true">
                <rect class="track" x="0" y="6" width="100%" height="2" />
                <Rectangle bar={bar} axis={axis} height={14} />
              </svg>
            </td>
            <td class="number">
              {inUnits(bar.ms)}
              {bar.source === undefined ? null : <small> {bar.source}</small>}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** The ends of the axis, and the decision. */
function Scale({ axis: { fromMs, toMs } }: { readonly axis: Axis }) {
  const decision = fromMs >= 0 ? [] : [{ at: -fromMs, text: "decision", anchor: "middle" }];
  const ends = [
    { at: 0, text: signed(fromMs), anchor: "start" },
    ...decision.filter(({ at }) => at > (toMs - fromMs) * 0.15 && at < (toMs - fromMs) * 0.85),
    { at: toMs - fromMs, text: signed(toMs), anchor: "end" },
  ];
  return (
    <svg class="scale" width="100%" height="14" role="img" aria-label={`from ${signed(fromMs)} to ${signed(toMs)}`}>
      {ends.map(({ at, text, anchor }) => (
        <text class={text === "decision" ? text : ""} x={percent(at, toMs - fromMs)} y="11" text-anchor={anchor}>
          {text}
        </text>
      ))}
    </svg>
  );
}

const signed = (ms: number): string => (ms === 0 ? "0" : `${ms < 0 ? "−" : "+"}${inUnits(Math.abs(ms))}`);

function Rectangle({ bar, axis, height }: { readonly bar: Bar; readonly axis: Axis; readonly height: number }) {
  const whole = axis.toMs - axis.fromMs;
  return (
    <rect
      class={classOf(bar.phase)}
      x={percent(Math.min(bar.startMs - axis.fromMs, whole * (1 - partMin)), whole)}
      y="0"
      width={percent(Math.max(bar.ms, whole * partMin), whole)}
      height={String(height)}
    />
  );
}

/** The same on one line, for lists. */
export function Strip({ entry, axis }: { readonly entry: FailoverEntry; readonly axis: Axis }) {
  const bars = barsOf(entry);
  const words = bars.map(({ phase, ms }) => `${nameOfPhase(phase)} ${inUnits(ms)}`).join(", ");
  return (
    <svg class="strip" width="100%" height="12" role="img" aria-label={words === "" ? "no phase yet" : words}>
      {bars.map((bar) => (
        <Rectangle bar={bar} axis={axis} height={12} />
      ))}
    </svg>
  );
}

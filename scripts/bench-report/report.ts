/** The report of `./scripts/bench`, as Markdown. */
import { type FigureRow, shown } from "./figures.ts";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly system: string;
  readonly bun: string;
  /** Of one minute, before the first bench and after the last one. */
  readonly load: readonly [number, number];
}

export interface BenchResult {
  readonly name: string;
  /** Why there are no figures. */
  readonly notRun?: string;
  /** What it did without. */
  readonly without: readonly string[];
  /** Of the turns, where one was not 0: a goal was missed. */
  readonly codes: readonly number[];
  readonly rows: readonly FigureRow[];
}

export interface Report {
  readonly commit: string;
  readonly against?: string | undefined;
  readonly turns: number;
  readonly quick: boolean;
  readonly machine: Machine;
  readonly benches: readonly BenchResult[];
}

const row = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;

function tableOf({ rows }: BenchResult, isComparison: boolean): string {
  const head = isComparison ? ["figure", "before", "now", "now/before"] : ["figure", "now"];
  const cells = rows.map(({ name, now, before, ratio }) => [
    name,
    ...(isComparison ? [before === undefined ? "" : shown(before)] : []),
    shown(now),
    ...(isComparison ? [ratio === undefined ? "" : shown(ratio, 2)] : []),
  ]);
  return [head, head.map(() => "---"), ...cells].map(row).join("\n");
}

function sectionOf(result: BenchResult, isComparison: boolean): string {
  const title = `## ${result.name}`;
  if (result.notRun !== undefined) return `${title}\n\nNo figures: ${result.notRun}`;
  const notes = [
    ...(result.without.length > 0 ? [`Without ${result.without.join(", ")}.`] : []),
    ...(result.codes.some((code) => code !== 0) ? [`Exit codes ${result.codes.join(", ")}: a goal was missed.`] : []),
  ];
  return [title, ...notes, tableOf(result, isComparison)].join("\n\n");
}

export function markdownOf({ commit, against, turns, quick, machine, benches }: Report): string {
  const { cpu, cores, memoryGib, system, bun, load } = machine;
  const what = against === undefined ? `commit ${commit}` : `commit ${commit}, beside ${against}, in turns`;
  const head = [
    "# Benches",
    `${what}: ${turns} ${turns === 1 ? "turn" : "turns"}. A figure is the median of the turns, with [lowest, highest]. Names of figures, units and goals are in the head comment of scripts/bench-NAME.ts.`,
    `Machine: ${cpu}, ${cores} cores, ${memoryGib} GiB, ${system}, Bun ${bun}. Load ${load[0].toFixed(1)} before and ${load[1].toFixed(1)} after: other work makes the figures worse.`,
    ...(quick ? ["**Quick**: this shows that the benches work; the figures mean nothing."] : []),
  ];
  return `${[...head, ...benches.map((each) => sectionOf(each, against !== undefined))].join("\n\n")}\n`;
}

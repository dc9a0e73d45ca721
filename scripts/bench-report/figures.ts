/** Figures of benches: the numbers of the object that is their last line, and several runs of them beside others. */
import { median, rounded } from "../bench-support.ts";

/** Of one run, by their place in the object: `results.clients=4.ratio.p50`. */
export type Figures = ReadonlyMap<string, number>;

/** One run of this tree; `before` is one of an earlier commit, right before it. */
export interface Turn {
  readonly before?: Figures;
  readonly now: Figures;
}

export interface Spread {
  readonly median: number;
  readonly lowest: number;
  readonly highest: number;
}

export interface FigureRow {
  readonly name: string;
  readonly now: Spread;
  /** Only if all turns have both. */
  readonly before?: Spread;
  /** Of this tree to the earlier commit: of the medians, and of the turns. */
  readonly ratio?: Spread;
}

/** What tells the elements of a list apart, best first. */
const labels: readonly string[] = ["name", "case", "app", "kind", "goal", "databases", "mib", "gateways", "clients"];

/** Throws SyntaxError if the last line is no JSON. */
export function figuresIn(output: string): Figures {
  return new Map(numbersIn(JSON.parse(output.trimEnd().split("\n").at(-1) ?? "")));
}

function* numbersIn(value: unknown, path = ""): Generator<[path: string, value: number]> {
  if (typeof value === "number") yield [path, value];
  else if (typeof value === "object" && value !== null) {
    const names = Array.isArray(value) ? namesOf(value) : undefined;
    for (const [key, inner] of Object.entries(value)) {
      const name = names?.[Number(key)] ?? key;
      yield* numbersIn(inner, path === "" ? name : `${path}.${name}`);
    }
  }
}

/** Undefined: nothing tells all of them apart but their place. */
function namesOf(list: readonly unknown[]): readonly string[] | undefined {
  for (const label of labels) {
    const names = list.map((each) =>
      typeof each === "object" && each !== null && label in each
        ? `${label}=${String((each as Record<string, unknown>)[label])}`
        : "",
    );
    if (!names.includes("") && new Set(names).size === names.length) return names;
  }
  return undefined;
}

/** Returns a row for each figure that all turns have. */
export function rowsOf(turns: readonly Turn[]): FigureRow[] {
  const names = [...(turns[0]?.now.keys() ?? [])].filter((name) => turns.every(({ now }) => now.has(name)));
  return names.map((name): FigureRow => {
    const now = turns.map((turn) => turn.now.get(name) ?? Number.NaN);
    const before = turns.flatMap((turn) => turn.before?.get(name) ?? []);
    if (before.length < turns.length) return { name, now: spreadOf(now) };
    const ratios = spreadOf(now.map((value, turn) => value / (before[turn] ?? Number.NaN)));
    return {
      ...{ name, now: spreadOf(now), before: spreadOf(before) },
      ratio: { ...ratios, median: median(now) / median(before) },
    };
  });
}

const spreadOf = (values: readonly number[]): Spread => ({
  ...{ median: median(values), lowest: Math.min(...values), highest: Math.max(...values) },
});

/** `12.5 [11, 14]`; a single run has no spread. */
export const shown = ({ median: middle, lowest, highest }: Spread, digits = 3): string =>
  lowest === highest
    ? String(rounded(middle, digits))
    : `${rounded(middle, digits)} [${rounded(lowest, digits)}, ${rounded(highest, digits)}]`;

/** Parts that the benchmarks share: percentiles, a closed loop of writers, alternated rounds, the arguments. */
import { HttpCaller } from "../harness/http-call.ts";

export interface WriteFigures {
  readonly writes_per_second: number;
  readonly p50_ms: number;
  readonly p99_ms: number;
}

/** True the first time it is asked. */
export function once(): () => boolean {
  let asked = false;
  return () => !asked && (asked = true);
}

/** The value below which `share` (0..1) of the ascending list lies: nearest rank. */
export function percentile(ascending: readonly number[], share: number): number {
  return ascending[Math.min(ascending.length - 1, Math.max(0, Math.ceil(share * ascending.length) - 1))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number =>
  percentile(
    [...values].sort((a, b) => a - b),
    0.5,
  );

export const rounded = (value: number, digits = 2): number => Number(value.toFixed(digits));

/** `clients` clients, each sends its next write when the last is answered, until `forMs` are over. Latencies in ms. */
export async function writeFor(
  url: string,
  clients: number,
  forMs: number,
  body: (nth: number) => string,
  fields: () => Readonly<Record<string, string>> = () => ({}),
): Promise<number[]> {
  const caller = new HttpCaller(clients);
  const latencies: number[] = [];
  const until = performance.now() + forMs;
  let nth = 0;
  const client = async (): Promise<void> => {
    while (performance.now() < until) {
      const startedAt = performance.now();
      const answer = await caller.call({
        method: "POST",
        url,
        body: body((nth += 1)),
        headers: fields(),
        timeoutMs: 30_000,
      });
      if (answer.status !== 201) throw new Error(`${url} answered ${answer.status}: ${answer.text.slice(0, 200)}`);
      latencies.push(performance.now() - startedAt);
    }
  };
  try {
    await Promise.all(Array.from({ length: clients }, client));
  } finally {
    caller.close();
  }
  return latencies;
}

export function figures(latencies: readonly number[], forMs: number): WriteFigures {
  const sorted = [...latencies].sort((a, b) => a - b);
  return {
    writes_per_second: rounded((1000 * latencies.length) / forMs, 1),
    p50_ms: rounded(percentile(sorted, 0.5)),
    p99_ms: rounded(percentile(sorted, 0.99)),
  };
}

/** `--name VALUE` of a whole number, or the default; anything else on the command line is refused. */
export function parseBenchArguments<Name extends string, List extends string = never>(
  defaults: Readonly<Record<Name, number>>,
  lists?: Readonly<Record<List, readonly string[]>>,
): Record<Name, number> & Partial<Record<List, readonly string[]>> & { readonly json: boolean } {
  const values: Record<string, number> = { ...defaults };
  const chosen: Record<string, readonly string[]> = {};
  const choices: Readonly<Record<string, readonly string[]>> = lists ?? {};
  const args = process.argv.slice(2);
  let json = false;
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] ?? "";
    const name = arg.replace(/^--/, "");
    if (arg === "--json") json = true;
    else if (arg.startsWith("--") && Object.hasOwn(values, name) && /^\d+$/.test(args[index + 1] ?? ""))
      values[name] = Number(args[(index += 1)]);
    else if (arg.startsWith("--") && isListOf(choices[name], args[index + 1]))
      chosen[name] = (args[(index += 1)] ?? "").split(",");
    else {
      process.stderr.write(
        `${arg}: accepted are --json${Object.keys(defaults)
          .map((key) => `, --${key} NUMBER`)
          .join("")}${Object.entries(choices)
          .map(([key, accepted]) => `, --${key} with some of ${accepted.join(",")}`)
          .join("")}\n`,
      );
      process.exit(2);
    }
  }
  return { ...(values as Record<Name, number>), ...(chosen as Partial<Record<List, readonly string[]>>), json };
}

const isListOf = (accepted: readonly string[] | undefined, text: string | undefined): boolean =>
  accepted !== undefined && text !== undefined && text.split(",").every((each) => accepted.includes(each));

/** Longest pause of a paced client between an answer and its next write; half of it on average. */
const pauseMsMax = 20;

/**
 * Writes as `writeFor` does, with a pause between an answer and the next write: latency without a queue. Continues
 * while `goesOn()`.
 */
export async function writePaced(url: string, clients: number, goesOn: () => boolean): Promise<number[]> {
  const caller = new HttpCaller(clients);
  const latencies: number[] = [];
  const client = async (): Promise<void> => {
    while (goesOn()) {
      const startedAt = performance.now();
      const answer = await caller.call({
        method: "POST",
        url,
        body: JSON.stringify({ text: "x".repeat(200) }),
        timeoutMs: 120_000,
      });
      if (answer.status !== 201) throw new Error(`${url} answered ${answer.status}: ${answer.text.slice(0, 200)}`);
      latencies.push(performance.now() - startedAt);
      await new Promise((resolve) => setTimeout(resolve, pauseMsMax * Math.random()));
    }
  };
  try {
    await Promise.all(Array.from({ length: clients }, client));
  } finally {
    caller.close();
  }
  return latencies;
}

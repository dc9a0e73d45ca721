/** The benches, what each needs of the machine, and what makes it quick: a look whether it works, without figures. */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Figures, figuresIn } from "./figures.ts";

export interface Bench {
  readonly name: string;
  /** Program to Debian package; without one of them there is nothing to run. */
  readonly needs: Readonly<Record<string, string>>;
  /** The same; without one of them a part is left out. */
  readonly uses: Readonly<Record<string, string>>;
  readonly quick: readonly string[];
}

const bench = (
  name: string,
  quick: string,
  { needs = {}, uses = {} }: Partial<Pick<Bench, "needs" | "uses">> = {},
): Bench => ({ name, needs, uses, quick: quick === "" ? [] : quick.split(" ") });

export const benches: readonly Bench[] = [
  bench("failover", "--repetitions 1"),
  bench("gate", "--rounds 1 --seconds 1"),
  bench("names", "--rounds 1 --seconds 1"),
  bench("look", "--rounds 1"),
  bench("files", "--seconds 1 --turns 1 --files 1000"),
  bench("giant", "--rounds 1 --mebibytes 32"),
  bench("size", "--repetitions 1 --small 5 --large 40 --seconds 1"),
  bench("restore", "--mib 40 --rounds 1"),
  bench("tenants", "--counts 20 --rounds 1 --writes 20"),
  bench("streams", "--streams 50 --repetitions 1"),
  bench("replication", ""),
  bench("connections", "--connections 500"),
  bench("proxy", "--rounds 1", { needs: { wrk: "wrk" }, uses: { nginx: "nginx", haproxy: "haproxy" } }),
];

/** Programs that are not on the PATH, as `wrk (Debian's package wrk)`. */
export const absent = (programs: Readonly<Record<string, string>>): string[] =>
  Object.entries(programs)
    .filter(([program]) => Bun.which(program) === null)
    .map(([program, packageName]) => `${program} (Debian's package ${packageName})`);

export const benchFile = (root: string, name: string): string => join(root, "scripts", `bench-${name}.ts`);

export type BenchRun =
  /** `code`: 1 where a goal was missed, which the bench decides. */
  | { readonly kind: "figures"; readonly figures: Figures; readonly code: number }
  | { readonly kind: "failed"; readonly why: string };

const wordsMax = 300;

/** Runs a bench of a tree; what it says meanwhile is shown. */
export async function runBench(root: string, name: string, args: readonly string[]): Promise<BenchRun> {
  if (!existsSync(benchFile(root, name))) return { kind: "failed", why: `there is no scripts/bench-${name}.ts` };
  const child = spawn(process.execPath, [benchFile(root, name), "--json", ...args], {
    cwd: root,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [output, errors] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-8192);
    process.stderr.write(chunk);
  });
  const code = await new Promise<number>((resolve) => child.on("close", (ended) => resolve(ended ?? 1)));
  try {
    return { kind: "figures", figures: figuresIn(output), code };
  } catch {
    const words = errors.trim().split("\n").slice(-4).join(" ").replace(/\s+/g, " ").slice(-wordsMax);
    return {
      kind: "failed",
      why: `exit code ${code}, and no line of JSON at the end: ${words || output.slice(-wordsMax)}`,
    };
  }
}

/**
 * `bun run sim --seeds N [--from S] [--jobs J] [--json]`: many histories.
 * `bun run sim --seed S [--timeline]`: one of them, run twice and compared; when it fails, its faults are shrunk first.
 */
import { parseArgs } from "node:util";
import { describeFault } from "./faults.ts";
import { run, type RunResult } from "./run.ts";
import { jobsDefault, runSeeds } from "./seeds.ts";
import { shrink } from "./shrink.ts";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "200" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    jobs: { type: "string" },
    timeline: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    "no-shrink": { type: "boolean", default: false },
  },
});

process.exitCode = values.seed === undefined ? await many() : await one(Number(values.seed));

async function many(): Promise<number> {
  const startedAt = performance.now();
  const say = values.json ? console.error : console.log;
  const sum = await runSeeds(Number(values.from), Number(values.seeds), Number(values.jobs ?? jobsDefault()), (seed, violation) => {
    say(`seed ${seed}: ${violation}\n  bun run sim --seed ${seed} --timeline`);
  });
  const { faults, failed, ...figures } = sum;
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  const partitions = ["isolate-host", "isolate-gateway", "flap"].reduce((count, kind) => count + (faults[kind] ?? 0), 0);
  if (values.json) console.log(JSON.stringify({ ...figures, partitions, violations: failed.length, seconds, faults }));
  else {
    for (const [name, value] of Object.entries({ ...figures, partitions, virtualHours: figures.virtualMs / 3_600_000 })) console.log(`${name.padEnd(14)} ${Math.round(value * 100) / 100}`);
    console.log(`faults         ${Object.entries(faults).sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, times]) => `${kind} ${times}`).join(", ")}`);
    console.log(`${figures.histories} histories, ${figures.failovers} failovers, ${failed.length} with violations, ${seconds} s`);
  }
  return failed.length === 0 ? 0 : 1;
}

async function one(seed: number): Promise<number> {
  const first = await run({ seed, keepTrace: true });
  const again = await run({ seed });
  console.log(`options ${JSON.stringify(first.options)}`);
  if (first.hash !== again.hash) {
    console.log(`NOT DETERMINISTIC: ${first.hash} and then ${again.hash}`);
    return 1;
  }
  const result = first.violations.length > 0 && !values["no-shrink"] ? await shrink(first, { seed, keepTrace: true }, run) : first;
  if (values.timeline || result.violations.length > 0) show(result);
  console.log(JSON.stringify(first.figures));
  console.log(`trace ${first.hash}, the same when run again; ${first.violations.length === 0 ? "no violation" : `${first.violations.length} violations`}`);
  return first.violations.length === 0 ? 0 : 1;
}

function show(result: RunResult): void {
  for (const line of result.trace) console.log(`${line.atMs.toFixed(1).padStart(9)} ${line.who.padEnd(8)} ${line.what}`);
  console.log(`${result.faults.length} faults:`);
  for (const fault of result.faults) console.log(`  ${describeFault(fault)}`);
  for (const violation of result.violations) console.log(`VIOLATION ${violation}`);
}

/** `bun run sim --seeds N [--seed S]`: many histories, or one of them in detail. */
import { parseArgs } from "node:util";
import { describeFault } from "./faults.ts";
import { run, type RunResult } from "./run.ts";

const { values } = parseArgs({ options: { seeds: { type: "string", default: "100" }, seed: { type: "string" }, from: { type: "string", default: "1" }, trace: { type: "boolean", default: false } } });

async function main(): Promise<number> {
  const first = Number(values.seed ?? values.from);
  const count = values.seed === undefined ? Number(values.seeds) : 1;
  const startedAt = performance.now();
  let failovers = 0;
  let bad = 0;
  for (let seed = first; seed < first + count; seed++) {
    const result = await run({ seed, keepTrace: count === 1 });
    failovers += result.figures.failovers;
    if (count === 1 && (values.trace || result.violations.length > 0)) show(result);
    if (result.violations.length > 0) {
      bad += 1;
      console.log(`seed ${seed}: ${result.violations[0]}`);
    }
    if (count === 1) console.log(JSON.stringify(result.figures), result.hash);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  console.log(`${count} histories, ${failovers} failovers, ${bad} with violations, ${seconds.toFixed(1)} s`);
  return bad === 0 ? 0 : 1;
}

function show(result: RunResult): void {
  console.log(JSON.stringify(result.options));
  for (const fault of result.faults) console.log(describeFault(fault));
  for (const line of result.trace.slice(-100000)) console.log(`${line.atMs.toFixed(1).padStart(9)} ${line.who.padEnd(8)} ${line.what}`);
}

process.exitCode = await main();

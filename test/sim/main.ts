/**
 * `bun run sim --seeds N [--from S] [--jobs J] [--log objects|segments] [--json]`: many histories.
 * `bun run sim --seed S [--log …] [--timeline]`: one of them, run twice and compared; when it fails, its faults are
 * shrunk first.
 */
import { type Counts, excluded, gaps } from "./coverage.ts";
import { describeFault, faultKinds } from "./faults.ts";
import type { LogKind } from "./options.ts";
import { run, type RunResult } from "./run.ts";
import { jobsDefault, runSeeds } from "./seeds.ts";
import { shrink } from "./shrink.ts";
import { oneOf, orEnd, readOptions, wholeNumber } from "../../scripts/lib/options.ts";

const values = readOptions({
  seeds: { type: "string", default: "200" },
  from: { type: "string", default: "1" },
  seed: { type: "string" },
  jobs: { type: "string" },
  log: { type: "string" },
  timeline: { type: "boolean", default: false },
  json: { type: "boolean", default: false },
  "no-shrink": { type: "boolean", default: false },
});

const logs: readonly LogKind[] = ["objects", "segments"];
const log = values.log === undefined ? undefined : orEnd(() => oneOf("log", values.log ?? "", logs));
const number = (name: string, text: string): number => orEnd(() => wholeNumber(name, text, 0));
const options = log === undefined ? {} : { options: { log } };
process.exitCode = values.seed === undefined ? await many() : await one(number("seed", values.seed));

async function many(): Promise<number> {
  const startedAt = performance.now();
  const say = values.json ? console.error : console.log;
  const sum = await runSeeds(
    number("from", values.from),
    number("seeds", values.seeds),
    number("jobs", String(values.jobs ?? jobsDefault())),
    (seed, violation) => {
      say(
        `seed ${seed}: ${violation}\n  bun run sim --seed ${seed}${log === undefined ? "" : ` --log ${log}`} --timeline`,
      );
    },
    log,
  );
  const { faults, transitions, pairs, failed, ...figures } = sum;
  const { unreached, undeclared, unmet } = gaps(transitions, pairs, faultKinds);
  const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
  const partitions = ["isolate-host", "isolate-gateway", "flap"].reduce(
    (count, kind) => count + (faults[kind] ?? 0),
    0,
  );
  if (values.json)
    console.log(
      JSON.stringify({
        ...figures,
        partitions,
        violations: failed.length,
        seconds,
        faults,
        transitions,
        pairs,
        unreached,
        undeclared,
        unmet,
      }),
    );
  else {
    for (const [name, value] of Object.entries({ ...figures, partitions, virtualHours: figures.virtualMs / 3_600_000 }))
      console.log(`${name.padEnd(14)} ${Math.round(value * 100) / 100}`);
    console.log(`faults         ${listed(faults)}`);
    console.log(`transitions    ${listed(transitions)}`);
    console.log(
      `fault pairs    ${Object.keys(pairs).length} kinds of pairs, ${Object.values(pairs).reduce((total, times) => total + times, 0)} times`,
    );
    console.log(`not reached    ${unreached.length === 0 ? "every declared transition was" : unreached.join(", ")}`);
    if (undeclared.length > 0) console.log(`not declared   ${undeclared.join(", ")}`);
    console.log(`did not meet   ${unmet.length === 0 ? "every pair of faults did" : unmet.join(", ")}`);
    for (const [transition, reason] of Object.entries(excluded)) console.log(`excluded       ${transition}: ${reason}`);
    console.log(
      `${figures.histories} histories, ${figures.failovers} failovers, ${failed.length} with violations, ${seconds} s`,
    );
  }
  return failed.length === 0 ? 0 : 1;
}

function listed(counts: Counts): string {
  return Object.entries(counts)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, times]) => `${name} ${times}`)
    .join(", ");
}

async function one(seed: number): Promise<number> {
  const first = await run({ seed, keepTrace: true, ...options });
  const again = await run({ seed, ...options });
  console.log(`options ${JSON.stringify(first.options)}`);
  if (first.hash !== again.hash) {
    console.log(`NOT DETERMINISTIC: ${first.hash} and then ${again.hash}`);
    return 1;
  }
  const result =
    first.violations.length > 0 && !values["no-shrink"]
      ? await shrink(first, { seed, keepTrace: true, ...options }, run)
      : first;
  if (values.timeline || result.violations.length > 0) show(result);
  console.log(JSON.stringify(first.figures));
  console.log(
    `trace ${first.hash}, the same when run again; ${first.violations.length === 0 ? "no violation" : `${first.violations.length} violations`}`,
  );
  return first.violations.length === 0 ? 0 : 1;
}

function show(result: RunResult): void {
  for (const line of result.trace)
    console.log(`${line.atMs.toFixed(1).padStart(9)} ${line.who.padEnd(8)} ${line.what}`);
  console.log(`${result.faults.length} faults:`);
  for (const fault of result.faults) console.log(`  ${describeFault(fault)}`);
  for (const violation of result.violations) console.log(`VIOLATION ${violation}`);
}

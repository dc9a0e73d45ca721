/**
 * `bun run fuzz:usage`: draws programs that use SQLite and its files as applications do, runs them with real processes
 * under capture and gate, kills primaries, and compares the acknowledged writes with those of the next primary.
 * docs/CAPTURE.md lists its findings.
 *
 * `--seeds N` programs (30), `--seed S` the first or, without `--seeds`, the only one, with what came of each step;
 * `--at-once N` (4); `--profile usage|files` and `--rounds N` (`bun run rounds:files`: so many programs of tenants that
 * come and go as files); `--src FOLDER` the sources under test, another version's for example; `--steps N` of each
 * program; `--json`.
 *
 * The last line with --json:
 * {"fuzz":"usage","seeds":N,"acknowledged":N,"failovers":N,"refusals":N,"seconds":N,
 * "violations":[{"seed","kind","text"}]}.
 * Exit code 1 when there are violations.
 */
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { drawProgram, type Profile } from "../test/capture/fuzz/program.ts";
import { Runner } from "../test/capture/fuzz/run.ts";
import { oneOf, orEnd, readOptions, wholeNumber } from "./lib/options.ts";

const values = readOptions({
  seeds: { type: "string" },
  rounds: { type: "string" },
  seed: { type: "string" },
  steps: { type: "string" },
  "at-once": { type: "string", default: "4" },
  profile: { type: "string", default: "usage" },
  src: { type: "string", default: join(import.meta.dirname, "../src") },
  json: { type: "boolean", default: false },
});

const number = (name: "seeds" | "rounds" | "seed" | "steps" | "at-once", otherwise: number): number =>
  orEnd(() => wholeNumber(name, values[name] ?? String(otherwise), 1));

const profile: Profile = orEnd(() => oneOf("profile", values.profile, ["usage", "files"]));
const first = number("seed", 1);
const seeds = number(values.rounds === undefined ? "seeds" : "rounds", values.seed === undefined ? 30 : 1);
const steps = values.steps === undefined ? undefined : number("steps", 1);
const src = resolve(values.src);
const command = `bun run fuzz:usage --profile ${profile}${steps === undefined ? "" : ` --steps ${steps}`}`;
const say = (line: string): void => void (values.json ? process.stderr : process.stdout).write(`${line}\n`);

const sum = { acknowledged: 0, failovers: 0, refusals: 0 };
const violations: { readonly seed: number; readonly kind: string; readonly text: string }[] = [];
const startedAt = performance.now();
const waiting = Array.from({ length: seeds }, (_, at) => first + at);

async function runNext(): Promise<void> {
  for (let seed = waiting.shift(); seed !== undefined; seed = waiting.shift()) await runSeed(seed);
}

async function runSeed(seed: number): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), `stead-fuzz-${seed}-`));
  const alone = seeds === 1;
  const run = await new Runner({ src, folder, ...(alone ? { onLine: say } : {}) }).run(
    drawProgram(seed, profile, steps),
  );
  sum.acknowledged += run.acknowledged;
  sum.failovers += run.failovers;
  sum.refusals += run.refusals.length;
  for (const violation of run.violations) violations.push({ seed, ...violation });
  if (run.violations.length === 0) return;
  say(`seed ${seed} (again: ${command} --seed ${seed})`);
  if (!alone) for (const line of run.lines) say(`  ${line}`);
  for (const { kind, text } of run.violations) say(`  ${kind}: ${text}`);
}

await Promise.all(Array.from({ length: Math.min(seeds, number("at-once", 4)) }, runNext));
const seconds = Math.round((performance.now() - startedAt) / 100) / 10;
say(
  `${seeds} programs in ${seconds} s: ${sum.acknowledged} tokens acknowledged, ${sum.failovers} failovers, ${sum.refusals} by refusals, ${violations.length} violations`,
);
if (values.json) process.stdout.write(`${JSON.stringify({ fuzz: profile, seeds, ...sum, seconds, violations })}\n`);
process.exitCode = violations.length === 0 ? 0 : 1;

/**
 * `bun run sim:mutants`: breaks one rule after the other, and says after how many seeds the simulator noticed. A mutant
 * that survives is a hole in the simulator.
 */
import { allRules, type RuleName, type Rules, withoutRule } from "../../src/core/rules.ts";
import {
  attackCarried,
  attackChain,
  attackEpochs,
  attackForgery,
  attackOwnEpoch,
  attackPins,
  attackSameEpoch,
} from "./direct-mutants.ts";
import {
  attackEarlyRemoval,
  attackExistingChunk,
  attackLateRow,
  attackLink,
  attackOverflow,
  attackRename,
} from "./file-mutants.ts";
import { type SimOptions, storing, uploading } from "./options.ts";
import { applicationScenarios } from "./application-scenarios.ts";
import { run } from "./run.ts";
import { runScenario, type Scenario, scenarios } from "./scenarios.ts";
import { attackGap, attackLateSeal } from "./segment-mutants.ts";
import { versionScenarios } from "./version-scenarios.ts";
import { readOptions } from "../../scripts/lib/options.ts";

interface Mutant {
  readonly rule: RuleName;
  readonly seedsMax: number;
  readonly options?: Partial<SimOptions>;
  /** In place of what the seeds draw: what must hold in it always, and does not without the rule. */
  readonly scenario?: Scenario;
}

const scenarioCalled = (words: string): Scenario => {
  const found = [...scenarios, ...applicationScenarios, ...versionScenarios].find(({ name }) => name.includes(words));
  if (found === undefined) throw new Error(`no scenario is called "${words}"`);
  return found;
};

/** Many writers that overwrite, and a hold that gives them back soon. */
const impatient: Partial<SimOptions> = {
  ...{
    holdMs: 600,
    heldMax: 2,
    putShare: 0.9,
    writeShare: 0.9,
    keys: 1,
    clients: 6,
    thinkMs: 5,
    applicationStartMs: 200,
  },
  ...{ clientTimeoutMs: 12_000, faultEveryMs: 300, poisonShare: 0, longShare: 0, isWell: false },
};

/** Many writers that append, and primaries that are killed all the time. */
const appending: Partial<SimOptions> = {
  ...{ putShare: 0, writeShare: 0.9, clients: 6, thinkMs: 5, applicationStartMs: 200, faultEveryMs: 300 },
  ...{ clientTimeoutMs: 12_000, poisonShare: 0, longShare: 0, isWell: false },
};

/** Requests begin, commit and are answered while a flush is collected. */
const overlapping: Partial<SimOptions> = {
  ...appending,
  ...{ pausesHandover: false, diskMs: 3, applicationExecMs: 0.5, clients: 12, thinkMs: 1 },
};

/** A log in segments whose vault's syncs fail, and whose hosts stand still within appends and claims. */
const powerless: Partial<SimOptions> = {
  ...{ log: "segments", staleMissMs: 0, syncFailShare: 0.1, standStillShare: 0.05, standStillMs: 300 },
  ...{ faultEveryMs: 300, putShare: 0.1, writeShare: 0.8, thinkMs: 5, isWell: false },
};

const mutants: readonly Mutant[] = [
  { rule: "R1-claim-after-end-of-log", seedsMax: 200 },
  { rule: "R2-fenced-on-exists", seedsMax: 200 },
  { rule: "R3-retry-ambiguous-put", seedsMax: 200 },
  { rule: "R4-boundary-check", seedsMax: 6, scenario: scenarioCalled("what it had read is garbage") },
  { rule: "R5-lease-for-reads", seedsMax: 200 },
  { rule: "R5-wait-out-old-lease", seedsMax: 200 },
  { rule: "R6-checkpoint-before-delete", seedsMax: 200 },
  { rule: "gate", seedsMax: 200 },
  { rule: "gate-own-call", seedsMax: 200 },
  { rule: "persist-before-send", seedsMax: 200 },
  { rule: "majority", seedsMax: 200 },
  { rule: "replay", seedsMax: 200 },
  { rule: "replay-named", seedsMax: 200, options: appending },
  { rule: "replay-named-known", seedsMax: 400, options: appending },
  { rule: "replay-named-collected", seedsMax: 400, options: overlapping },
  { rule: "replay-named-run", seedsMax: 200, options: appending },
  { rule: "replay-outcome-covered", seedsMax: 400, options: overlapping },
  { rule: "replay-outcome-durable", seedsMax: 400, options: appending },
  { rule: "replay-outcome", seedsMax: 200, options: impatient },
  { rule: "replay-bound", seedsMax: 200 },
  { rule: "suspects-complete", seedsMax: 200 },
  { rule: "no-leftovers", seedsMax: 200 },
  { rule: "retry", seedsMax: 200 },
  { rule: "liveness-progress", seedsMax: 200 },
  { rule: "segment-sync-before-look", seedsMax: 400, options: powerless },
  { rule: "segment-claim-before-end", seedsMax: 400, options: powerless },
  { rule: "segment-only-what-counts", seedsMax: 400, options: powerless },
  { rule: "segment-failed-file-left", seedsMax: 400, options: powerless },
  { rule: "segment-carried-record", seedsMax: 400, options: powerless },
  { rule: "files-with-rows", seedsMax: 200, options: uploading },
  { rule: "files-at-checkpoint", seedsMax: 200, options: uploading },
  { rule: "files-in-state", seedsMax: 200, options: uploading },
  { rule: "files-chunk-before-flush", seedsMax: 200, options: storing },
  { rule: "files-chunks-of-flushes", seedsMax: 200, options: storing },
  { rule: "files-chunks-of-checkpoints", seedsMax: 200, options: storing },
  { rule: "files-moved-away", seedsMax: 200, options: storing },
  { rule: "files-unknown-kept", seedsMax: 200, options: storing },
  { rule: "common-format", seedsMax: 6, scenario: scenarioCalled("upgraded one by one") },
  { rule: "brake", seedsMax: 6, scenario: scenarioCalled("an epoch a second") },
];

const direct: readonly { readonly rule: RuleName; readonly attack: (rules: Rules) => Promise<string | undefined> }[] = [
  { rule: "replay-later-epoch", attack: attackSameEpoch },
  { rule: "replay-own-epoch", attack: attackOwnEpoch },
  { rule: "replay-named-carried", attack: attackCarried },
  { rule: "epoch-proof", attack: attackEpochs },
  { rule: "chain", attack: attackChain },
  { rule: "authentic", attack: attackForgery },
  { rule: "pin-order", attack: attackPins },
  { rule: "files-before-rows", attack: attackLateRow },
  { rule: "files-after-deletions", attack: attackEarlyRemoval },
  { rule: "files-overflow", attack: attackOverflow },
  { rule: "files-rename-whole", attack: attackRename },
  { rule: "files-chunk-read-back", attack: attackExistingChunk },
  { rule: "files-no-link-followed", attack: attackLink },
  { rule: "segment-no-gap", attack: attackGap },
  { rule: "segment-seal-counts", attack: attackLateSeal },
];

const values = readOptions({ only: { type: "string" } });
let survived = 0;
async function whatIsWrong({ options, scenario }: Mutant, seed: number, rules: Rules): Promise<string | undefined> {
  const result =
    scenario === undefined
      ? await run({ seed, rules, options: { fileEvery: 0, ...options } })
      : await runScenario(scenario, seed, rules);
  return result.violations[0] ?? scenario?.always?.(result);
}

for (const mutant of mutants) {
  const { rule, seedsMax } = mutant;
  if (values.only !== undefined && !rule.startsWith(values.only)) continue;
  let caught: string | undefined;
  let seed = 0;
  while (caught === undefined && seed < seedsMax) {
    seed += 1;
    caught = await whatIsWrong(mutant, seed, withoutRule(rule));
    // What the whole product gets wrong too is no proof.
    if (caught !== undefined && (await whatIsWrong(mutant, seed, allRules)) !== undefined) caught = undefined;
  }
  if (caught === undefined) survived += 1;
  console.log(
    caught === undefined ? `SURVIVED ${rule}: ${seedsMax} seeds` : `caught   ${rule}: seed ${seed}: ${caught}`,
  );
}
for (const { rule, attack } of direct) {
  if (values.only !== undefined && !rule.startsWith(values.only)) continue;
  const whole = await attack(allRules);
  const broken = await attack(withoutRule(rule));
  const isCaught = whole === undefined && broken !== undefined;
  if (!isCaught) survived += 1;
  console.log(
    isCaught ? `caught   ${rule}: directly: ${broken}` : `SURVIVED ${rule}: ${whole ?? "nothing was noticed"}`,
  );
}
process.exitCode = survived === 0 ? 0 : 1;

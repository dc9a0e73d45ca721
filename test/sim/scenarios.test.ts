import { describe, expect, test } from "bun:test";
import { applicationScenarios } from "./application-scenarios.ts";
import { hookScenarios } from "./hook-scenarios.ts";
import { versionScenarios } from "./version-scenarios.ts";
import { runScenario, type Scenario, scenarios } from "./scenarios.ts";

const seedsEach = 6;

describe("what happened to others", () => runAll(scenarios));
describe("hosts of two versions", () => runAll(versionScenarios));
describe("an application that misbehaves", () => runAll(applicationScenarios));
describe("an operator's hooks", () => runAll(hookScenarios));

function runAll(all: readonly Scenario[]): void {
  for (const scenario of all) {
    test(scenario.name, async () => {
      let seen = 0;
      for (let seed = 1; seed <= seedsEach; seed++) {
        const result = await runScenario(scenario, seed);
        expect({ seed, violations: result.violations }).toEqual({ seed, violations: [] });
        expect({ seed, wrong: scenario.always?.(result) }).toEqual({ seed, wrong: undefined });
        if (scenario.seen(result)) seen += 1;
      }
      expect(seen).toBeGreaterThan(0);
    }, 60_000);
  }
}

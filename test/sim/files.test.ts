/** Files beside the database in the simulated cluster: they fail over with its rows, and what breaks that shows. */
import { describe, expect, test } from "bun:test";
import { type RuleName, withoutRule } from "../../src/core/rules.ts";
import { uploading } from "./options.ts";
import { run } from "./run.ts";

const hangsAfterMs = 120_000;
/** Several times as many as the mutant needs that is noticed last. */
const seedsMax = 60;

describe("a simulated cluster whose application uploads files", () => {
  test(
    "has each row's file through failovers, and a seed gives the same history every time",
    async () => {
      let failovers = 0;
      for (const seed of [1, 2, 3]) {
        const [first, second] = [await run({ seed, options: uploading }), await run({ seed, options: uploading })];
        expect(first.violations).toEqual([]);
        expect(second.hash).toBe(first.hash);
        failovers += first.figures.failovers;
      }
      expect(failovers).toBeGreaterThan(0);
    },
    hangsAfterMs,
  );

  const mutants: readonly (readonly [RuleName, string])[] = [
    ["files-with-rows", "refers to uploads/"],
    ["files-at-checkpoint", "whose files are not those of the primary"],
    ["files-in-state", "threw away commits or files that are not in the log"],
  ];
  test.each(mutants)(
    "notices that %s is broken",
    async (rule, words) => {
      for (let seed = 1; seed <= seedsMax; seed++) {
        const { violations } = await run({ seed, options: uploading, rules: withoutRule(rule) });
        if (violations.length === 0) continue;
        // Whatever it shows, the rule is what is broken.
        expect((await run({ seed, options: uploading })).violations).toEqual([]);
        if (violations[0]?.includes(words) === true) return;
      }
      expect.unreachable(`${rule} is broken, and ${seedsMax} seeds do not show it`);
    },
    hangsAfterMs,
  );
});

/** Files beside the database in the simulated cluster: they fail over with its rows, and what breaks that shows. */
import { describe, expect, test } from "bun:test";
import { type RuleName, withoutRule } from "../../src/core/rules.ts";
import { type SimOptions, storing, uploading } from "./options.ts";
import { run } from "./run.ts";

const hangsAfterMs = 120_000;
/** Several times as many as the mutant needs that is noticed last. */
const seedsMax = 60;

describe("a simulated cluster whose application uploads files", () => {
  test(
    "has each row's file through failovers, and a seed gives the same history every time",
    async () => {
      const had = { failovers: 0, fileChunks: 0, samePieces: 0, links: 0, folders: 0, fileSetAsides: 0 };
      for (const seed of [1, 2]) {
        const [first, second] = [await run({ seed, options: storing }), await run({ seed, options: storing })];
        expect(first.violations).toEqual([]);
        expect(second.hash).toBe(first.hash);
        for (const name of Object.keys(had) as (keyof typeof had)[]) had[name] += first.figures[name];
      }
      expect(Object.entries(had).filter(([, times]) => times === 0)).toEqual([]);
    },
    hangsAfterMs,
  );

  const mutants: readonly (readonly [RuleName, Partial<SimOptions>, string])[] = [
    ["files-with-rows", uploading, "refers to uploads/"],
    ["files-at-checkpoint", uploading, "whose files are not those of the primary"],
    ["files-in-state", uploading, "threw away commits or files that are not in the log"],
    ["files-chunk-before-flush", storing, "names a chunk of files that is not in the vault"],
    ["files-chunks-of-flushes", storing, "which the kept flush at"],
    ["files-chunks-of-checkpoints", storing, "which the kept checkpoint at"],
    ["files-unknown-kept", storing, "and did not set it aside"],
  ];
  test.each(mutants)(
    "notices that %s is broken",
    async (rule, options, words) => {
      for (let seed = 1; seed <= seedsMax; seed++) {
        const { violations } = await run({ seed, options, rules: withoutRule(rule) });
        if (violations.length === 0) continue;
        // Whatever it shows, the rule is what is broken.
        expect((await run({ seed, options })).violations).toEqual([]);
        if (violations[0]?.includes(words) === true) return;
      }
      expect.unreachable(`${rule} is broken, and ${seedsMax} seeds do not show it`);
    },
    hangsAfterMs,
  );
});

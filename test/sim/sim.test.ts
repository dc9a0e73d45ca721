import { describe, expect, test } from "bun:test";
import { run } from "./run.ts";
import { jobsDefault, runSeeds } from "./seeds.ts";

const failoversWanted = 2_000;
const seedsPerRound = 200;
/** A minute on two cores of its own; other tests may have most of them. */
const hangsAfterMs = 600_000;
/** Many times as much work. */
const failoversHangAfterMs = 3 * hangsAfterMs;

describe("the simulated cluster", () => {
  test("a seed gives the same history every time", async () => {
    for (const seed of [1, 2, 3]) {
      const first = await run({ seed });
      const second = await run({ seed });
      expect(second.hash).toBe(first.hash);
      expect(first.figures.events).toBeGreaterThan(1_000);
    }
  });

  test("a seed gives the same history every time with either log", async () => {
    for (const log of ["objects", "segments"] as const) {
      const [first, second] = [await run({ seed: 1, options: { log } }), await run({ seed: 1, options: { log } })];
      expect(second.hash).toBe(first.hash);
      expect(first.options.log).toBe(log);
    }
  });

  test(
    "a history with an encrypted vault is the same but for the names of chunks",
    async () => {
      for (let seed = 1; seed <= 60; seed += 1) {
        // A checkpoint reads some chunks back, in the order of their names: with those of files there are too many.
        const [clear, encrypted] = [false, true].map((isEncrypted) =>
          run({ seed, options: { log: "objects", isEncrypted, fileEvery: 0 } }),
        );
        const [first, second] = [await clear, await encrypted];
        expect(second?.figures).toEqual(first?.figures);
        // A warning of this history names a chunk.
        if (second?.hash !== first?.hash) return;
      }
      expect.unreachable("no history names a chunk");
    },
    hangsAfterMs,
  );

  test("the order of events does not depend on how microtasks are drained", async () => {
    const first = await run({ seed: 4 });
    process.env["SIM_PORTABLE"] = "1";
    try {
      expect((await run({ seed: 4 })).hash).toBe(first.hash);
    } finally {
      delete process.env["SIM_PORTABLE"];
    }
  });

  test("different seeds give different histories", async () => {
    expect((await run({ seed: 5 })).hash).not.toBe((await run({ seed: 6 })).hash);
  });

  test(
    `${failoversWanted} failovers under all faults: nothing lost, nothing doubled, nothing undone, never two who acknowledge`,
    async () => {
      let failovers = 0;
      for (let from = 1; failovers < failoversWanted; from += seedsPerRound) {
        const sum = await runSeeds(from, seedsPerRound, jobsDefault(), () => undefined);
        expect(sum.failed).toEqual([]);
        expect(sum.histories).toBe(seedsPerRound);
        expect(sum.segmentHistories).toBeGreaterThan(seedsPerRound / 4);
        expect(sum.segmentHistories).toBeLessThan(seedsPerRound / 2);
        failovers += sum.failovers;
      }
      expect(failovers).toBeGreaterThanOrEqual(failoversWanted);
    },
    failoversHangAfterMs,
  );
});

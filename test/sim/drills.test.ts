/** Drills that are ordered on several gateways at the same moment, on the whole simulated cluster. */
import { describe, expect, test } from "bun:test";
import { SeededRandom } from "../../harness/seeded-random.ts";
import { whyNoDrill } from "../../src/core/failover/drill.ts";
import { allRules } from "../../src/core/rules.ts";
import type { DrillOutcome } from "../../src/gateway/service/drills.ts";
import { Checker } from "./checker.ts";
import { Cluster, service } from "./cluster.ts";
import { drawFiles, drawHttp, drawOptions, drawSegments, type SimOptions } from "./options.ts";
import { gatewayOf } from "./sim-gateway.ts";
import { World } from "./world.ts";

const upMsMax = 30_000;
const drillMsMax = 200_000;
const apartMsMax = 40;
const drill = { kind: "switchover", forMs: 1_000, orderedBy: "operator" } as const;

/** A cluster of that seed that serves, and on which every gateway finds a drill safe. */
async function cluster(seed: number, change: Partial<SimOptions>) {
  const dice = new SeededRandom(seed);
  const drawn = drawOptions(dice.fork("options"));
  const options: SimOptions = {
    ...drawn,
    ...drawSegments(seed, drawn, "objects"),
    isEncrypted: false,
    pausesHandover: true,
    http: drawHttp(seed),
    fileEvery: 0,
    files: drawFiles(seed),
    ...change,
  };
  const world = new World({ keepTrace: false });
  const { pageSize, keys } = options;
  const checker = new Checker({ world, service, pageSize, keys, fileEvery: 0, coversIncoming: false });
  const all = new Cluster({ world, dice: dice.fork("cluster"), options, rules: allRules, checker });
  const isSafe = (): boolean =>
    all.gateways.every(({ process }) => {
      const state = gatewayOf(process)?.state;
      return process !== undefined && state !== undefined && whyNoDrill(state, process.clock.now()).length === 0;
    });
  expect(await world.runUntil(upMsMax, () => all.unwell() === undefined && isSafe())).toBe(true);
  return { world, all, dice };
}

/** Orders it on every gateway within a moment, and waits for all the answers. */
async function orderEverywhere(seed: number, gateways: number): Promise<readonly DrillOutcome["kind"][]> {
  const { world, all, dice } = await cluster(seed, { gateways, hosts: 3, earlierHosts: 0 });
  const outcomes: DrillOutcome["kind"][] = [];
  const apartMs = dice.pick([0, 1, apartMsMax]);
  for (const machine of all.gateways)
    world.after(dice.between(0, apartMs), "order", () => {
      void gatewayOf(machine.process)
        ?.drill(drill)
        ?.then(({ kind }) => outcomes.push(kind));
    });
  expect(await world.runUntil(world.now + drillMsMax, () => outcomes.length === gateways)).toBe(true);
  return outcomes;
}

describe("a drill", () => {
  test("that is ordered on all gateways in the same moment begins on one of them", async () => {
    for (let seed = 1; seed <= 20; seed++)
      for (const gateways of [2, 3]) {
        const outcomes = await orderEverywhere(seed, gateways);
        expect({ seed, gateways, run: outcomes.filter((kind) => kind === "run").length }).toEqual({
          ...{ seed, gateways, run: 1 },
        });
      }
  });

  test("begins while one gateway of three is dead, and not while one of two is: no majority would know of it", async () => {
    for (const [gateways, expected] of [
      [3, "run"],
      [2, "unsafe"],
    ] as const) {
      const { world, all } = await cluster(1, { gateways, hosts: 3, earlierHosts: 0 });
      const [first, second] = all.gateways;
      second?.process?.kill("crash");
      let outcome: DrillOutcome | undefined;
      void gatewayOf(first?.process)
        ?.drill(drill)
        ?.then((end) => (outcome = end));
      expect(await world.runUntil(world.now + drillMsMax, () => outcome !== undefined)).toBe(true);
      expect(outcome?.kind).toBe(expected);
      if (outcome?.kind === "unsafe") expect(outcome.reasons).toEqual([expect.stringContaining("no answer from g2")]);
    }
  });
});

/**
 * Partitions of a real network between real processes. Each scenario: a fresh cluster under load, a cut, how many
 * failovers it made, how long clients waited, and that nothing acknowledged is missing and nothing stale was shown;
 * then it heals and converges. The table with the figures is printed at the end.
 */
import { afterAll, afterEach, expect, test } from "bun:test";
import { missingForNamespaces, missingForVaultCuts } from "./missing.ts";
import { scenarios } from "./scenarios.ts";
import { type ScenarioResult, Stage } from "./stage.ts";

const scenarioWithinMs = 120_000;
const missing = missingForNamespaces();
const missingVault = missingForVaultCuts();
if (missing !== undefined) console.log(`skipped, partitions in network namespaces: ${missing}`);
else if (missingVault !== undefined) console.log(`skipped, single hosts cut from the vault: ${missingVault}`);

const expected = (failovers: number | null): string =>
  failovers === null
    ? "nothing is lost, and the service continues"
    : failovers === 0
      ? "no failover"
      : `${failovers === 1 ? "one failover" : `${failovers} failovers`}`;

let stage: Stage | undefined;
const rows: { readonly name: string; readonly gateways: number; readonly result: ScenarioResult }[] = [];

afterEach(async () => {
  await stage?.close();
  stage = undefined;
});

for (const [index, { name, gateways, failovers, failoversMost, needsVaultCut, faults }] of scenarios.entries()) {
  const skipped = missing !== undefined || (needsVaultCut && missingVault !== undefined);
  test.skipIf(skipped)(
    `${gateways} ${gateways === 1 ? "gateway" : "gateways"}: ${name}: ${expected(failovers)}`,
    async () => {
      stage = await Stage.open({ gateways, seed: index + 1 });
      const result = await stage.play(faults);
      rows.push({ name, gateways, result });
      const [least, most] = failovers === null ? [0, Infinity] : [failovers, failoversMost ?? failovers];
      const isExpected = result.failovers >= least && result.failovers <= most;
      if (!isExpected || result.failed + result.missing + result.violations.length > 0)
        console.log(stage.cluster.logTails());
      expect(result.violations).toEqual([]);
      expect(result.failures).toEqual([]);
      expect(result.failovers).toBeGreaterThanOrEqual(least);
      expect(result.failovers).toBeLessThanOrEqual(most);
      expect(result).toMatchObject({ missing: 0, stale: 0, wrong: 0, failed: 0 });
      expect(result.acknowledged).toBeGreaterThan(0);
    },
    scenarioWithinMs,
  );
}

afterAll(() => {
  if (rows.length === 0) return;
  const heads = [
    "gateways",
    "scenario",
    "failovers",
    "client gap ms",
    "converged after ms",
    "acknowledged",
    "missing",
    "stale",
    "wrong",
    "failed",
    "unknown",
  ];
  const lines = rows.map(({ name, gateways, result }) => {
    const { failovers, gapMs, convergeMs, acknowledged, missing: lost, stale, wrong, failed, unknown } = result;
    return [
      gateways,
      name,
      failovers,
      gapMs.join("/"),
      convergeMs,
      acknowledged,
      lost,
      stale,
      wrong,
      failed,
      unknown,
    ].map(String);
  });
  const widths = heads.map((head, column) => Math.max(head.length, ...lines.map((line) => line[column]?.length ?? 0)));
  for (const line of [heads, ...lines])
    console.log(
      line
        .map((cell, column) => (column === 1 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  "),
    );
});

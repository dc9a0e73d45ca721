/** The alerts and the dashboard in examples/ ask for metrics that exist. */
import { spawnSync } from "node:child_process";
import { describe, expect, test } from "bun:test";
import { definitions } from "../../src/metrics/metrics.ts";
import { alertQueries, dashboardQueries, rulesFile } from "../support/metrics/examples.ts";
import { hasPromtool } from "../support/metrics/promtool.ts";

const unknownIn = (query: string): string[] =>
  [...query.matchAll(/\bstead_\w+/g)]
    .map(([name]) => name)
    .filter((name) => !Object.hasOwn(definitions, name))
    .filter((name) => {
      const [, base] = /^(\w+)_(?:bucket|sum|count)$/.exec(name) ?? [];
      const definition = (definitions as Readonly<Record<string, { readonly kind: string }>>)[base ?? ""];
      return definition?.kind !== "histogram";
    });

describe("each query asks only for metrics that exist", () => {
  const queries = new Map([...alertQueries(), ...dashboardQueries("notes")]);

  test("of alerts and dashboard", () => {
    expect(queries.size).toBeGreaterThan(40);
    for (const [name, query] of queries) expect([name, unknownIn(query)]).toEqual([name, []]);
  });

  test("and one that does not exist is found", () => {
    expect(unknownIn("rate(stead_epoch_bucket[1m]) + stead_gate_wait_seconds_sum + stead_gone")).toEqual([
      "stead_epoch_bucket",
      "stead_gone",
    ]);
  });
});

(hasPromtool ? test : test.skip)("Prometheus accepts the alerts (needs promtool)", () => {
  const { status, stderr } = spawnSync("promtool", ["check", "rules", rulesFile], { encoding: "utf8" });
  expect([status, stderr]).toEqual([0, ""]);
});

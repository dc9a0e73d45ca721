/** The tables of docs/METRICS.md, as they must be. */
import type { Definitions } from "../../../src/metrics/definition.ts";

export function metricsTable(table: Definitions): string {
  const rows = Object.entries(table).map(
    ([name, { kind, labels, help }]) =>
      `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(", ")} | ${help} |`,
  );
  return ["| metric | kind | labels | says |", "|---|---|---|---|", ...rows].join("\n");
}

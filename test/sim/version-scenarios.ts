/** Hosts of two versions in one cluster: what an upgrade host by host, and a way back, do to the formats of records. */
import { count, said, type Scenario } from "./scenarios.ts";
import type { RunResult } from "./run.ts";

const toFormat2 = "records are of format 2 from here on";
const toFormat1 = "records are of format 1 from here on";
const refused = "has an unknown format";

const claims = (result: RunResult): number => count(result, "claims epoch");
const refusals = (result: RunResult): string | undefined =>
  said(result, refused) ? "a host met a record that it cannot read" : undefined;

const upgrade = (who: number, atMs: number) => ({ kind: "install", who, isEarlier: false, atMs, forMs: 500 }) as const;
const lastUpgradeMs = 8_000;

export const versionScenarios: readonly Scenario[] = [
  {
    name: "hosts are upgraded one by one: format 2 begins after the last of them, and no host meets what it cannot read",
    faults: [upgrade(1, 4_000), upgrade(2, 6_000), upgrade(0, lastUpgradeMs)],
    options: { earlierHosts: 3, hasKeys: false, faultyMs: 12_000 },
    always: (result) => {
      const begins = result.trace.find(({ what }) => what.includes(toFormat2));
      if (begins === undefined) return "format 2 never began";
      return begins.atMs < lastUpgradeMs ? `format 2 began at ${begins.atMs} ms` : refusals(result);
    },
    seen: (result) => said(result, toFormat2),
  },
  {
    name: "a primary of this version dies while a host of the earlier one follows: that one can take over",
    faults: [
      { kind: "kill", who: "primary", atMs: 4_000, forMs: 1_500 },
      { kind: "kill", who: "primary", atMs: 7_000, forMs: 1_500 },
    ],
    options: { hosts: 2, earlierHosts: 1, hasKeys: false },
    always: (result) => (said(result, toFormat2) ? "format 2 with a host that cannot read it" : refusals(result)),
    seen: (result) => claims(result) >= 3,
  },
  {
    name: "a host goes back to the earlier version: it refuses the log, the primary writes format 1 again, and the next checkpoint lets it begin",
    faults: [{ kind: "install", who: 2, isEarlier: true, atMs: 6_000, forMs: 500 }],
    options: { checkpointIntervalMs: 2_000, faultyMs: 12_000, hasKeys: false },
    always: (result) =>
      result.trace.find(({ what }) => what.includes(toFormat1)) === undefined ? "format 1 never came back" : undefined,
    seen: (result) => said(result, refused),
  },
];

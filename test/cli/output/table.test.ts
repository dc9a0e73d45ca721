/** Each view with long names on a terminal of 80 columns: the terminal breaks no line, and no text is lost. */
import { describe, expect, test } from "bun:test";
import { formatDifferences } from "../../../src/cli/commands/config-diff.ts";
import { formatDatabases } from "../../../src/cli/commands/databases.ts";
import { describeDrills } from "../../../src/cli/commands/drill.ts";
import { formatGateways } from "../../../src/cli/commands/gateways.ts";
import { formatHosts } from "../../../src/cli/commands/hosts.ts";
import { showRotation } from "../../../src/cli/commands/secret.ts";
import { formatRows } from "../../../src/cli/commands/sql.ts";
import { formatStatus } from "../../../src/cli/commands/status.ts";
import { formatTokens } from "../../../src/cli/commands/token.ts";
import { formatTable } from "../../../src/cli/output/table.ts";
import { formatLines, screenOf } from "../../../src/cli/output/wrap-text.ts";
import { clusterStatus, drillEntry, failoverEntry, host, service } from "../../support/gateway/status.ts";

const columns = 80;
const id = (letter: string): string => `${letter}-host-in-the-second-rack-of-frankfurt-${letter.repeat(24)}`;
const url = `http://${"very-long-name.".repeat(5)}example:7701`;
const sentence = `${"the disk did not take a write for a while, and nothing says why; ".repeat(3)}see ${url}`;
const checkpointProgress = { bytes: 2 ** 30, totalBytes: 2 ** 40, bytesPerSecond: 2 ** 26, leftMs: 9_000_000 };
const nextAtMs = Date.UTC(2026, 0, 11, 3);
const planned = { service: id("s"), kind: "switchover", at: "Sun 03:00", nextAtMs, orderedBy: id("p") };
const drill = drillEntry({ service: id("s"), from: id("a"), to: id("b"), detail: sentence, outcome: "interrupted" });

const status = clusterStatus({
  gateway: id("g"),
  troubles: [sentence],
  workers: Array.from({ length: 4 }, (_, at) => ({
    ...{ pid: 1_000_000 + at, state: "serving" as const, connections: 12_345, restarts: 3 },
  })),
  services: [
    service({
      ...{ name: id("s"), reason: sentence, primary: id("a"), routedTo: id("a"), paused: true },
      ...{ pause: { reason: sentence, untilMs: nextAtMs }, epoch: 123_456 },
      hosts: [
        host({ id: id("a"), role: "primary", position: 123_456_789_012, epoch: 123_456, checkpointProgress }),
        host({ id: id("b"), role: "restoring", reason: sentence, notes: [sentence, "4 suspects"] }),
        host({ id: id("c"), health: "down", position: 123_456_789_012, notes: ["refused", sentence] }),
      ],
      failovers: [failoverEntry({ from: id("a"), to: id("b") })],
      drill: { last: drill, next: planned },
    }),
  ],
});

const own = { id: "new", former: { id: "old", untilMs: nextAtMs } };
const views: Readonly<Record<string, (width?: number) => string>> = {
  "stead status": (width) => formatStatus(status, nextAtMs, width),
  "stead hosts list": (width) =>
    formatHosts(
      {
        hosts: [{ service: id("s"), id: id("a"), controlUrl: url, priority: null, nofailover: null, source: "config" }],
      },
      width,
    ),
  "stead gateways list": (width) =>
    formatGateways(
      {
        gateways: [{ id: id("g"), adminUrl: url, self: false, heardMsAgo: 1_234_567, trouble: sentence }],
        ...{ registered: 3, troubles: [sentence] },
      },
      width,
    ),
  "stead token list": (width) =>
    formatTokens(
      {
        tokens: [
          {
            id: "0123456789abcdef",
            name: id("t"),
            role: "operator",
            createdAtMs: 1,
            createdBy: id("p"),
            expiresAtMs: 2,
          },
        ],
      },
      width,
    ),
  "stead databases": (width) =>
    formatDatabases(
      {
        ...{ service: id("s"), host: id("a"), total: 1 },
        databases: [{ name: `${id("d")}/app.db`, condition: "held", forMs: 9_000, reason: sentence, advice: sentence }],
      },
      width,
    ),
  "stead drill list": (width) => describeDrills({ drills: [drill], planned: [planned] }, width),
  "stead config diff": (width) =>
    formatDifferences(
      [{ key: `services.${id("s")}.hosts`, file: url, running: url, because: "decided at run time" }],
      sentence,
      width,
    ),
  "stead secret rotate": (width) =>
    showRotation(
      { file: `/etc/stead/${id("f")}/stead.secret`, own: () => own },
      [{ name: `host:${id("s")}/${id("a")}`, told: { kind: "silent", why: sentence } }],
      width,
    ),
  "stead sql, as a table": (width) =>
    formatRows({ columns: ["host", "detail"], rows: [["a", sentence]], truncated: false }, width),
  "stead sql, as blocks": (width) =>
    formatRows(
      { columns: ["id", "host", "at", "detail"], rows: [[id("i"), id("a"), url, sentence]], truncated: false },
      width,
    ),
  "the error of a gateway that does not answer": (width) =>
    formatLines(`stead: ${url} does not answer\n  do: ${sentence}`, screenOf(width)),
};

const withoutSpace = (text: string): string[] => [...text.replaceAll(/\s/g, "")].toSorted();

describe.each(Object.keys(views))("%s", (name) => {
  const view = views[name];
  test("has no line of more than 80 characters, and says all that it says elsewhere", () => {
    const text = view?.(columns) ?? "";
    expect(text.split("\n").filter((line) => line.length > columns)).toEqual([]);
    expect(withoutSpace(text)).toEqual(withoutSpace(view?.() ?? ""));
  });
});

test("a cell continues in its own column, and other columns stay where they are", () => {
  const table = formatTable(
    [{ title: "NAME" }, { title: "N", align: "right" }, { title: "TEXT" }],
    [["a".repeat(30), "1000000000", "some words that do not fit beside it"]],
    50,
  );
  expect(table).toBe(
    [
      "NAME                         N  TEXT",
      `${"a".repeat(18)}  1000000000  some words that do`,
      `${"a".repeat(12)}                    not fit beside it`,
      "",
    ].join("\n"),
  );
});

import { expect, test } from "bun:test";
import type { SqlAnswer } from "../../../src/control/gateway-api.ts";
import { written } from "../../../src/gateway/page/answers.tsx";
import { ApiCalls } from "../../../src/gateway/page/api-calls.ts";
import { failoverDetail } from "../../../src/gateway/page/failover.tsx";

/** The rows that a statement is answered with; the statement is told by the view that it reads. */
const failover = (id: string, predictedMs: number | null, gapMs: number): Record<string, unknown> => ({
  ...{ id, service: "notes", gateway: "g1", kind: "kill", outcome: "done", from_host: "a", to_host: "b" },
  ...{ epoch_from: 1, epoch_to: 2, attempts: 1, decided_at: "2026-01-01T00:00:00.000Z" },
  ...{ gap_ms: gapMs, gap_start_ms: -10, predicted_ms: predictedMs },
});
const table = (rows: readonly Record<string, unknown>[]): SqlAnswer => ({
  columns: Object.keys(rows[0] ?? {}),
  rows: rows.map((row) => Object.values(row) as SqlAnswer["rows"][number]),
  truncated: false,
});

/** One failover with an earlier one: `f2` took 90 ms to start, `f1` 300 ms and also waited for the lease. */
const phases = [
  ["f2", "start", 0, 90],
  ["f2", "route", 90, 2.2],
  ["f1", "start", 0, 300],
  ["f1", "lease", 300, 50],
] as const;
const answers: readonly [RegExp, (sql: string) => SqlAnswer][] = [
  [/from failovers where id = 'f2'/, () => table([failover("f2", 120, 100)])],
  [/from failovers where service/, () => table([failover("f1", null, 1_400)])],
  [
    /from failover_phases/,
    (sql) => ({
      columns: [],
      rows: phases.filter(([id]) => sql.includes(`'${id}'`)).map((each) => [...each]),
      truncated: false,
    }),
  ],
  [
    /from failover_expectations/,
    () => ({
      columns: [],
      rows: [
        ["rest", -5, "measured"],
        ["lease", 40, "configured"],
        ["start", 60, "measured"],
        ["route", 2, "measured"],
      ],
      truncated: false,
    }),
  ],
];

async function comparisonsOf(id: string): Promise<Record<string, readonly string[]>> {
  const api = new ApiCalls(
    async (request) => {
      const { sql } = (await request.json()) as { sql: string };
      const answer = answers.find(([pattern]) => pattern.test(sql))?.[1](sql);
      return Response.json(answer ?? { columns: [], rows: [], truncated: false });
    },
    "token",
    {},
  );
  const view = await failoverDetail(api, id, "");
  const text = written(view?.body as Parameters<typeof written>[0]);
  const tables = text.match(/<table.*?<\/table>/gs) ?? [];
  return Object.fromEntries(
    tables.map((each) => [
      /<caption[^>]*>([^<]*)/.exec(each)?.[1] ?? "",
      (each.match(/<tr.*?<\/tr>/gs) ?? []).map((row) =>
        (row.match(/<t[hd][^>]*>([^<]*)/g) ?? []).map((cell) => cell.replace(/<[^>]*>/, "")).join("|"),
      ),
    ]),
  );
}

test("what was expected and an earlier failover are compared in the same table, phase by phase", async () => {
  const tables = await comparisonsOf("f2");
  expect(tables["Expected at the decision, and measured"]).toEqual([
    "Phase|Expected|Measured|Difference",
    "start|60 ms|90 ms|+30 ms",
    "lease|40 ms|–|–",
    "route|2 ms|2 ms|0 ms",
    "rest|−5 ms|–|–",
    "clients’ gap|120 ms|100 ms|−20 ms",
  ]);
  expect(tables["Each phase then and this time"]).toEqual([
    "Phase|Then|This one|Difference",
    "start|300 ms|90 ms|−210 ms",
    "lease|50 ms|–|–",
    "route|–|2 ms|–",
    "clients’ gap|1.4 s|100 ms|−1.3 s",
  ]);
});

/**
 * Attack: a client with the secret sends a pipeline of 18 KB whose answers together have gigabytes: rows of values that
 * were not counted (empty texts, numbers, names of columns), errors that quote the statement, texts stored once
 * and named in every step.
 *
 * Rule: everything that is sent for one pipeline is counted as it is sent, against one budget. What exceeds it is an
 * error of that request, and the connection lives.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { pipelineBytesMax } from "../../src/gateway/state/answer-budget.ts";
import { secret, TestCluster } from "../support/gateway/cluster.ts";

/** Brackets, baton and the fixed error of each request and step; beside what is counted. */
const frameBytesMax = 12 * 1024 * 1024;
const requests = 128;
const cluster = new TestCluster();
beforeAll(() => cluster.startGateway());
afterAll(() => cluster.stop());

const post = (body: unknown): Promise<Response> =>
  fetch(`http://127.0.0.1:${cluster.gateway?.adminPort ?? 0}/v3/pipeline`, {
    method: "POST",
    headers: { authorization: `Bearer ${secret}` },
    body: JSON.stringify(body),
  });
interface Answer {
  readonly baton: string | null;
  readonly results: readonly {
    readonly type: string;
    readonly error?: { readonly code: string };
    readonly response?: { readonly result: unknown };
  }[];
}

/** Sends one pipeline, requires that its answer is bounded, and that the gateway still answers. */
async function sendBounded(requested: readonly unknown[], baton: string | null = null): Promise<Answer> {
  const text = await (await post({ baton, requests: requested })).text();
  expect(text.length).toBeLessThan(pipelineBytesMax + frameBytesMax);
  const after = (await (await post({ requests: [execute("select 1")] })).json()) as Answer;
  expect(after.results[0]?.type).toBe("ok");
  return JSON.parse(text) as Answer;
}

const execute = (sql: string): unknown => ({ type: "execute", stmt: { sql } });
const repeat = (request: unknown): unknown[] => Array.from({ length: requests }, () => request);
const rows = "with recursive n(x) as (select 1 union all select x + 1 from n limit 9999)";
const codes = (answer: Answer): string[] => answer.results.map(({ type, error }) => error?.code ?? type);

for (const [what, columns] of [
  ["empty texts", "'', '', '', '', '', '', '', '', '', ''"],
  ["numbers", "x, x, x, x, x, x, x, x, x, x"],
  ["texts that JSON escapes", "char(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)"],
  ["nothing", "null, null, null, null, null, null, null, null"],
] as const) {
  test(`rows of ${what} are counted as they are sent`, async () => {
    const answer = await sendBounded(repeat(execute(`${rows} select ${columns} from n`)));
    expect(codes(answer).at(-1)).toBe("SQL_RESULT_TOO_LARGE");
  }, 60_000);
}

test("names of columns, of a description too, are counted", async () => {
  const sql = `select 1 as "${"c".repeat(90_000)}"`;
  const { baton } = (await (await post({ requests: [{ type: "store_sql", sql_id: 1, sql }] })).json()) as Answer;
  const described = await sendBounded(repeat({ type: "describe", sql_id: 1 }), baton);
  const steps = Array.from({ length: 60 }, () => ({ stmt: { sql_id: 1 } }));
  const again = await sendBounded(repeat({ type: "batch", batch: { steps } }), described.baton);
  expect(new Set([...codes(described), ...codes(again)])).toContain("SQL_TEXT_TOO_LARGE");
}, 60_000);

test("an error does not repeat a long statement", async () => {
  const sql = `select ${"c".repeat(90_000)}`;
  const { baton } = (await (await post({ requests: [{ type: "store_sql", sql_id: 1, sql }] })).json()) as Answer;
  const text = JSON.stringify(await sendBounded([{ type: "execute", stmt: { sql_id: 1 } }], baton));
  expect(text.length).toBeLessThan(1_000);
});

test("a stored text counts each time it is used", async () => {
  const sql = `select 1 --${" ".repeat(90_000)}`;
  const { baton } = (await (await post({ requests: [{ type: "store_sql", sql_id: 1, sql }] })).json()) as Answer;
  const steps = Array.from({ length: 256 }, () => ({ stmt: { sql_id: 1 } }));
  expect(codes(await sendBounded([{ type: "batch", batch: { steps } }], baton))).toEqual(["SQL_TEXT_TOO_LARGE"]);
});

test("`stead sql` counts its rows as they are sent", async () => {
  const answer = await cluster.client.sql({ sql: `${rows} select ${"'', ".repeat(100)} x from n`, rowsMax: 10_000 });
  if (answer.kind !== "ok") throw new Error(answer.kind);
  expect(answer.value.truncated).toBe(true);
  expect(JSON.stringify(answer.value).length).toBeLessThan(2.1 * 1024 * 1024);
});

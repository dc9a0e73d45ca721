/**
 * A separate process that answers queries on the gateway's database, read-only: one line of JSON in, one line out.
 *
 * It is separate because SQLite runs a statement to its end on the calling thread: an endless query would stop a
 * gateway, while killing this process ends it. What it may allocate is limited too. Each request has a connection of
 * its own, which only reads (read-only-database.ts), and a budget of bytes for its answer.
 */
import { createInterface } from "node:readline";
import type { DatabaseSync } from "node:sqlite";
import type { HranaBatchResult, HranaDescription } from "../../control/hrana.ts";
import { limitOwnMemory } from "../../runtime/memory-limit.ts";
import { AnswerBudget } from "./answer-budget.ts";
import { openReadOnly } from "./read-only-database.ts";
import { faultOfStatement } from "./sql-statement.ts";
import { describeStatement, errorOf, runSteps, type SqlStep, tooLarge } from "./sql-steps.ts";

export type ReaderRequest =
  | { readonly kind: "query"; readonly sql: string; readonly rowsMax: number }
  /** Statements with parameters and conditions (Hrana). `bytesMax`: JSON of the answer. */
  | { readonly kind: "steps"; readonly steps: readonly SqlStep[]; readonly rowsMax: number; readonly bytesMax: number }
  | { readonly kind: "describe"; readonly sql: string; readonly bytesMax: number };

export type ReaderCell = null | number | string | { readonly base64: string };

export type ReaderAnswer =
  | {
      readonly kind: "rows";
      readonly columns: readonly string[];
      readonly rows: readonly (readonly ReaderCell[])[];
      readonly truncated: boolean;
    }
  | { readonly kind: "steps"; readonly result: HranaBatchResult }
  | { readonly kind: "description"; readonly result: HranaDescription }
  | { readonly kind: "error"; readonly message: string; readonly code: string };

/** JSON of an answer in rows; further rows are left out and the answer is `truncated`. */
const rowsBytesMax = 2 * 1024 * 1024;

/** Beyond what the process has when it starts: a row of values in SQLite and in JavaScript, and sorts. */
const memoryBytesMax = 256 * 1024 * 1024;

/** Serves requests from standard input until it ends. */
export async function runSqlReader(path: string): Promise<void> {
  await limitOwnMemory(memoryBytesMax);
  for await (const line of createInterface({ input: process.stdin })) {
    let answer: ReaderAnswer;
    try {
      using database = openReadOnly(path);
      answer = answerTo(database, JSON.parse(line) as ReaderRequest);
    } catch (error) {
      answer = { kind: "error", ...errorOf(error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
}

function answerTo(database: DatabaseSync, request: ReaderRequest): ReaderAnswer {
  switch (request.kind) {
    case "query":
      return query(database, request.sql, request.rowsMax);
    case "steps":
      return { kind: "steps", result: runSteps(database, request.steps, request) };
    case "describe":
      return { kind: "description", result: describeStatement(database, request.sql, request.bytesMax) };
  }
}

function query(database: DatabaseSync, sql: string, rowsMax: number): ReaderAnswer {
  const fault = faultOfStatement(sql);
  if (fault !== undefined) return { kind: "error", ...fault };
  const statement = database.prepare(sql);
  statement.setReadBigInts(true);
  const columns = statement.columns().map(({ name }) => String(name));
  statement.setReturnArrays(true);
  const rows: ReaderCell[][] = [];
  const budget = new AnswerBudget(rowsBytesMax);
  if (!budget.take(columns)) return { kind: "error", ...tooLarge(rowsBytesMax) };
  for (const row of statement.iterate() as Iterable<unknown> as Iterable<readonly unknown[]>) {
    const cells = row.map(cellOf);
    if (rows.length === rowsMax || !budget.take(cells)) return { kind: "rows", columns, rows, truncated: true };
    rows.push(cells);
  }
  return { kind: "rows", columns, rows, truncated: false };
}

function cellOf(value: unknown): ReaderCell {
  if (value === null || typeof value === "string" || typeof value === "number") return value;
  if (typeof value === "bigint") return Number.isSafeInteger(Number(value)) ? Number(value) : value.toString();
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString("base64") };
  throw new TypeError(`a value of type ${typeof value} cannot be sent`);
}

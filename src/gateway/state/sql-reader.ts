/**
 * A separate process that answers queries on the gateway's database, read-only: one line of JSON in, one line out.
 *
 * It is separate because SQLite runs a statement to its end on the calling thread: an endless query would stop a
 * gateway, while killing this process ends it. The connection is read-only, so no statement can write.
 */
import { createInterface } from "node:readline";
import { DatabaseSync } from "node:sqlite";
import type { HranaBatchResult, HranaDescription } from "../../control/hrana.ts";
import { faultOfStatement } from "./sql-statement.ts";
import { describeStatement, errorOf, runSteps, type SqlStep } from "./sql-steps.ts";

export type ReaderRequest =
  | { readonly kind: "query"; readonly sql: string; readonly rowsMax: number }
  /** Statements with parameters and conditions (Hrana). */
  | { readonly kind: "steps"; readonly steps: readonly SqlStep[]; readonly rowsMax: number }
  | { readonly kind: "describe"; readonly sql: string };

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

/** Limit of all cells of one answer; further rows are left out and the answer is `truncated`. */
const answerBytesMax = 2 * 1024 * 1024;

/** Serves requests from standard input until it ends. */
export async function runSqlReader(path: string): Promise<void> {
  let database: DatabaseSync | null = null;
  for await (const line of createInterface({ input: process.stdin })) {
    let answer: ReaderAnswer;
    try {
      database ??= new DatabaseSync(path, { readOnly: true, timeout: 1_000 });
      answer = answerTo(database, JSON.parse(line) as ReaderRequest);
    } catch (error) {
      answer = { kind: "error", ...errorOf(error) };
    }
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  database?.close();
}

function answerTo(database: DatabaseSync, request: ReaderRequest): ReaderAnswer {
  switch (request.kind) {
    case "query":
      return query(database, request.sql, request.rowsMax);
    case "steps":
      return { kind: "steps", result: runSteps(database, request.steps, request.rowsMax) };
    case "describe":
      return { kind: "description", result: describeStatement(database, request.sql) };
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
  let bytes = 0;
  for (const row of statement.iterate() as Iterable<unknown> as Iterable<readonly unknown[]>) {
    const cells = row.map(cellOf);
    bytes += cells.reduce<number>((sum, cell) => sum + sizeOf(cell), 0);
    if (rows.length === rowsMax || bytes > answerBytesMax) return { kind: "rows", columns, rows, truncated: true };
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

const sizeOf = (cell: ReaderCell): number =>
  typeof cell === "string" ? cell.length : cell !== null && typeof cell === "object" ? cell.base64.length : 8;

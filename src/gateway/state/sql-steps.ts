/**
 * Statements with parameters, alone or as the steps of a batch with conditions, on the reader's read-only connection,
 * with results in Hrana's values (integers and floats apart, which plain JSON cannot say).
 *
 * A batch may be a read transaction: BEGIN, statements, COMMIT share one snapshot. It must end within the batch: an
 * open transaction would keep the gateway's own WAL from being reset for as long as a client likes. A batch that leaves
 * it open is therefore refused as a whole, and the transaction is always rolled back.
 */
import type { DatabaseSync, SQLInputValue } from "node:sqlite";
import type {
  HranaBatchResult,
  HranaCondition,
  HranaDescription,
  HranaError,
  HranaStatementResult,
  HranaValue,
} from "../../control/hrana.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import { AnswerBudget, shortened } from "./answer-budget.ts";
import { faultOfStatement, parameterNames } from "./sql-statement.ts";

export interface SqlStep {
  readonly sql: string;
  readonly args: readonly HranaValue[];
  readonly namedArgs: readonly { readonly name: string; readonly value: HranaValue }[];
  readonly wantRows: boolean;
  readonly condition: HranaCondition | null;
}

/** Why a statement was refused or failed. */
export class SqlFailure extends Error {
  override readonly name = "SqlFailure";
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

interface Budget {
  readonly rowsMax: number;
  readonly bytes: AnswerBudget;
}

/**
 * Runs the steps in order; a step whose condition is false has neither result nor error. A step whose outcome would
 * exceed the budget fails, and takes nothing of it.
 */
export function runSteps(
  database: DatabaseSync,
  steps: readonly SqlStep[],
  { rowsMax, bytesMax }: { readonly rowsMax: number; readonly bytesMax: number },
): HranaBatchResult {
  const results: (HranaStatementResult | null)[] = [];
  const errors: (HranaError | null)[] = [];
  const budget: Budget = { rowsMax, bytes: new AnswerBudget(bytesMax) };
  const transaction = { open: false };
  try {
    for (const step of steps) {
      const wanted = step.condition === null || holds(step.condition, results, errors, transaction.open);
      const outcome = wanted ? runStep(database, step, budget, transaction) : { result: null, error: null };
      results.push(outcome.result);
      errors.push(outcome.error);
    }
    if (transaction.open) {
      throw new SqlFailure(
        "SQL_TRANSACTION_OPEN",
        "a transaction must begin and end within one batch here: interactive transactions are not offered",
      );
    }
    return { step_results: results, step_errors: errors };
  } finally {
    if (transaction.open) database.exec("ROLLBACK");
  }
}

export function describeStatement(database: DatabaseSync, sql: string, bytesMax: number): HranaDescription {
  refuseWriting(sql);
  const cols = columnsOf(database.prepare(sql));
  const description = {
    params: parameterNames(sql).map((name) => ({ name })),
    cols,
    is_explain: /^\s*explain\b/i.test(sql),
    is_readonly: true,
  } as const;
  if (!new AnswerBudget(bytesMax).take(description)) throw failureOf(tooLarge(bytesMax));
  return description;
}

function runStep(
  database: DatabaseSync,
  step: SqlStep,
  budget: Budget,
  transaction: { open: boolean },
): { result: HranaStatementResult | null; error: HranaError | null } {
  const before = budget.bytes.spent;
  try {
    const control = transactionControl(step.sql);
    if (control === null) return { result: runStatement(database, step, budget), error: null };
    if (control === "begin" && transaction.open) throw new SqlFailure("SQLITE_ERROR", "a transaction is open already");
    if (control === "end" && !transaction.open) throw new SqlFailure("SQLITE_ERROR", "no transaction is open");
    database.exec(control === "begin" ? "BEGIN" : "ROLLBACK"); // nothing was written, so that every end is the same
    transaction.open = control === "begin";
    return { result: { cols: [], rows: [], affected_row_count: 0, last_insert_rowid: null }, error: null };
  } catch (thrown) {
    budget.bytes.refundTo(before);
    const error = errorOf(thrown);
    return { result: null, error: budget.bytes.take(error) ? error : tooLarge(budget.bytes.bytesMax) };
  }
}

/** `BEGIN READONLY` is libSQL's own, unknown to SQLite. IMMEDIATE and EXCLUSIVE would write. */
function transactionControl(sql: string): "begin" | "end" | null {
  const words = sql.trim().replace(/;\s*$/, "").toUpperCase().split(/\s+/).join(" ");
  if (/^BEGIN( DEFERRED)?( TRANSACTION)?( READONLY)?$/.test(words)) return "begin";
  return /^(COMMIT|END|ROLLBACK)( TRANSACTION)?$/.test(words) ? "end" : null;
}

function runStatement(database: DatabaseSync, step: SqlStep, budget: Budget): HranaStatementResult {
  refuseWriting(step.sql);
  const statement = database.prepare(step.sql);
  const cols = columnsOf(statement);
  if (!budget.bytes.take({ cols, rows: [] })) throw failureOf(tooLarge(budget.bytes.bytesMax));
  statement.setReadBigInts(true);
  statement.setReturnArrays(true);
  const named = Object.fromEntries(step.namedArgs.map(({ name, value }) => [name, inputOf(value)]));
  const args = step.args.map(inputOf);
  const found = step.namedArgs.length > 0 ? statement.iterate(named, ...args) : statement.iterate(...args);
  const rows: HranaValue[][] = [];
  for (const row of found as Iterable<unknown> as Iterable<readonly unknown[]>) {
    if (!step.wantRows) continue;
    if (rows.length === budget.rowsMax)
      throw new SqlFailure("SQL_ROWS_LIMIT", `the statement has more than ${budget.rowsMax} rows: add a LIMIT`);
    const cells = row.map(valueOf);
    if (!budget.bytes.take(cells)) throw failureOf(tooLarge(budget.bytes.bytesMax));
    rows.push(cells);
  }
  return { cols, rows, affected_row_count: 0, last_insert_rowid: null };
}

function refuseWriting(sql: string): void {
  const fault = faultOfStatement(sql);
  if (fault !== undefined) throw new SqlFailure(fault.code, fault.message);
}

function holds(
  condition: HranaCondition,
  results: readonly unknown[],
  errors: readonly unknown[],
  inTransaction: boolean,
): boolean {
  switch (condition.type) {
    case "ok":
      return results[condition.step] !== undefined && results[condition.step] !== null;
    case "error":
      return errors[condition.step] !== undefined && errors[condition.step] !== null;
    case "not":
      return !holds(condition.cond, results, errors, inTransaction);
    case "and":
      return condition.conds.every((each) => holds(each, results, errors, inTransaction));
    case "or":
      return condition.conds.some((each) => holds(each, results, errors, inTransaction));
    case "is_autocommit":
      return !inTransaction;
  }
}

const columnsOf = (statement: ReturnType<DatabaseSync["prepare"]>): HranaStatementResult["cols"] =>
  statement.columns().map(({ name, type }) => ({ name: String(name), decltype: type ?? null }));

function inputOf(value: HranaValue): SQLInputValue {
  switch (value.type) {
    case "null":
      return null;
    case "integer":
      return BigInt(value.value);
    case "float":
    case "text":
      return value.value;
    case "blob":
      return Buffer.from(value.base64, "base64");
  }
}

function valueOf(value: unknown): HranaValue {
  if (value === null) return { type: "null" };
  if (typeof value === "bigint") return { type: "integer", value: value.toString() };
  // JSON has no infinity; as text it is at least not mistaken for null.
  if (typeof value === "number")
    return Number.isFinite(value) ? { type: "float", value } : { type: "text", value: String(value) };
  if (typeof value === "string") return { type: "text", value };
  if (value instanceof Uint8Array) return { type: "blob", base64: Buffer.from(value).toString("base64") };
  throw new SqlFailure("SQLITE_ERROR", `a value of type ${typeof value} cannot be sent`);
}

/** Its own length is fixed: it is sent when nothing else fits. */
export const tooLarge = (bytesMax: number): HranaError => ({
  code: "SQL_RESULT_TOO_LARGE",
  message: `more than the ${bytesMax} bytes that were left for the answers of this pipeline: ask for less`,
});

const failureOf = ({ code, message }: HranaError): SqlFailure => new SqlFailure(code, message);

/** SQLite's primary result codes that a reading client can meet (sqlite.org/rescode.html). */
const sqliteCodes: Readonly<Record<number, string>> = {
  5: "SQLITE_BUSY",
  7: "SQLITE_NOMEM",
  8: "SQLITE_READONLY",
  11: "SQLITE_CORRUPT",
  13: "SQLITE_FULL",
  18: "SQLITE_TOOBIG",
  20: "SQLITE_MISMATCH",
  23: "SQLITE_READONLY", // refused by the authorizer (read-only-database.ts)
  25: "SQLITE_RANGE",
};

export function errorOf(error: unknown): HranaError {
  if (error instanceof SqlFailure) return { message: error.message, code: error.code };
  const message = shortened(messageOf(error));
  const number =
    error instanceof Error && "errcode" in error && typeof error.errcode === "number" ? error.errcode & 0xff : 1;
  return { message, code: sqliteCodes[number] ?? "SQLITE_ERROR" };
}

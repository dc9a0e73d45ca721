/**
 * One Hrana pipeline: its requests in order, each answered with a result or a typed error; an error ends only its
 * request.
 *
 * SQL goes to the reader process (state/sql-reader.ts), which cannot write and is killed at the time limit. A pipeline
 * as a whole has limits too, because its requests are answered one after the other and sent together: one of time, one
 * of bytes for everything that is sent, and one of SQL text, since a stored text can be named in each of its steps.
 */
import { sqlRowsMax } from "../../../control/gateway-api.ts";
import type {
  HranaBatch,
  HranaError,
  HranaPipelineAnswer,
  HranaRequest,
  HranaResponse,
  HranaStatement,
  HranaStreamResult,
} from "../../../control/hrana.ts";
import type { Clock } from "../../../runtime/clock.ts";
import type { ReaderAnswer, ReaderRequest } from "../../state/sql-reader.ts";
import { AnswerBudget, pipelineBytesMax } from "../../state/answer-budget.ts";
import { storedLengthMax, storedTextsMax, type HranaStream } from "./streams.ts";
import { type SqlStep, tooLarge } from "../../state/sql-steps.ts";

/** One request of a pipeline, a batch counting as one. */
export const requestMs = 2_000;
export const pipelineMs = 10_000;

/** SQL texts of all statements together, in characters, a stored text counting each time it is used. */
const pipelineTextMax = 1_000_000;

export interface PipelineDeps {
  readonly clock: Clock;
  query(request: ReaderRequest, timeoutMs: number): Promise<ReaderAnswer>;
}

/** What is left to one pipeline. */
class PipelineBudget {
  readonly bytes = new AnswerBudget(pipelineBytesMax);
  readonly until: number;
  #textLeft = pipelineTextMax;

  constructor(until: number) {
    this.until = until;
  }

  takeText(sql: string): string {
    this.#textLeft -= sql.length;
    if (this.#textLeft >= 0) return sql;
    throw new HranaRefusal(
      "SQL_TEXT_TOO_LARGE",
      `the statements of a pipeline have ${pipelineTextMax} characters together at most, stored ones each time they are used`,
    );
  }
}

class HranaRefusal extends Error {
  override readonly name = "HranaRefusal";
  readonly error: HranaError;
  constructor(code: string, message: string) {
    super(message);
    this.error = { message, code };
  }
}

export async function runPipeline(
  stream: HranaStream,
  requests: readonly HranaRequest[],
  deps: PipelineDeps,
): Promise<HranaPipelineAnswer["results"]> {
  const budget = new PipelineBudget(deps.clock.now() + pipelineMs);
  const results: HranaStreamResult[] = [];
  for (const request of requests) {
    const result = await runRequest(stream, request, deps, budget);
    results.push(budget.bytes.take(result) ? result : { type: "error", error: tooLarge(pipelineBytesMax) });
  }
  return results;
}

async function runRequest(
  stream: HranaStream,
  request: HranaRequest,
  deps: PipelineDeps,
  budget: PipelineBudget,
): Promise<HranaStreamResult> {
  try {
    if (stream.isClosed) throw new HranaRefusal("STREAM_CLOSED", "the stream was closed before this request");
    return { type: "ok", response: await answer(stream, request, deps, budget) };
  } catch (error) {
    if (error instanceof HranaRefusal) return { type: "error", error: error.error };
    throw error;
  }
}

async function answer(
  stream: HranaStream,
  request: HranaRequest,
  deps: PipelineDeps,
  budget: PipelineBudget,
): Promise<HranaResponse> {
  switch (request.type) {
    case "close":
      stream.isClosed = true;
      return { type: "close" };
    case "execute":
      return { type: "execute", result: await execute(stream, request.stmt, deps, budget) };
    case "batch":
      return { type: "batch", result: await runSteps(stepsOf(stream, request.batch, budget), deps, budget) };
    case "sequence":
      await execute(stream, { ...request, args: [], named_args: [], want_rows: false }, deps, budget);
      return { type: "sequence" };
    case "describe":
      return { type: "describe", result: await describe(stream, request, deps, budget) };
    case "store_sql":
      if (!stream.store(request.sql_id, request.sql)) {
        throw new HranaRefusal(
          "SQL_STORE_FULL",
          `a stream stores ${storedTextsMax} texts of ${storedLengthMax} characters together at most`,
        );
      }
      return { type: "store_sql" };
    case "close_sql":
      stream.forget(request.sql_id);
      return { type: "close_sql" };
    case "get_autocommit":
      return { type: "get_autocommit", is_autocommit: true };
  }
}

async function execute(stream: HranaStream, statement: HranaStatement, deps: PipelineDeps, budget: PipelineBudget) {
  const { step_results, step_errors } = await runSteps([stepOf(stream, statement, null, budget)], deps, budget);
  const [error] = step_errors;
  if (error !== null && error !== undefined) throw new HranaRefusal(error.code, error.message);
  const [result] = step_results;
  if (result === null || result === undefined) throw new Error("a statement without a condition was not executed");
  return result;
}

async function runSteps(steps: readonly SqlStep[], deps: PipelineDeps, budget: PipelineBudget) {
  const answered = await ask({ kind: "steps", steps, rowsMax: sqlRowsMax, bytesMax: budget.bytes.left }, deps, budget);
  if (answered.kind !== "steps") throw new Error(`the reader answered with ${answered.kind}`);
  return answered.result;
}

async function describe(
  stream: HranaStream,
  request: { readonly sql?: string | null | undefined; readonly sql_id?: number | null | undefined },
  deps: PipelineDeps,
  budget: PipelineBudget,
) {
  const answered = await ask(
    { kind: "describe", sql: sqlOf(stream, request, budget), bytesMax: budget.bytes.left },
    deps,
    budget,
  );
  if (answered.kind !== "description") throw new Error(`the reader answered with ${answered.kind}`);
  return answered.result;
}

async function ask(
  request: ReaderRequest,
  { clock, query }: PipelineDeps,
  budget: PipelineBudget,
): Promise<Exclude<ReaderAnswer, { kind: "error" }>> {
  const leftMs = Math.min(requestMs, budget.until - clock.now());
  if (leftMs <= 0) throw new HranaRefusal("SQL_TIMEOUT", `the pipeline took longer than ${pipelineMs} ms`);
  const answered = await query(request, leftMs);
  if (answered.kind === "error") throw new HranaRefusal(answered.code, answered.message);
  return answered;
}

const stepsOf = (stream: HranaStream, batch: HranaBatch, budget: PipelineBudget): SqlStep[] =>
  batch.steps.map(({ stmt, condition }) => stepOf(stream, stmt, condition ?? null, budget));

function stepOf(
  stream: HranaStream,
  statement: HranaStatement,
  condition: SqlStep["condition"],
  budget: PipelineBudget,
): SqlStep {
  const { args, named_args: namedArgs, want_rows: wantRows } = statement;
  return { sql: sqlOf(stream, statement, budget), args, namedArgs, wantRows: wantRows ?? true, condition };
}

function sqlOf(
  stream: HranaStream,
  { sql, sql_id: id }: { readonly sql?: string | null | undefined; readonly sql_id?: number | null | undefined },
  budget: PipelineBudget,
): string {
  if (typeof sql === "string" && typeof id === "number")
    throw new HranaRefusal("HRANA_PROTO_ERROR", "either sql or sql_id is accepted, not both");
  if (typeof sql === "string") return budget.takeText(sql);
  if (typeof id !== "number") throw new HranaRefusal("HRANA_PROTO_ERROR", "sql or sql_id is needed");
  const stored = stream.text(id);
  if (stored === undefined)
    throw new HranaRefusal("SQL_NOT_STORED", `no SQL text is stored under ${id} in this stream`);
  return budget.takeText(stored);
}

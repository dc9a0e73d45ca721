/**
 * One Hrana pipeline: its requests in order, each answered with a result or a typed error; an error ends only its
 * request.
 *
 * SQL goes to the reader process (state/sql-reader.ts), which cannot write and is killed at the time limit. A pipeline
 * as a whole has a limit too, because requests are answered one after the other.
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
import { storedLengthMax, storedTextsMax, type HranaStream } from "./streams.ts";
import type { SqlStep } from "../../state/sql-steps.ts";

/** One request of a pipeline, a batch counting as one. */
export const requestMs = 2_000;
export const pipelineMs = 10_000;

export interface PipelineDeps {
  readonly clock: Clock;
  query(request: ReaderRequest, timeoutMs: number): Promise<ReaderAnswer>;
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
  const until = deps.clock.now() + pipelineMs;
  const results: HranaStreamResult[] = [];
  for (const request of requests) results.push(await runRequest(stream, request, deps, until));
  return results;
}

async function runRequest(
  stream: HranaStream,
  request: HranaRequest,
  deps: PipelineDeps,
  until: number,
): Promise<HranaStreamResult> {
  try {
    if (stream.isClosed) throw new HranaRefusal("STREAM_CLOSED", "the stream was closed before this request");
    return { type: "ok", response: await answer(stream, request, deps, until) };
  } catch (error) {
    if (error instanceof HranaRefusal) return { type: "error", error: error.error };
    throw error;
  }
}

async function answer(
  stream: HranaStream,
  request: HranaRequest,
  deps: PipelineDeps,
  until: number,
): Promise<HranaResponse> {
  switch (request.type) {
    case "close":
      stream.isClosed = true;
      return { type: "close" };
    case "execute":
      return { type: "execute", result: await execute(stream, request.stmt, deps, until) };
    case "batch":
      return { type: "batch", result: await runSteps(stepsOf(stream, request.batch), deps, until) };
    case "sequence":
      await execute(stream, { ...request, args: [], named_args: [], want_rows: false }, deps, until);
      return { type: "sequence" };
    case "describe":
      return { type: "describe", result: await describe(stream, request, deps, until) };
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

async function execute(stream: HranaStream, statement: HranaStatement, deps: PipelineDeps, until: number) {
  const { step_results, step_errors } = await runSteps([stepOf(stream, statement, null)], deps, until);
  const [error] = step_errors;
  if (error !== null && error !== undefined) throw new HranaRefusal(error.code, error.message);
  const [result] = step_results;
  if (result === null || result === undefined) throw new Error("a statement without a condition was not executed");
  return result;
}

async function runSteps(steps: readonly SqlStep[], deps: PipelineDeps, until: number) {
  const answered = await ask({ kind: "steps", steps, rowsMax: sqlRowsMax }, deps, until);
  if (answered.kind !== "steps") throw new Error(`the reader answered with ${answered.kind}`);
  return answered.result;
}

async function describe(
  stream: HranaStream,
  request: { readonly sql?: string | null | undefined; readonly sql_id?: number | null | undefined },
  deps: PipelineDeps,
  until: number,
) {
  const answered = await ask({ kind: "describe", sql: sqlOf(stream, request) }, deps, until);
  if (answered.kind !== "description") throw new Error(`the reader answered with ${answered.kind}`);
  return answered.result;
}

async function ask(
  request: ReaderRequest,
  { clock, query }: PipelineDeps,
  until: number,
): Promise<Exclude<ReaderAnswer, { kind: "error" }>> {
  const leftMs = Math.min(requestMs, until - clock.now());
  if (leftMs <= 0) throw new HranaRefusal("SQL_TIMEOUT", `the pipeline took longer than ${pipelineMs} ms`);
  const answered = await query(request, leftMs);
  if (answered.kind === "error") throw new HranaRefusal(answered.code, answered.message);
  return answered;
}

const stepsOf = (stream: HranaStream, batch: HranaBatch): SqlStep[] =>
  batch.steps.map(({ stmt, condition }) => stepOf(stream, stmt, condition ?? null));

function stepOf(stream: HranaStream, statement: HranaStatement, condition: SqlStep["condition"]): SqlStep {
  const { args, named_args: namedArgs, want_rows: wantRows } = statement;
  return { sql: sqlOf(stream, statement), args, namedArgs, wantRows: wantRows ?? true, condition };
}

function sqlOf(
  stream: HranaStream,
  { sql, sql_id: id }: { readonly sql?: string | null | undefined; readonly sql_id?: number | null | undefined },
): string {
  if (typeof sql === "string" && typeof id === "number")
    throw new HranaRefusal("HRANA_PROTO_ERROR", "either sql or sql_id is accepted, not both");
  if (typeof sql === "string") return sql;
  if (typeof id !== "number") throw new HranaRefusal("HRANA_PROTO_ERROR", "sql or sql_id is needed");
  const stored = stream.text(id);
  if (stored === undefined)
    throw new HranaRefusal("SQL_NOT_STORED", `no SQL text is stored under ${id} in this stream`);
  return stored;
}

/**
 * Hrana over HTTP, versions 2 and 3 with JSON: the requests of a pipeline, as far as a read-only server needs them.
 *
 * Source: HRANA_3_SPEC.md and HTTP_V2_SPEC.md of libSQL's server. Names on the wire are the specification's; unknown
 * keys are accepted, since newer clients add some.
 */
import * as v from "valibot";

/** Limits of one pipeline; beyond them the whole pipeline is refused as malformed. */
export const hranaRequestsMax = 128;
export const hranaStepsMax = 256;
const sqlLengthMax = 100_000;
const argumentsMax = 1_000;
/** Nesting depth: conditions may contain conditions, and each level costs stack. */
export const hranaNestingMax = 64;

const sqlText = v.pipe(v.string(), v.maxLength(sqlLengthMax));
const id = v.pipe(v.number(), v.integer());

export const hranaValueSchema = v.variant("type", [
  v.object({ type: v.literal("null") }),
  v.object({ type: v.literal("integer"), value: v.pipe(v.string(), v.regex(/^-?\d{1,19}$/)) }),
  v.object({ type: v.literal("float"), value: v.number() }),
  v.object({ type: v.literal("text"), value: v.string() }),
  v.object({ type: v.literal("blob"), base64: v.string() }),
]);
export type HranaValue = v.InferOutput<typeof hranaValueSchema>;

export const hranaStatementSchema = v.object({
  sql: v.nullish(sqlText),
  sql_id: v.nullish(id),
  args: v.optional(v.pipe(v.array(hranaValueSchema), v.maxLength(argumentsMax)), []),
  named_args: v.optional(
    v.pipe(v.array(v.object({ name: v.string(), value: hranaValueSchema })), v.maxLength(argumentsMax)),
    [],
  ),
  want_rows: v.nullish(v.boolean(), true),
});
export type HranaStatement = v.InferOutput<typeof hranaStatementSchema>;

export type HranaCondition =
  | { readonly type: "ok" | "error"; readonly step: number }
  | { readonly type: "not"; readonly cond: HranaCondition }
  | { readonly type: "and" | "or"; readonly conds: readonly HranaCondition[] }
  | { readonly type: "is_autocommit" };

export const hranaConditionSchema: v.GenericSchema<unknown, HranaCondition> = v.variant("type", [
  v.object({ type: v.picklist(["ok", "error"]), step: v.pipe(v.number(), v.integer(), v.minValue(0)) }),
  v.object({ type: v.literal("not"), cond: v.lazy(() => hranaConditionSchema) }),
  v.object({
    type: v.picklist(["and", "or"]),
    conds: v.pipe(v.array(v.lazy(() => hranaConditionSchema)), v.maxLength(hranaStepsMax)),
  }),
  v.object({ type: v.literal("is_autocommit") }),
]);

const batchSchema = v.object({
  steps: v.pipe(
    v.array(v.object({ condition: v.nullish(hranaConditionSchema), stmt: hranaStatementSchema })),
    v.maxLength(hranaStepsMax),
  ),
});
export type HranaBatch = v.InferOutput<typeof batchSchema>;

const sqlReference = { sql: v.nullish(sqlText), sql_id: v.nullish(id) };

export const hranaRequestSchema = v.variant("type", [
  v.object({ type: v.literal("close") }),
  v.object({ type: v.literal("execute"), stmt: hranaStatementSchema }),
  v.object({ type: v.literal("batch"), batch: batchSchema }),
  v.object({ type: v.literal("sequence"), ...sqlReference }),
  v.object({ type: v.literal("describe"), ...sqlReference }),
  v.object({ type: v.literal("store_sql"), sql_id: id, sql: sqlText }),
  v.object({ type: v.literal("close_sql"), sql_id: id }),
  v.object({ type: v.literal("get_autocommit") }),
]);
export type HranaRequest = v.InferOutput<typeof hranaRequestSchema>;

export const hranaPipelineSchema = v.object({
  baton: v.nullish(v.string(), null),
  requests: v.pipe(v.array(hranaRequestSchema), v.maxLength(hranaRequestsMax)),
});

export interface HranaError {
  readonly message: string;
  readonly code: string;
}

export interface HranaStatementResult {
  readonly cols: readonly { readonly name: string; readonly decltype: string | null }[];
  readonly rows: readonly (readonly HranaValue[])[];
  readonly affected_row_count: 0;
  readonly last_insert_rowid: null;
}

export interface HranaBatchResult {
  readonly step_results: readonly (HranaStatementResult | null)[];
  readonly step_errors: readonly (HranaError | null)[];
}

export interface HranaDescription {
  readonly params: readonly { readonly name: string | null }[];
  readonly cols: readonly { readonly name: string; readonly decltype: string | null }[];
  readonly is_explain: boolean;
  readonly is_readonly: true;
}

export type HranaResponse =
  | { readonly type: "close" | "sequence" | "store_sql" | "close_sql" }
  | { readonly type: "execute"; readonly result: HranaStatementResult }
  | { readonly type: "batch"; readonly result: HranaBatchResult }
  | { readonly type: "describe"; readonly result: HranaDescription }
  | { readonly type: "get_autocommit"; readonly is_autocommit: boolean };

export type HranaStreamResult =
  | { readonly type: "ok"; readonly response: HranaResponse }
  | { readonly type: "error"; readonly error: HranaError };

export interface HranaPipelineAnswer {
  /** For the next request of this stream; null: the stream is closed. */
  readonly baton: string | null;
  readonly base_url: null;
  readonly results: readonly HranaStreamResult[];
}

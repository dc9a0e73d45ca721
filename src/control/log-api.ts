/**
 * The newest lines of a host's log, and of its application's output, as the host keeps them in memory. Part of the
 * control API and of the admin API.
 */
import * as v from "valibot";

const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
const name = v.pipe(v.string(), v.minLength(1), v.maxLength(100));

/** Of one answer. */
export const logLinesMax = 1_000;
export const logWaitMsMax = 20_000;

export const logSources = ["stead", "application"] as const;
export type LogSource = (typeof logSources)[number];

const question = {
  of: v.optional(v.picklist(logSources), "stead"),
  /** The run of the host that numbered the lines; another one, or none: the newest lines are answered. */
  run: v.optional(v.nullable(name), null),
  /** Lines with a higher number. */
  after: v.optional(count, 0),
  /** How long to wait for a line if there is none. */
  waitMs: v.optional(v.pipe(count, v.maxValue(logWaitMsMax)), 0),
  linesMax: v.optional(v.pipe(count, v.minValue(1), v.maxValue(logLinesMax)), 100),
};

/** To a host. */
export const hostLogRequestSchema = v.strictObject(question);
export type HostLogRequest = v.InferInput<typeof hostLogRequestSchema>;
export type HostLogQuestion = v.InferOutput<typeof hostLogRequestSchema>;

/** To a gateway, which asks the host. */
export const logRequestSchema = v.strictObject({ service: v.optional(name), host: name, ...question });
export type LogRequest = v.InferInput<typeof logRequestSchema>;

export const hostLogSchema = v.object({
  run: name,
  lines: v.array(
    v.object({
      number: count,
      /** By the wall clock of the host. */
      timeMs: count,
      level: v.picklist(["info", "warn", "error"]),
      /** Of the application: the line as it was written, without control characters; a long one is cut. */
      message: v.string(),
      fields: v.record(v.string(), v.union([v.string(), v.number(), v.boolean(), v.null()])),
    }),
  ),
  /** What `after` is for the lines that follow. */
  next: count,
  /** Lines after `after` that are not kept any more. */
  lost: count,
});
export type HostLog = v.InferOutput<typeof hostLogSchema>;
export type LogLine = HostLog["lines"][number];

export const logAnswerSchema = v.object({ service: v.string(), host: v.string(), ...hostLogSchema.entries });
export type LogAnswer = v.InferOutput<typeof logAnswerSchema>;

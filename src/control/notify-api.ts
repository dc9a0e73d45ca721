/** Test notifications in the admin API of gateways. */
import * as v from "valibot";

const name = v.pipe(v.string(), v.minLength(1), v.maxLength(100));

/** `POST /v1/notify/test`. `target` null: all. */
export const notifyTestRequestSchema = v.strictObject({ target: v.optional(v.nullable(name), null) });

export const notifyTestAnswerSchema = v.object({
  gateway: v.string(),
  results: v.array(
    v.object({
      target: v.string(),
      /** Why it failed; null: it was told. */
      failure: v.nullable(v.string()),
    }),
  ),
});
export type NotifyTestAnswer = v.InferOutput<typeof notifyTestAnswerSchema>;

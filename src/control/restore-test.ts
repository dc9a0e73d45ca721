/** The result of a host's scheduled restore test, in its status and in that of the cluster. */
import * as v from "valibot";

const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
const milliseconds = v.pipe(v.number(), v.minValue(0));

export const restoreTestSchema = v.object({
  /** `failed`: the vault has damage. `skipped`: the test could not be made; it says nothing about the vault. */
  outcome: v.picklist(["passed", "failed", "skipped"]),
  /** When it began, by the host's wall clock. */
  atMs: count,
  tookMs: milliseconds,
  /** Log position of the restored state; null: none was restored. */
  position: v.nullable(count),
  /** Of the restored databases; null: none was restored. */
  bytes: v.nullable(count),
  /** Why it did not pass; null: it did. */
  detail: v.nullable(v.string()),
});
export type RestoreTestResult = v.InferOutput<typeof restoreTestSchema>;

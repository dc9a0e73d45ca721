/** A copy of the vault, in the status of the primary that writes it and in that of the cluster. */
import * as v from "valibot";

const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));
const milliseconds = v.pipe(v.number(), v.minValue(0));

export const vaultCopySchema = v.object({
  /** Where it is, as in the configuration. */
  to: v.string(),
  /** Log position up to which it restores; null: it is not whole yet, or this primary has not found out. */
  position: v.nullable(count),
  /** Position of its newest checkpoint; null: as above. */
  checkpoint: v.nullable(count),
  /** Age of the state that it restores; 0: nothing is missing. null: as above. */
  lagMs: v.nullable(milliseconds),
  /** Bytes of the records of this term that it does not have. */
  lagBytes: count,
  /** It makes no progress: the last attempt failed, or hangs. */
  isStalled: v.boolean(),
  /** Why the last attempt failed; null: it did not. */
  error: v.nullable(v.string()),
});
export type VaultCopyStatus = v.InferOutput<typeof vaultCopySchema>;

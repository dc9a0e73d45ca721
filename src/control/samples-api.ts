/** The last hour of a service in the admin API of a gateway, as this gateway saw it. */
import * as v from "valibot";

/** One sample stands for so long, and so many are kept: an hour. */
export const sampleEveryMs = 15_000;
export const samplesMax = 240;

const count = v.pipe(v.number(), v.integer(), v.minValue(0));

/** Oldest first, the last one is the newest; null: nothing was known then. */
const series = v.pipe(v.array(v.nullable(v.number())), v.maxLength(samplesMax));

export const hostSamplesSchema = v.object({
  host: v.string(),
  /** Log positions behind the primary, at most. */
  lag: series,
  /** What was left of the lease, at least; negative: it was missed by so much. */
  leaseLeftMs: series,
  /** How long writes to the vault took, at most. */
  vaultMs: series,
});
export type HostSamples = v.InferOutput<typeof hostSamplesSchema>;

export const samplesAnswerSchema = v.object({
  service: v.string(),
  everyMs: count,
  /** Samples since this gateway started, also those that it has not kept: the number of the newest one. */
  taken: count,
  /** Requests that waited for a primary, at most. */
  held: series,
  hosts: v.array(hostSamplesSchema),
});
export type SamplesAnswer = v.InferOutput<typeof samplesAnswerSchema>;

/** What a process tells of its program, by which versions and clocks of a cluster are compared. */
import * as v from "valibot";

const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));

/** The program of a process, and its wall clock at the time of the answer. */
export const programSchema = v.object({
  version: v.pipe(v.string(), v.maxLength(100)),
  wallTimeMs: count,
  /** Of a host: where its vault is, as `stead init --join` writes it for another host. */
  vaultUrl: v.optional(v.nullable(v.string()), null),
});

/** A host's as a gateway has heard it. */
export const heardProgramSchema = v.object({
  version: v.string(),
  /** How far its wall clock was ahead of the gateway's. */
  clockAheadMs: v.number(),
  /** As the host itself says. */
  controlUrl: v.string(),
  vaultUrl: v.nullable(v.string()),
});

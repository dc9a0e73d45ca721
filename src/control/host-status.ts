/** What a host says about itself: the same object in `GET /v1/status` and in each line of the status stream. */
import * as v from "valibot";

/** States of a host's life (docs/ARCHITECTURE.md has the transitions). */
export const hostRoles = ["restoring", "secondary", "claiming", "starting", "primary", "draining", "failed"] as const;
export type HostRole = (typeof hostRoles)[number];

/** Beyond 2^53 numbers are not exact: an epoch there could never be overtaken. */
const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));

export const hostStatusSchema = v.object({
  version: v.literal(1),
  service: v.string(),
  host: v.pipe(v.string(), v.nonEmpty()),
  /** Random id of this run of the host process: a restarted host has another. */
  instance: v.string(),
  role: v.picklist(hostRoles),
  /** Why, when `failed`, or when a state needs an explanation. */
  reason: v.nullable(v.string()),
  /** Highest epoch that this host has read in the log, and whose it is. 0 and null: an empty log. */
  epoch: count,
  epochHost: v.nullable(v.pipe(v.string(), v.nonEmpty())),
  /** Last log position applied (secondary) or written (primary). */
  position: count,
  /** Milliseconds since this host last saw a record of the current epoch in the log; null: never. Its own clock. */
  lastRecordAgeMs: v.nullable(v.number()),
  /**
   * Milliseconds since this host's last successful operation on the vault: a put of a primary, a look at the log of a
   * secondary. null: it does neither right now.
   */
  vaultSilentMs: v.optional(v.nullable(v.number()), null),
  /** This host's monotonic clock when the status was made, in milliseconds: orders carry it back (`basedOn` of a promotion). */
  clockMs: v.optional(v.nullable(v.number()), null),
  /**
   * This host stepped down in favour of `to`, `forMs` ago on its own clock, and has read no claim since. Whoever did not order
   * that leaves it alone for a moment (core/failover-relation.ts). null: it did not, or somebody has claimed.
   */
  handover: v.optional(v.nullable(v.object({ to: v.string(), forMs: v.pipe(v.number(), v.minValue(0)) })), null),
  /** True when the last record of the log is a `vacate`. */
  vacated: v.boolean(),
  /** Where client traffic goes, `http://address:port`. */
  dataUrl: v.string(),
  controlUrl: v.string(),
  /** Higher is preferred; 0 is the default. */
  priority: v.pipe(v.number(), v.integer()),
  nofailover: v.boolean(),
  leaseMs: count,
  checkpoint: v.nullable(v.object({ position: count, wallTimeMs: count })),
  /** Dated folders with data that was committed here but never acknowledged. */
  setAside: v.array(v.string()),
  /** Things an operator should know, newest last; bounded. */
  warnings: v.array(v.string()),
});
export type HostStatus = v.InferOutput<typeof hostStatusSchema>;

/** What a host says about itself: the same object in `GET /v1/status` and in each line of the status stream. */
import * as v from "valibot";

/** States of a host's life (docs/ARCHITECTURE.md has the transitions). */
export const hostRoles = ["restoring", "secondary", "claiming", "starting", "primary", "draining", "failed"] as const;
export type HostRole = (typeof hostRoles)[number];

/** Beyond 2^53 numbers are not exact: an epoch there could never be overtaken. */
const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));

/**
 * What the application of this host does. `stopped`: it does not run here. `failing`: its check fails, and something
 * still moves or its patience is not over. `stuck`: nothing moved for the whole patience. `restarting`: it ended and is
 * started again here.
 */
export const applicationStates = ["stopped", "starting", "ready", "failing", "stuck", "restarting"] as const;
export type ApplicationState = (typeof applicationStates)[number];

/** What keeps a host from being a good primary while its process is well. */
export const impairmentKinds = ["disk", "vault", "descriptors", "application"] as const;
export type ImpairmentKind = (typeof impairmentKinds)[number];

const milliseconds = v.pipe(v.number(), v.minValue(0));

export const applicationSchema = v.object({
  state: v.picklist(applicationStates),
  /** Milliseconds in this state. */
  forMs: milliseconds,
  /** What the last failed check or end said. */
  detail: v.nullable(v.string()),
  /** Restarts here within the window of `host.application.restarts`. */
  restarts: count,
});

export type ApplicationStatus = v.InferOutput<typeof applicationSchema>;

export const impairmentSchema = v.object({
  kind: v.picklist(impairmentKinds),
  reason: v.string(),
  forMs: milliseconds,
});

/** A fingerprint of requests that were executing when the application ended, twice, without completing in between. */
export const suspectSchema = v.object({
  method: v.pipe(v.string(), v.maxLength(100)),
  /** Without its query. */
  path: v.pipe(v.string(), v.maxLength(400)),
  endings: count,
  /** Milliseconds until one is let through as a trial. */
  trialInMs: milliseconds,
  /** The pause after which the next trial comes if this one ends the application too. */
  pauseMs: milliseconds,
});

export const vaultSchema = v.object({
  /** Identity of the vault that this host uses; null: it has not been read. */
  id: v.nullable(v.string()),
  /** Milliseconds since this host last wrote something there; null: it never did in this run. */
  wroteMs: v.nullable(milliseconds),
  /** Why its last attempt to write failed; null: it did not fail. */
  writeError: v.nullable(v.string()),
  /** Of its last writes, milliseconds each, the median; null: unknown. */
  latencyMs: v.nullable(milliseconds),
});

export const retrySchema = v.object({ reason: v.string(), inMs: milliseconds, attempts: count });

/** What a primary's capture costs the application, and what keeps it from doing its work. */
export const captureSchema = v.object({
  /** How often and for how long writers were locked out in this term, milliseconds. */
  writeLocks: v.object({ count, totalMs: milliseconds, maxMs: milliseconds }),
  /**
   * Write-ahead logs of 64 MiB and more that cannot start over: how many bytes are in use, for how long that has been
   * so, and which processes read.
   */
  longLogs: v.array(
    v.object({ database: v.string(), walBytes: count, heldMs: milliseconds, heldBy: v.array(v.string()) }),
  ),
});
export type CaptureStatus = v.InferOutput<typeof captureSchema>;

/** How the last rehearsal on this host went: the application started on a copy of the replica, and ended again. */
export const rehearsalSchema = v.object({
  ok: v.boolean(),
  /** Wall time of this host. */
  atMs: count,
  /** From the start of the application until it was ready; null: it never was. */
  startMs: v.nullable(milliseconds),
  /** What failed, with the end of its output; of one that went well, what deserves a look. */
  detail: v.nullable(v.string()),
});
export type RehearsalResult = v.InferOutput<typeof rehearsalSchema>;

/**
 * Formats of records (src/core/record-format.ts): the newest that this host reads, and the one that a primary writes
 * now.
 */
export const recordFormatSchema = v.object({ reads: count, writes: v.nullable(count) });

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
  /**
   * This host's monotonic clock when the status was made, in milliseconds: orders carry it back (`basedOn` of a
   * promotion).
   */
  clockMs: v.optional(v.nullable(v.number()), null),
  /**
   * This host stepped down in favour of `to`, `forMs` ago on its own clock, and has read no claim since. A gateway that
   * did not order that leaves it alone for a moment (core/failover/relation.ts). null: it did not, or another host has
   * claimed.
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
  /** null: a host that does not tell. */
  application: v.optional(v.nullable(applicationSchema), null),
  /** What keeps this host from being a good primary; empty when nothing does. */
  impairments: v.optional(v.array(impairmentSchema), []),
  /**
   * This host became primary and could not stay it, for a reason that may pass: a candidate of last resort until
   * then.
   */
  retry: v.optional(v.nullable(retrySchema), null),
  suspects: v.optional(v.array(suspectSchema), []),
  /** What the application had when it ended and has not completed since: not put aside yet (`pauseMs` 0). */
  watchedRequests: v.optional(v.array(suspectSchema), []),
  vault: v.optional(v.nullable(vaultSchema), null),
  /** null: this host captures nothing now. */
  capture: v.optional(v.nullable(captureSchema), null),
  /** null: there was none in this run of the host. */
  rehearsal: v.optional(v.nullable(rehearsalSchema), null),
  /** null: an earlier version, which reads and writes format 1. */
  recordFormat: v.optional(v.nullable(recordFormatSchema), null),
  /** Things an operator should know, newest last; bounded. */
  warnings: v.array(v.string()),
});
export type HostStatus = v.InferOutput<typeof hostStatusSchema>;

/** The fields that a host may leave out, as they are read then. */
export const untold = {
  application: null,
  impairments: [],
  retry: null,
  suspects: [],
  watchedRequests: [],
  vault: null,
  capture: null,
  rehearsal: null,
  recordFormat: null,
} satisfies Partial<HostStatus>;

/** A host's status: the same object in `GET /v1/status` and in each line of the status stream. */
import * as v from "valibot";
import { oldestRecordFormat, type ReportedFormat } from "../core/record-format.ts";
import { baseUrlSchema } from "./addresses.ts";
import { programSchema } from "./program-status.ts";
import { restoreTestSchema } from "./restore-test.ts";
import { vaultCopySchema } from "./vault-copy.ts";
import { rewoundSchema } from "./rewind-api.ts";
import { secretStatusSchema } from "./secret-status.ts";

/** States of a host's life (docs/ARCHITECTURE.md has the transitions). */
export const hostRoles = ["restoring", "secondary", "claiming", "starting", "primary", "draining", "failed"] as const;
export type HostRole = (typeof hostRoles)[number];

/** Numbers beyond 2^53 are not exact: such an epoch could never be exceeded. */
const count = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(Number.MAX_SAFE_INTEGER));

/**
 * The state of the application on this host. `stopped`: it does not run here. `failing`: its check fails, but it makes
 * progress or its patience is not over. `stuck`: no progress for the whole patience. `restarting`: it ended and is
 * being restarted here.
 */
export const applicationStates = ["stopped", "starting", "ready", "failing", "stuck", "restarting"] as const;
export type ApplicationState = (typeof applicationStates)[number];

/** Impairments of a host whose process is healthy. */
export const impairmentKinds = ["disk", "vault", "descriptors", "application"] as const;
export type ImpairmentKind = (typeof impairmentKinds)[number];

const milliseconds = v.pipe(v.number(), v.minValue(0));

export const applicationSchema = v.object({
  state: v.picklist(applicationStates),
  /** Milliseconds in this state. */
  forMs: milliseconds,
  /** Details of the last failed check or end. */
  detail: v.nullable(v.string()),
  /** Restarts here within the window of `host.application.restarts`. */
  restarts: count,
  /** How long its last start here took until it was ready; null: it was never ready in this term. */
  startMs: v.optional(v.nullable(milliseconds)),
  /** After which it is killed if nothing moves; null: never, or it does not run here. */
  patienceMs: v.optional(v.nullable(milliseconds)),
});

export type ApplicationStatus = v.InferOutput<typeof applicationSchema>;

export const impairmentSchema = v.object({
  kind: v.picklist(impairmentKinds),
  reason: v.string(),
  forMs: milliseconds,
});

/** A fingerprint of requests that were executing at two endings of the application, without completing in between. */
export const suspectSchema = v.object({
  method: v.pipe(v.string(), v.maxLength(100)),
  /** Without its query. */
  path: v.pipe(v.string(), v.maxLength(400)),
  endings: count,
  /** Milliseconds until one is let through as a trial. */
  trialInMs: milliseconds,
  /** The pause before the next trial if this one also ends the application. */
  pauseMs: milliseconds,
});

export const vaultSchema = v.object({
  /** Identity of the vault that this host uses; null: not read yet. */
  id: v.nullable(v.string()),
  /** Milliseconds since this host last wrote to it; null: never in this run. */
  wroteMs: v.nullable(milliseconds),
  /** Why its last attempt to write failed; null: it succeeded. */
  writeError: v.nullable(v.string()),
  /** Median duration of its last writes, in milliseconds; null: unknown. */
  latencyMs: v.nullable(milliseconds),
});

/** How far a checkpoint is that is being written. */
export const checkpointProgressSchema = v.object({
  /** Of the databases. */
  bytes: count,
  totalBytes: count,
  /** null: not known yet. */
  bytesPerSecond: v.nullable(v.pipe(v.number(), v.minValue(0))),
  leftMs: v.nullable(milliseconds),
});
export type CheckpointProgress = v.InferOutput<typeof checkpointProgressSchema>;

export const retrySchema = v.object({ reason: v.string(), inMs: milliseconds, attempts: count });

/** What a primary's capture costs the application, and what hinders capture. */
export const captureSchema = v.object({
  /** How often and for how long writers were locked out in this term, in milliseconds. */
  writeLocks: v.object({ count, totalMs: milliseconds, maxMs: milliseconds }),
  /**
   * Write-ahead logs of 64 MiB and more that cannot start over: bytes in use, for how long, and which processes read.
   */
  longLogs: v.array(
    v.object({ database: v.string(), walBytes: count, heldMs: milliseconds, heldBy: v.array(v.string()) }),
  ),
});
/** What `host.files` covers: files, links and folders, and the bytes of all files. */
export const filesSchema = v.object({ count, bytes: count });
export type FilesStatus = v.InferOutput<typeof filesSchema>;
export type CaptureStatus = v.InferOutput<typeof captureSchema>;

/**
 * The result of the last rehearsal on this host: the application started on a copy of the replica, and stopped again.
 */
export const rehearsalSchema = v.object({
  ok: v.boolean(),
  /** Wall-clock time of this host. */
  atMs: count,
  /** Time from the start of the application until it was ready; null: it never was. */
  startMs: v.nullable(milliseconds),
  /** What failed, with the end of its output; after a success, warnings. */
  detail: v.nullable(v.string()),
});
export type RehearsalResult = v.InferOutput<typeof rehearsalSchema>;

/** The last run of a hook of an operator (src/host/hooks.ts) on this host. */
export const hookRunSchema = v.object({
  hook: v.string(),
  /** Wall-clock time of this host. */
  atMs: count,
  epoch: count,
  ok: v.boolean(),
  ms: milliseconds,
  /** What failed, with the end of its output; null: nothing. */
  detail: v.nullable(v.string()),
});
export type HookRun = v.InferOutput<typeof hookRunSchema>;

/**
 * Record formats (src/core/record-format.ts): the newest that this host reads, and the one that a primary writes now.
 */
export const recordFormatSchema = v.object({ reads: count, writes: v.nullable(count) });

export const hostStatusSchema = v.object({
  version: v.literal(1),
  service: v.string(),
  host: v.pipe(v.string(), v.nonEmpty()),
  /** Random id of this run of the host process; a restarted host has a new one. */
  instance: v.string(),
  role: v.picklist(hostRoles),
  /** The reason, if `failed` or if the state needs an explanation. */
  reason: v.nullable(v.string()),
  /** Highest epoch that this host has read in the log, and its owner. 0 and null: an empty log. */
  epoch: count,
  epochHost: v.nullable(v.pipe(v.string(), v.nonEmpty())),
  /** Last log position applied (secondary) or written (primary). */
  position: count,
  /** Milliseconds, on its own clock, since this host last saw a record of the current epoch in the log; null: never. */
  lastRecordAgeMs: v.nullable(v.number()),
  /**
   * Milliseconds since this host's last successful operation on the vault: a put of a primary, a read of the log by a
   * secondary. null: it does neither now.
   */
  vaultSilentMs: v.optional(v.nullable(v.number()), null),
  /**
   * This host's monotonic clock at the time of the status, in milliseconds; orders carry it back (`basedOn` of a
   * promotion).
   */
  clockMs: v.optional(v.nullable(v.number()), null),
  /**
   * This host stepped down in favour of `to`, `forMs` ago on its own clock, and has read no claim since. A gateway that
   * did not order this leaves it alone for a moment (core/failover/primary-status.ts). null: it did not, or another
   * host has claimed.
   */
  handover: v.optional(v.nullable(v.object({ to: v.string(), forMs: v.pipe(v.number(), v.minValue(0)) })), null),
  /** True when the last record of the log is a `vacate`. */
  vacated: v.boolean(),
  /** Address for client traffic, `http://address:port`. */
  dataUrl: baseUrlSchema,
  controlUrl: baseUrlSchema,
  /** Higher is preferred; 0 is the default. */
  priority: v.pipe(v.number(), v.integer()),
  nofailover: v.boolean(),
  leaseMs: count,
  checkpoint: v.nullable(v.object({ position: count, wallTimeMs: count })),
  /** null: no checkpoint is being written. */
  checkpointProgress: v.optional(v.nullable(checkpointProgressSchema), null),
  /** Dated folders with data that was committed here but never acknowledged. */
  setAside: v.array(v.string()),
  /** null: the host does not report it. */
  application: v.optional(v.nullable(applicationSchema), null),
  /** Impairments of this host; empty: none. */
  impairments: v.optional(v.array(impairmentSchema), []),
  /**
   * This host became primary and could not stay it, for a transient reason: a candidate of last resort until the pause
   * is over.
   */
  retry: v.optional(v.nullable(retrySchema), null),
  suspects: v.optional(v.array(suspectSchema), []),
  /**
   * Requests that were in flight at an ending of the application and have not completed since; not set aside yet
   * (`pauseMs` 0).
   */
  watchedRequests: v.optional(v.array(suspectSchema), []),
  vault: v.optional(v.nullable(vaultSchema), null),
  /** null: this host captures nothing now. */
  capture: v.optional(v.nullable(captureSchema), null),
  /** The files beside the databases. null: `host.files` covers none, or this host has none open now. */
  files: v.optional(v.nullable(filesSchema), null),
  /** null: there was no rehearsal in this run of the host. */
  rehearsal: v.optional(v.nullable(rehearsalSchema), null),
  /** The last scheduled restore test; null: there was none. */
  restoreTest: v.optional(v.nullable(restoreTestSchema), null),
  /** Of a primary: the copies of the vault that it writes. */
  vaultCopies: v.optional(v.array(vaultCopySchema), []),
  /** One of each hook that has run since this host was started. */
  hooks: v.optional(v.array(hookRunSchema), []),
  /** null: an earlier version, which reads and writes format 1. */
  recordFormat: v.optional(v.nullable(recordFormatSchema), null),
  /** It knows requests by their names, and writes these into the log (src/core/request-names.ts). */
  takesNames: v.optional(v.boolean(), false),
  /** The last rewind that this host has read of in the log, or made; null: none in this run. */
  rewound: v.optional(v.nullable(rewoundSchema), null),
  /** The secrets that this host knows. null: an earlier version. */
  secret: v.optional(v.nullable(secretStatusSchema), null),
  /** null: an earlier version. */
  program: v.optional(v.nullable(programSchema), null),
  /** Warnings for the operator, newest last; bounded. */
  warnings: v.array(v.string()),
});
export type HostStatus = v.InferOutput<typeof hostStatusSchema>;

/** The record formats of a host. undefined: it has not been heard. */
export function reportedFormat(status: HostStatus | undefined): ReportedFormat | undefined {
  if (status === undefined) return undefined;
  const { reads, writes } = status.recordFormat ?? { reads: oldestRecordFormat, writes: null };
  return { reads, writes: writes ?? undefined };
}

/** Default values of the fields that a host may leave out. */
export const untold = {
  checkpointProgress: null,
  application: null,
  impairments: [],
  retry: null,
  suspects: [],
  watchedRequests: [],
  vault: null,
  capture: null,
  files: null,
  rehearsal: null,
  restoreTest: null,
  vaultCopies: [],
  hooks: [],
  recordFormat: null,
  takesNames: false,
  rewound: null,
  secret: null,
  program: null,
} satisfies Partial<HostStatus>;

/**
 * The health of a host as one gateway sees it, from counted results of streams and probes.
 *
 * - A refused connection says that no process listens there: `refusedFall` of them in a row are enough, whatever `fall`
 *   is.
 * - Other failures (a time-out, a reset, nonsense) need `fall` in a row.
 * - `unauthorized` means that a host is alive there but does not know our secret: an operator's mistake, never a death.
 * - A failure of a probe that was started before the host was last heard means nothing, and is ignored. A slow answer
 *   overtaken by a good one, or a full accept queue beside a healthy stream, thus does not add up to "down".
 * - Back from "down" needs `rise` good signs in a row; a host that was never heard needs one.
 */
export interface HealthSettings {
  readonly fall: number;
  readonly rise: number;
}

/** Refused connections in a row that make a host down: one can be a restart of its listener, two cannot. */
export const refusedFall = 2;

/** `vault`: the host answers, but as primary it cannot reach the vault, and another host can. */
export type FailureCause = "refused" | "timeout" | "reset" | "invalid" | "vault";

const causesInWords: Readonly<Record<FailureCause, string>> = {
  refused: "nothing listens at its control address",
  timeout: "it does not answer in time",
  reset: "the connection to it broke",
  invalid: "its answer is not understood",
  vault: "it cannot reach the vault, and another host can",
};

/** Why a host counts as down, for an operator. */
export const downInWords = (cause: FailureCause): string => `down: ${causesInWords[cause]}`;

export type HostHealth =
  | { readonly kind: "unknown"; readonly failures: number; readonly refusals: number }
  | {
      readonly kind: "up";
      /** Start of this state, without having been down in between. */
      readonly since: number;
      readonly lastWellAt: number;
      readonly failures: number;
      readonly refusals: number;
      /** Why the last good sign may no longer be valid: the stream ended, a request failed, a probe failed. */
      readonly doubt: string | undefined;
    }
  | {
      readonly kind: "down";
      readonly since: number;
      readonly lastWellAt: number | undefined;
      readonly cause: FailureCause;
      /** Good signs since the last failure. */
      readonly successes: number;
      /** When the last probe that failed was started. */
      readonly failedAt: number;
    };

export const unknownHealth: HostHealth = { kind: "unknown", failures: 0, refusals: 0 };

/** Records an answer of the host, or a line of its status stream. */
export function seenWell(health: HostHealth, now: number, settings: HealthSettings): HostHealth {
  if (health.kind === "down" && health.successes + 1 < settings.rise) {
    return { ...health, successes: health.successes + 1 };
  }
  return {
    kind: "up",
    since: health.kind === "up" ? health.since : now,
    lastWellAt: now,
    failures: 0,
    refusals: 0,
    doubt: undefined,
  };
}

/** Records the failure of a probe that was started at `startedAt`. */
export function seenFailing(
  health: HostHealth,
  cause: FailureCause,
  startedAt: number,
  now: number,
  settings: HealthSettings,
): HostHealth {
  if (health.kind === "down") return { ...health, successes: 0, failedAt: startedAt };
  const lastWellAt = health.kind === "up" ? health.lastWellAt : undefined;
  if (lastWellAt !== undefined && startedAt < lastWellAt) return health;
  const failures = health.failures + 1;
  const refusals = cause === "refused" ? health.refusals + 1 : 0;
  if (refusals >= refusedFall || failures >= settings.fall) {
    return { kind: "down", since: now, lastWellAt, cause, successes: 0, failedAt: startedAt };
  }
  if (health.kind === "unknown") return { kind: "unknown", failures, refusals };
  return { ...health, failures, refusals, doubt: `a probe failed: ${cause}` };
}

/** Records a doubt raised by something other than a probe; only probes decide. */
export function doubted(health: HostHealth, why: string): HostHealth {
  return health.kind === "up" && health.doubt === undefined ? { ...health, doubt: why } : health;
}

/**
 * Records that the status stream ended while it was alive (heard within `aliveMs`): until then the process existed,
 * because its kernel held the connection. Moves the last healthy moment, so that "detect" counts from the death, not
 * from the last heartbeat before it.
 */
export function streamEnded(health: HostHealth, now: number, aliveMs: number): HostHealth {
  if (health.kind !== "up") return health;
  const wasAlive = now - health.lastWellAt <= aliveMs;
  return { ...health, lastWellAt: wasAlive ? now : health.lastWellAt, doubt: "its status stream ended" };
}

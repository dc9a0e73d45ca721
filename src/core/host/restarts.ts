/**
 * Whether an application that ended, or is killed as stuck, is restarted on this host or given up here.
 *
 * An ending is forgotten after the window. Within it `max` restarts are allowed, and only one of them for being stuck:
 * an application that gets stuck again so soon is not cured by a restart here, and each costs clients the patience.
 */
export interface RestartSettings {
  readonly max: number;
  readonly windowMs: number;
}

export interface Restart {
  readonly at: number;
  readonly cause: "ended" | "stuck";
}

export type RestartVerdict =
  /** `restarts` including this one, within the window. */
  | { readonly kind: "restart"; readonly restarts: readonly Restart[] }
  | { readonly kind: "give-up"; readonly why: string };

/** `restarts`: the earlier ones, oldest first. */
export function judgeEnding(
  restarts: readonly Restart[],
  cause: Restart["cause"],
  now: number,
  { max, windowMs }: RestartSettings,
): RestartVerdict {
  const recent = recentRestarts(restarts, now, windowMs);
  if (cause === "stuck" && recent.some((restart) => restart.cause === "stuck")) {
    return { kind: "give-up", why: `it was already restarted as stuck within ${windowMs} ms` };
  }
  if (recent.length >= max)
    return { kind: "give-up", why: `it was restarted ${recent.length} times within ${windowMs} ms` };
  return { kind: "restart", restarts: [...recent, { at: now, cause }] };
}

export const recentRestarts = (restarts: readonly Restart[], now: number, windowMs: number): readonly Restart[] =>
  restarts.filter(({ at }) => now - at < windowMs);

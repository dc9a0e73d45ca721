/**
 * How far a host had got in the log some time ago: two marks are enough, because positions only rise.
 *
 * A mark is kept for `spacingMs` before the next one replaces it, so something is known of any moment between one and
 * two spacings ago. `positionBefore` never says more than what had been reached by then.
 */
interface Mark {
  readonly position: number;
  readonly at: number;
}

export interface PositionTrail {
  readonly older: Mark;
  readonly newer: Mark;
  /** The highest position, and since when nothing higher was heard. */
  readonly highest: Mark;
}

const spacingMs = 2_000;

/**
 * Heard at `position` now. A position that is lower than one before belongs to a log that begins anew: the trail does
 * too.
 */
export function heardAt(trail: PositionTrail | null, position: number, now: number): PositionTrail {
  const mark: Mark = { position, at: now };
  if (trail === null || position < trail.highest.position) return { older: mark, newer: mark, highest: mark };
  const highest = position > trail.highest.position ? mark : trail.highest;
  if (now - trail.newer.at < spacingMs) return { ...trail, highest };
  return { older: trail.newer, newer: mark, highest };
}

/** The highest position that is known to have been reached at that time; 0: nothing is known of then. */
export function positionBefore(trail: PositionTrail | null, at: number): number {
  if (trail === null) return 0;
  if (trail.highest.at <= at) return trail.highest.position;
  if (trail.newer.at <= at) return trail.newer.position;
  return trail.older.at <= at ? trail.older.position : 0;
}

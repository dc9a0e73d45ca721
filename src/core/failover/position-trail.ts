/**
 * How far a host had got in the log some time ago. Two marks suffice, because positions only rise.
 *
 * A mark is kept for `spacingMs` before the next one replaces it, so something is known about any moment between one
 * and two spacings ago. `positionBefore` never returns more than what had been reached by then.
 */
interface Mark {
  readonly position: number;
  readonly at: number;
}

export interface PositionTrail {
  readonly older: Mark;
  readonly newer: Mark;
  /** The highest position, and when it was first heard. */
  readonly highest: Mark;
}

const spacingMs = 2_000;

/**
 * Records that `position` was heard now. A lower position than before belongs to a log that starts over, so the trail
 * starts over too.
 */
export function heardAt(trail: PositionTrail | undefined, position: number, now: number): PositionTrail {
  const mark: Mark = { position, at: now };
  if (trail === undefined || position < trail.highest.position) return { older: mark, newer: mark, highest: mark };
  const highest = position > trail.highest.position ? mark : trail.highest;
  if (now - trail.newer.at < spacingMs) return { ...trail, highest };
  return { older: trail.newer, newer: mark, highest };
}

/** Returns the highest position known to have been reached at that time; 0: unknown. */
export function positionBefore(trail: PositionTrail | undefined, at: number): number {
  if (trail === undefined) return 0;
  if (trail.highest.at <= at) return trail.highest.position;
  if (trail.newer.at <= at) return trail.newer.position;
  return trail.older.at <= at ? trail.older.position : 0;
}

/**
 * Which gateway tells, and when: the one that acted, at once; if it is not heard any more, the others in the order of
 * their ids, each `turnMs` after the one before it. None is asked, and none waits for an answer, so a dead gateway
 * costs its turn and nothing else.
 */
export interface KnownGateway {
  readonly id: string;
  /** Undefined: not heard by this run. */
  readonly heardMsAgo: number | undefined;
}

/** A gateway that was not heard for this long has no turn. Gateways exchange messages several times a second. */
export const unheardMsMax = 5_000;
/** Long enough for a row to reach every peer that is alive. */
export const turnMs = 3_000;

export const isHeard = ({ heardMsAgo }: KnownGateway): boolean =>
  heardMsAgo !== undefined && heardMsAgo <= unheardMsMax;

/** Returns how long `self` leaves the word to others. `acting`: undefined: none acted, all saw it. */
export function waitOf(self: string, acting: string | undefined, others: readonly KnownGateway[]): number {
  if (self === acting) return 0;
  const alive = others.filter((gateway) => gateway.id !== self && isHeard(gateway)).map(({ id }) => id);
  const before = alive.filter((id) => id === acting || id < self);
  return before.length * turnMs;
}

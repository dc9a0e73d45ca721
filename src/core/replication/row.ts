/**
 * One row of the gateways' shared tables, and the rule for which of two versions stays.
 *
 * `supersedes` is a strict total order on the versions of a row, the same on every gateway and independent of present
 * clocks. Merging is therefore a maximum, which is commutative, associative and idempotent, and gateways that have
 * received the same versions, in any order and any number of times, hold the same content. The order: an operator's
 * change to a host before a configuration file's (the registry's precedence), a token's revocation before the token,
 * whatever clocks say, then the newest hybrid logical stamp, then origin and number.
 */

export type Cell = string | number | null;

export interface ReplicatedRow {
  readonly table: string;
  /** Text of the primary key, unique within the table. */
  readonly key: string;
  /** Every column except the provenance, by its SQL name. */
  readonly values: Readonly<Record<string, Cell>>;
  /** The run of a gateway that wrote this version. */
  readonly origin: string;
  /** That run's own counter, from 1. */
  readonly seq: number;
  /** Hybrid logical stamp; text that sorts like time. */
  readonly hlc: string;
  /** A tombstone. */
  readonly deleted: boolean;
}

/** Stamp of a mere assumption: it loses against every real one. */
export const assumedStamp = "000000000000000-00000000";

const precedence = (row: ReplicatedRow): number =>
  row.values["source"] === "operator" || (row.table === "tokens" && row.deleted) ? 1 : 0;

/** True if `next` replaces `current`; false for a version and itself. */
export function supersedes(next: ReplicatedRow, current: ReplicatedRow): boolean {
  const byPrecedence = precedence(next) - precedence(current);
  if (byPrecedence !== 0) return byPrecedence > 0;
  if (next.hlc !== current.hlc) return next.hlc > current.hlc;
  if (next.origin !== current.origin) return next.origin > current.origin;
  return next.seq > current.seq;
}

/** True when both have the same content, whatever their origins. */
export function sameContent(
  a: Pick<ReplicatedRow, "values" | "deleted">,
  b: Pick<ReplicatedRow, "values" | "deleted">,
): boolean {
  if (a.deleted !== b.deleted) return false;
  const names = Object.keys(a.values);
  return names.length === Object.keys(b.values).length && names.every((name) => a.values[name] === b.values[name]);
}

/** Milliseconds since 1970 in a stamp. */
export const stampMs = (stamp: string): number => Number(stamp.slice(0, 15));

/** Stamps further ahead of the wall clock come from a clock so wrong that waiting does not help. */
export const stampAheadMsMax = 24 * 3600 * 1_000;

/**
 * Counters from here on are of no clock that writes: at a thousand writes a second, a clock that is a day ahead counts
 * to 86 million before wall time has caught up, and carries long before that. The rest of the eight digits is room for
 * stamps that follow one that was seen.
 */
export const stampCounterMax = 50_000_000;

/** False: no clock that is about right has made it. `ahead` may be this gateway's own fault; a counter never is. */
export type StampFault = "ahead" | "counter";

export function faultOfStamp(stamp: string, wallTimeMs: number): StampFault | undefined {
  if (stampCounter(stamp) >= stampCounterMax) return "counter";
  return stampMs(stamp) > wallTimeMs + stampAheadMsMax ? "ahead" : undefined;
}

const stampCounter = (stamp: string): number => Number(stamp.slice(16));

/**
 * Returns the replacement for a false stamp: so old that it loses against everything written by a correct clock. It is
 * the same everywhere and keeps the order of the original stamps, because gateways that were wrong together must agree
 * on what they wrote.
 */
export const asOld = (stamp: string): string =>
  `${String(Math.floor(stampMs(stamp) / oldDivisor)).padStart(15, "0")}-${String(Math.min(stampCounter(stamp), stampCounterMax - 1)).padStart(8, "0")}`;
/** Maps any time of this century into the first hour of 1970. */
const oldDivisor = 1_000_000;

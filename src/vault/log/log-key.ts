/**
 * Where a log over a store has its records and its boundary:
 *
 *     log/<position>         the records, one flat folder
 *     boundary/<position>    how far retention may have deleted the log; the largest counts
 *
 * Only this folder knows it (scripts/lib/house-rules.ts): everything else works over the port (log.ts).
 */
import { padPosition, positionOfKey } from "../keys.ts";
import type { Position } from "../record.ts";

export const logPrefix = "log/";
export const boundaryPrefix = "boundary/";

export const logKey = (position: Position): string => logPrefix + padPosition(position);
export const boundaryKey = (position: Position): string => boundaryPrefix + padPosition(position);

/** Ascending when the keys are; what is no position of ours is left out. */
export const positionsOf = (prefix: string, keys: readonly string[]): Position[] =>
  keys.map((key) => positionOfKey(prefix, key)).filter((position) => position !== undefined);

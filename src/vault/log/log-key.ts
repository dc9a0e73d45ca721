/**
 * The keys of a log's records and boundary in a store:
 *
 *     log/<position>         the records, one flat folder
 *     boundary/<position>    how far retention may have deleted the log; the largest applies
 *
 * Only this folder knows them (scripts/lib/house-rules.ts): everything else works over the port (log.ts).
 */
import { padPosition, positionOfKey } from "../keys.ts";
import type { Position } from "../record.ts";

export const logPrefix = "log/";
export const boundaryPrefix = "boundary/";

export const logKey = (position: Position): string => logPrefix + padPosition(position);
export const boundaryKey = (position: Position): string => boundaryPrefix + padPosition(position);

/** Returns the positions in the order of the keys; keys that are no position of ours are left out. */
export const positionsOf = (prefix: string, keys: readonly string[]): Position[] =>
  keys.map((key) => positionOfKey(prefix, key)).filter((position) => position !== undefined);

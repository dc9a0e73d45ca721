/**
 * The keys of a segment log in a store. A term is what one claim began; terms have numbers of their own, since a claim
 * that comes to nothing takes a number and no epoch.
 *
 *     claims/<term>                          created exclusively: from then on no term before it acknowledges anything
 *     seals/<term>                           what became of the claim, and where the log before it ends
 *     marks/<term>                           a hint: the last position of the term that counts
 *     segments/<term>.<position>.<attempt>   records from a position on; of two of one position the later attempt applies
 *     large/<term>.<position>                a record that is too large for a segment
 *     boundary/<position>                    as in the log of objects
 */
import { padPosition } from "../../keys.ts";
import type { Position } from "../../record.ts";

export const claimPrefix = "claims/";
export const sealPrefix = "seals/";
export const segmentPrefix = "segments/";
export const largePrefix = "large/";

export const claimKey = (term: number): string => claimPrefix + padPosition(term);
export const sealKey = (term: number): string => sealPrefix + padPosition(term);
export const markKey = (term: number): string => `marks/${padPosition(term)}`;
export const largeKey = (term: number, position: Position): string =>
  `${largePrefix}${padPosition(term)}.${padPosition(position)}`;

/** The place of a segment in the order of the log. */
export interface SegmentName {
  readonly term: number;
  /** Position of its first record. */
  readonly first: Position;
  /** Counts the segments that begin at the same position: a file that failed is not written again. */
  readonly attempt: number;
}

export const segmentKey = ({ term, first, attempt }: SegmentName): string =>
  `${segmentPrefix}${padPosition(term)}.${padPosition(first)}.${attempt}`;

const segmentShape = /^segments\/(\d{16})\.(\d{16})\.(\d{1,16})$/;

/** Undefined: it is not the key of a segment. */
export function parseSegmentKey(key: string): SegmentName | undefined {
  const [, term, first, attempt] = segmentShape.exec(key) ?? [];
  const name = { term: Number(term), first: Number(first), attempt: Number(attempt) };
  return Object.values(name).every(Number.isSafeInteger) ? name : undefined;
}

const largeShape = /^large\/(\d{16})\.(\d{16})$/;

export function parseLargeKey(key: string): { readonly term: number; readonly position: Position } | undefined {
  const [, term, position] = largeShape.exec(key) ?? [];
  return position === undefined ? undefined : { term: Number(term), position: Number(position) };
}

/** Returns the numbers in keys of one prefix, ascending; keys of another shape are left out. */
export const termsOf = (prefix: string, keys: readonly string[]): number[] =>
  keys
    .filter((key) => key.startsWith(prefix) && /^\d{16}$/.test(key.slice(prefix.length)))
    .map((key) => Number(key.slice(prefix.length)));

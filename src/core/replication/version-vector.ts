/**
 * A version vector: for each origin (one run of one gateway) the highest sequence number up to which everything is
 * known.
 *
 * `vector.get(o) = n` claims: of every write of `o` numbered 1..n, its holder has that write or one that superseded it.
 * Numbers may have gaps; claims may not. Parker et al. 1983, "Detection of Mutual Inconsistency in Distributed
 * Systems".
 */

export type VersionVector = ReadonlyMap<string, number>;

export const countOf = (vector: VersionVector, origin: string): number => vector.get(origin) ?? 0;

/** True if `vector` knows this write, or one that superseded it. */
export const covers = (vector: VersionVector, origin: string, seq: number): boolean => seq <= countOf(vector, origin);

/** True if `vector` knows everything that `other` knows. */
export function dominates(vector: VersionVector, other: VersionVector): boolean {
  for (const [origin, count] of other) if (count > countOf(vector, origin)) return false;
  return true;
}

/** Returns the least vector that dominates both. */
export function joinVectors(a: VersionVector, b: VersionVector): Map<string, number> {
  const result = new Map(a);
  for (const [origin, count] of b) if (count > countOf(result, origin)) result.set(origin, count);
  return result;
}

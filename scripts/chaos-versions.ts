/**
 * Is a history linearizable, when every change carries its place in the order of commits? Exact, and without a search.
 *
 * The final list of changes is the only possible order of the writes. An operation can have taken effect only within an
 * interval of that order: a write at its own revision; a read of everything at the latest revision that it saw; a read
 * of one record from the revision that it saw until just before the record's next one. The history is linearizable if
 * and only if no operation that ended before another began lies behind it for sure: earliest place of the first >
 * latest place of the second. (Give each operation the highest of the earliest places of itself and of all that ended
 * before it began: these places respect real time, because "ended before" is transitive, and lie within the intervals.)
 */
export interface ChaosOperation {
  readonly what: string;
  readonly kind: "write" | "read-record" | "read-all";
  /** The record that it is about, where known. */
  key: string | undefined;
  readonly write: string | undefined;
  readonly calledAt: number;
  /** Infinity: its fate is not known. */
  returnedAt: number;
  /** What the answer said: revision of the write or of the record (0: no such record), or the latest revision. */
  revision: number | undefined;
}

export interface FinalChange {
  readonly revision: number;
  readonly write: string;
}

interface Placed {
  readonly operation: ChaosOperation;
  readonly earliest: number;
  readonly latest: number;
}

const breachesMax = 20;

/** One line for each breach; empty: linearizable. */
export function checkVersions(operations: readonly ChaosOperation[], changes: readonly FinalChange[]): string[] {
  const placed = place(operations, changes);
  const byCall = [...placed].sort((a, b) => a.operation.calledAt - b.operation.calledAt);
  const byReturn = [...placed].sort((a, b) => a.operation.returnedAt - b.operation.returnedAt);
  const breaches: string[] = [];
  let ended = 0;
  let highest: Placed | undefined;
  for (const one of byCall) {
    for (
      let next = byReturn[ended];
      next !== undefined && next.operation.returnedAt < one.operation.calledAt;
      next = byReturn[ended]
    ) {
      if (highest === undefined || next.earliest > highest.earliest) highest = next;
      ended += 1;
    }
    const isBehind =
      highest !== undefined &&
      (one.operation.kind === "write" ? highest.earliest >= one.latest : highest.earliest > one.latest);
    if (highest !== undefined && isBehind && breaches.length < breachesMax)
      breaches.push(`${shown(one)} began after ${shown(highest)} had ended`);
  }
  return breaches;
}

/** Operations with an effect or an answer, and where in the order they can lie. */
function place(operations: readonly ChaosOperation[], changes: readonly FinalChange[]): Placed[] {
  const revisionOf = new Map(changes.map(({ write, revision }) => [write, revision]));
  const revisionsOfKey = new Map<string, number[]>();
  for (const { kind, key, write } of operations) {
    const revision = kind === "write" && write !== undefined ? revisionOf.get(write) : undefined;
    if (key !== undefined && revision !== undefined)
      revisionsOfKey.set(key, [...(revisionsOfKey.get(key) ?? []), revision]);
  }
  return operations.flatMap((operation) => {
    const found = operation.kind === "write" ? revisionOf.get(operation.write ?? "") : operation.revision;
    // A write that is not there was never acknowledged, or is reported as missing by the history.
    if (found === undefined) return [];
    if (operation.kind !== "read-record") return [{ operation, earliest: found, latest: found }];
    const later = (revisionsOfKey.get(operation.key ?? "") ?? []).filter((revision) => revision > found);
    return [{ operation, earliest: found, latest: later.length === 0 ? Infinity : Math.min(...later) - 1 }];
  });
}

const shown = ({ operation, earliest }: Placed): string =>
  `${operation.what} (${operation.kind} at revision ${earliest}, ${operation.calledAt.toFixed(1)} to ${operation.returnedAt.toFixed(1)} ms)`;

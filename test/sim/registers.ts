/**
 * Are the overwriting writes and the reads of one register linearizable? Each value is written once, so a read says
 * which write it saw, and no search is needed: the zones of Gibbons and Korach (Testing Shared Memories, 1997; as in
 * Golab, Li and Shah 2011). A write and the reads of its value are a cluster; between its first end and its last
 * beginning (a forward zone) the register held that value for certain, so no two of these may overlap, and no other
 * cluster may lie as a whole in one.
 *
 * A PUT that a gateway repeated may have taken effect twice: idempotence promises no more than that both times
 * lie between the client's call and its answer. So a read that ended before the answer may have seen either, and is
 * only held against the call; from the answer on the value is there once, like any other. Without an answer
 * there is no such end, and nothing to hold against it.
 */
export interface RegisterWrite {
  readonly id: number;
  readonly calledAt: number;
  /** Infinity: no client was told that it happened. */
  readonly returnedAt: number;
  /** How often an application executed it. */
  readonly executions: number;
}

export interface RegisterRead {
  /** The id of the write that was seen; 0: none yet. */
  readonly value: number;
  readonly calledAt: number;
  readonly returnedAt: number;
}

interface Zone {
  readonly value: number;
  readonly firstEnd: number;
  readonly lastBegin: number;
}

const never: RegisterWrite = { id: 0, calledAt: -Infinity, returnedAt: -Infinity, executions: 1 };

/** What is wrong; undefined when it is linearizable. */
export function checkRegister(writes: readonly RegisterWrite[], reads: readonly RegisterRead[]): string | undefined {
  const readsOf = new Map<number, RegisterRead[]>();
  for (const read of reads) {
    const same = readsOf.get(read.value);
    if (same === undefined) readsOf.set(read.value, [read]);
    else same.push(read);
  }
  const known = new Set(writes.map(({ id }) => id));
  const unknown = reads.find(({ value }) => value !== 0 && !known.has(value));
  if (unknown !== undefined) return `a read saw ${unknown.value}, which no client wrote`;
  const zones: Zone[] = [];
  for (const write of [never, ...writes]) {
    const seen = readsOf.get(write.id) ?? [];
    const early = seen.find(({ returnedAt }) => returnedAt < write.calledAt);
    if (early !== undefined) return `a read saw ${write.id} before it was written`;
    const zone = zoneOf(write, seen);
    if (zone !== undefined) zones.push(zone);
  }
  return conflictOf(zones);
}

function zoneOf(write: RegisterWrite, seen: readonly RegisterRead[]): Zone | undefined {
  const isRepeated = write.executions > 1;
  if (isRepeated && write.returnedAt === Infinity) return undefined;
  const held = isRepeated ? seen.filter(({ returnedAt }) => returnedAt >= write.returnedAt) : seen;
  if (write.returnedAt === Infinity && held.length === 0) return undefined;
  let [firstEnd, lastBegin] = [write.returnedAt, write.calledAt];
  for (const { calledAt, returnedAt } of held) {
    firstEnd = Math.min(firstEnd, returnedAt);
    lastBegin = Math.max(lastBegin, calledAt);
  }
  return { value: write.id, firstEnd, lastBegin };
}

function conflictOf(zones: readonly Zone[]): string | undefined {
  const forward = zones
    .filter(({ firstEnd, lastBegin }) => firstEnd < lastBegin)
    .sort((a, b) => a.firstEnd - b.firstEnd);
  for (const [index, zone] of forward.entries()) {
    const next = forward[index + 1];
    if (next !== undefined && next.firstEnd < zone.lastBegin) return `${describe(zone)} and ${describe(next)} at once`;
  }
  for (const zone of zones) {
    if (zone.firstEnd < zone.lastBegin) continue;
    const around = forward.find(({ firstEnd, lastBegin }) => firstEnd < zone.lastBegin && zone.firstEnd < lastBegin);
    if (around !== undefined) return `${describe(around)}, and ${zone.value} was written and seen in between`;
  }
  return undefined;
}

const describe = ({ value, firstEnd, lastBegin }: Zone): string =>
  `the register was ${value} from ${firstEnd.toFixed(1)} to ${lastBegin.toFixed(1)}`;

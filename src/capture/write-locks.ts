/**
 * How often and for how long this host kept the application's writers out: a writer without a busy timeout meets SQLITE_BUSY then.
 * Nothing else that capture does makes a writer wait.
 */
export class WriteLocks {
  count = 0;
  /** Milliseconds, of all together. */
  totalMs = 0;
  /** Milliseconds, of the longest. */
  maxMs = 0;

  note(heldMs: number): void {
    this.add({ count: 1, totalMs: heldMs, maxMs: heldMs });
  }

  add({ count, totalMs, maxMs }: Pick<WriteLocks, "count" | "totalMs" | "maxMs">): void {
    this.count += count;
    this.totalMs += totalMs;
    this.maxMs = Math.max(this.maxMs, maxMs);
  }
}

export function sumOf(locks: readonly WriteLocks[]): WriteLocks {
  const sum = new WriteLocks();
  for (const one of locks) sum.add(one);
  return sum;
}

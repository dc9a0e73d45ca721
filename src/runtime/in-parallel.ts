/**
 * Runs `work` over the items, at most `width` at a time; the first failure stops the rest, and is thrown once all have
 * ended.
 */
export async function inParallel<T>(
  width: number,
  items: readonly T[],
  work: (item: T) => Promise<void>,
): Promise<void> {
  const failures: unknown[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    while (failures.length === 0) {
      const item = items[next];
      if (item === undefined) return;
      next += 1;
      try {
        await work(item);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, Math.min(width, items.length)) }, lane));
  if (failures.length > 0) throw failures[0];
}

/**
 * Yields what `work` returns for each item, in the order of the items, with up to `width` in progress: what comes later
 * is prepared while the caller works. A failure is thrown in its turn; none is in progress once this has ended.
 */
export async function* mapInOrder<T, R>(
  width: number,
  items: Iterable<T>,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const begun: Promise<R>[] = [];
  const rest = items[Symbol.iterator]();
  const begin = (): void => {
    const next = rest.next();
    if (next.done === true) return;
    const result = work(next.value);
    // It is awaited in its turn: until then its failure is not unhandled.
    result.catch(() => undefined);
    begun.push(result);
  };
  try {
    for (let lane = 0; lane < width; lane += 1) begin();
    for (let first = begun.shift(); first !== undefined; first = begun.shift()) {
      const result = await first;
      begin();
      yield result;
    }
  } finally {
    await Promise.allSettled(begun);
  }
}

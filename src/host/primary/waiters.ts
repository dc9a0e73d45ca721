/** Everybody who waits for the same moment of the journal: one promise, resolved or rejected once. */
export interface Waiters {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export function newWaiters(): Waiters {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  // A shut journal rejects waiters that nobody may be waiting for any more; each one who waits sees its own rejection.
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}

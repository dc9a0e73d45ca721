/** A promise that is resolved or rejected from outside. Any number of callers may await it, or none. */
export interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A rejection that no caller awaits does not count as unhandled; every caller that awaits sees it. */
export function newDeferred(): Deferred {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}

/** A promise that is resolved or rejected from outside, and that any number of callers, also none, may await. */
export interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** A rejection that no caller awaits is no unhandled one; each caller that awaits sees it. */
export function newDeferred(): Deferred {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  promise.catch(() => undefined);
  return { promise, resolve, reject };
}

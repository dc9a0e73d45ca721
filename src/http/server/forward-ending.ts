/** Who waits for the end of a forward: a promise, or a user that is called. */
import type { Exchange, ForwardOutcome, ForwardUser, Handling } from "../upstream/exchange.ts";
import type { Upstream } from "../upstream/upstream.ts";

export type ForwardEnding =
  | { readonly kind: "promise"; resolve(outcome: ForwardOutcome): void; reject(error: unknown): void }
  | { readonly kind: "user"; readonly upstream: Upstream; readonly user: ForwardUser };

/** What the user has left to do; what it throws is its rejection. */
export function restOf({ user, upstream }: ForwardEnding & { kind: "user" }, exchange: Exchange, outcome: ForwardOutcome): Handling {
  try {
    return user.onOutcome(exchange, upstream, outcome);
  } catch (error) {
    return Promise.reject(error);
  }
}

/**
 * May a request be sent again? (design, section 7, "Replay")
 *
 * Only if (a) not a byte of it was sent, or (b) the host said "not executed", or (c) the method is idempotent (RFC 9110,
 * 9.2.2) and no byte of a response was released; and, where something was sent, its body is still held. Everything else
 * must be said to be unknown: a second execution of a write that nobody asked for is worse than an honest error.
 */
import { allRules, type Rules } from "./rules.ts";

/**
 * Request field of a gateway to a host: the epoch for which it was routed. A host executes only requests of its own epoch,
 * so a copy of an abandoned attempt that a network delivers late (kernels go on sending) can't execute behind its repetition.
 */
export const epochField = "Stead-Epoch";

/** True when a host that serves `epoch` may execute a request whose field says `routedFor`; without the field it may. */
export function isOfEpoch(routedFor: string | undefined, epoch: number, rules: Rules = allRules): boolean {
  return routedFor === undefined || routedFor === String(epoch) || !rules.has("replay-own-epoch");
}

export type AttemptOutcome =
  | { readonly kind: "completed" }
  | { readonly kind: "not_sent"; readonly reason: string }
  | { readonly kind: "not_executed"; readonly bodyHeld: boolean; readonly reason: string }
  | { readonly kind: "lost"; readonly released: boolean; readonly bodyHeld: boolean; readonly reason: string }
  | { readonly kind: "upstream_invalid"; readonly reason: string }
  | { readonly kind: "client_gone" };

export type ReplayDecision =
  /** Nothing more to do: the client has its answer, or a visibly cut one, or is gone. */
  | { readonly kind: "answered" }
  /**
   * Send it again, to whoever is primary then. `changes_state`: only in a later epoch. Idempotence covers the same request twice, not
   * a late first copy behind somebody else's newer write; in a later epoch the first copy is not executed any more.
   */
  | { readonly kind: "again"; readonly why: "not_sent" | "not_executed" | "safe" | "changes_state"; readonly reason: string }
  /** Provably not executed, but its body is no longer held: the client may send it again itself. */
  | { readonly kind: "give_up"; readonly reason: string }
  /** It may have been executed, or not, or in part. */
  | { readonly kind: "unknown"; readonly reason: string };

/** RFC 9110, 9.2.2, with the registered methods that are defined as idempotent there. Names are case-sensitive. */
const idempotentMethods: readonly string[] = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];

/** RFC 9110, 9.2.1: they change nothing, whatever number of copies executes. */
const safeMethods: readonly string[] = ["GET", "HEAD", "OPTIONS", "TRACE"];

export function isIdempotent(method: string): boolean {
  return idempotentMethods.includes(method);
}

/** What to do after `outcome` of a request with `method`. */
export function decideReplay(method: string, outcome: AttemptOutcome, rules: Rules = allRules): ReplayDecision {
  switch (outcome.kind) {
    case "completed":
    case "client_gone":
      return { kind: "answered" };
    case "not_sent":
      return { kind: "again", why: "not_sent", reason: outcome.reason };
    case "not_executed":
      if (!outcome.bodyHeld) return { kind: "give_up", reason: `${outcome.reason}; the request's body is too large to be kept for sending it again` };
      return { kind: "again", why: "not_executed", reason: outcome.reason };
    case "lost":
      if (!outcome.released && outcome.bodyHeld && (isIdempotent(method) || !rules.has("replay"))) {
        const isSafe = safeMethods.includes(method) || !rules.has("replay") || !rules.has("replay-later-epoch");
        return { kind: "again", why: isSafe ? "safe" : "changes_state", reason: outcome.reason };
      }
      return { kind: "unknown", reason: outcome.reason };
    case "upstream_invalid":
      // It answered, so it may have executed; what it said cannot be understood and would hardly be better the next time.
      return { kind: "unknown", reason: outcome.reason };
  }
}

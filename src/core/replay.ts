/**
 * Decides whether a request may be resent (docs/PROTOCOL.md, "replay").
 *
 * It may be resent only if (a) no byte of it was sent, or (b) the host said "not executed", or (c) no byte of a final
 * response was released, and the method is idempotent (RFC 9110, 9.2.2) or the host that had it is lost and the next
 * one can tell by its name that it has changed nothing (request-names.ts); and, if something was sent, its body is
 * still held. Everything else is reported as unknown: silently executing a write a second time is worse than an honest
 * error.
 *
 * A lost request is resent `againMax` times in all, even with a safe method: the request may be what crashes its
 * application, and each repetition would crash it again. A request is lost only if its executor is gone: the host, or
 * the process of the application. A living application has given its answer by closing the connection, by an
 * unintelligible answer, or by exceeding its time; asking again would make it do the same work again.
 *
 * A request that may change something (PUT, DELETE) is resent only where no first copy can execute after the
 * repetition: in a later epoch, or after the application that received it has ended. A host that says "application
 * ended" has read the request from its connection, has seen every process that had it end, and lets the repetition
 * through only once the application was restarted.
 *
 * How one would break it: count a request that was never sent as lost, or forget the count when a request goes back to
 * wait for a primary.
 *
 * Attacked in test/core/replay.test.ts: "a request of which nothing was sent is resent". Attacked by the mutant
 * replay-bound.
 */
import { allRules, type Rules } from "./rules.ts";

/** True if a host that serves `epoch` may execute a request whose field says `routedFor`; without the field it may. */
export function isOfEpoch(routedFor: string | undefined, epoch: number, rules: Rules = allRules): boolean {
  return routedFor === undefined || routedFor === String(epoch) || !rules.has("replay-own-epoch");
}

/** Why a request that was sent has no answer. */
export type LossCause =
  /** The connection to the host broke: it may be gone. */
  | "host-lost"
  /** The host is alive; the process of its application ended. */
  | "application-ended"
  /** The application is alive and closed the connection. */
  | "closed"
  /** Nothing arrived within the time limit. */
  | "timed-out"
  /** A later primary was asked again by name, and an earlier try may be in what it restored (request-names.ts). */
  | "in-doubt"
  /** Likewise, and an earlier try was executed; its answer was too long to be kept. */
  | "executed";

export type AttemptOutcome =
  | { readonly kind: "completed" }
  | { readonly kind: "not-sent"; readonly reason: string }
  | { readonly kind: "not-executed"; readonly bodyHeld: boolean; readonly reason: string }
  | {
      readonly kind: "lost";
      readonly released: boolean;
      readonly bodyHeld: boolean;
      readonly cause: LossCause;
      readonly reason: string;
    }
  | { readonly kind: "put-aside"; readonly retryAfterSeconds: number; readonly reason: string }
  | { readonly kind: "upstream-invalid"; readonly reason: string }
  | { readonly kind: "client-gone" };

export type ReplayDecision =
  /** Nothing more to do: the client has its answer, or a visibly truncated one, or is gone. */
  | { readonly kind: "answered" }
  /**
   * Resend it, to the primary of that moment. `changes-state`: only in a later epoch. Idempotence covers the same
   * request executed twice, not a late first copy that executes after another client's newer write; in a later epoch
   * the first copy is no longer executed. `application-ended`: in the same epoch too, since the process that had the
   * first copy is gone. `named`: only in a later epoch, whose primary executes it if no flush has its name.
   */
  | {
      readonly kind: "again";
      readonly why: "not-sent" | "not-executed" | "safe" | "application-ended" | "changes-state" | "named";
      readonly reason: string;
    }
  /** Provably not executed, but its body is no longer held: the client may send it again itself. */
  | { readonly kind: "give-up"; readonly reason: string }
  /** Not executed and not to be resent: requests like it end the application (core/suspects.ts). */
  | { readonly kind: "put-aside"; readonly retryAfterSeconds: number; readonly reason: string }
  /** The application answered in a way that cannot be passed on. */
  | { readonly kind: "invalid"; readonly reason: string }
  /** Not answered in time; it may still be executing. */
  | { readonly kind: "timed-out"; readonly reason: string }
  /** It may have been executed, not at all, or in part. */
  | { readonly kind: "unknown"; readonly reason: string };

/** RFC 9110, 9.2.2, with the registered methods that are defined as idempotent there. Names are case-sensitive. */
const idempotentMethods: readonly string[] = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];

/** RFC 9110, 9.2.1: safe methods change nothing, however many copies execute. */
const safeMethods: readonly string[] = ["GET", "HEAD", "OPTIONS", "TRACE"];

export function isIdempotent(method: string): boolean {
  return idempotentMethods.includes(method);
}

/** What is known from earlier tries of a request. */
export interface ReplayHistory {
  /** How its earlier tries were lost, oldest first; tries that were not executed do not count. */
  readonly losses: readonly LossCause[];
  /** `gateway.replay.again`. */
  readonly againMax: number;
  /** The host got it with a name (core/request-names.ts). */
  readonly isNamed?: boolean;
}

/** Returns what to do after `outcome` of a request with `method`. */
export function decideReplay(
  method: string,
  outcome: AttemptOutcome,
  history: ReplayHistory,
  rules: Rules = allRules,
): ReplayDecision {
  switch (outcome.kind) {
    case "completed":
    case "client-gone":
      return { kind: "answered" };
    case "not-sent":
      return { kind: "again", why: "not-sent", reason: outcome.reason };
    case "not-executed":
      if (!outcome.bodyHeld)
        return {
          kind: "give-up",
          reason: `${outcome.reason}; the request's body is too large to be kept for sending it again`,
        };
      return { kind: "again", why: "not-executed", reason: outcome.reason };
    case "lost":
      return afterLoss(method, outcome, history, rules);
    case "upstream-invalid":
      // The application answered, so it may have executed the request; its answer is unintelligible and would hardly be
      // better next time.
      return { kind: "invalid", reason: outcome.reason };
    case "put-aside":
      return outcome;
  }
}

function afterLoss(
  method: string,
  outcome: AttemptOutcome & { kind: "lost" },
  { losses, againMax, isNamed = false }: ReplayHistory,
  rules: Rules,
): ReplayDecision {
  const { cause, reason } = outcome;
  const isBound = rules.has("replay-bound");
  if (cause === "timed-out") return { kind: "timed-out", reason };
  if (cause === "in-doubt" || cause === "executed" || (cause === "closed" && isBound))
    return { kind: "unknown", reason };
  const isByName = isNamed && cause === "host-lost" && !isIdempotent(method);
  const mayGoAgain =
    !outcome.released && outcome.bodyHeld && (isIdempotent(method) || isByName || !rules.has("replay"));
  if (!mayGoAgain) return { kind: "unknown", reason: describeLosses([...losses, cause], reason) };
  if (losses.length >= againMax && isBound)
    return { kind: "unknown", reason: describeLosses([...losses, cause], reason) };
  if (isByName) return { kind: "again", why: "named", reason };
  const isSafe = safeMethods.includes(method) || !rules.has("replay") || !rules.has("replay-later-epoch");
  return { kind: "again", why: isSafe ? "safe" : cause === "application-ended" ? cause : "changes-state", reason };
}

const times = (count: number): string => (count === 1 ? "once" : count === 2 ? "twice" : `${count} times`);

/** Describes all tries of a request for its client. */
export function describeLosses(losses: readonly LossCause[], reason: string): string {
  const ended = losses.filter((cause) => cause === "application-ended").length;
  const gone = losses.length - ended;
  const said = [
    ...(ended > 0 ? [`the application ended ${times(ended)} while it had this request`] : []),
    ...(gone > 0 ? [`the host was lost ${times(gone)} while it had this request: ${reason}`] : []),
  ];
  return said.join("; ");
}

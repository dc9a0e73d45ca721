/**
 * May a request be sent again? (docs/PROTOCOL.md, "replay")
 *
 * Only if (a) not a byte of it was sent, or (b) the host said "not executed", or (c) the method is idempotent (RFC
 * 9110, 9.2.2) and no byte of a response was released; and, where something was sent, its body is still held.
 * Everything else is reported as unknown: executing a write a second time, unasked, is worse than an honest error.
 *
 * What was sent and lost is sent again `againMax` times in all, a safe method too: a request may be the reason why its
 * application ends, and each repetition would end it again. It is lost only when its executor is gone: the host, or the
 * process of the application. An application that lives has given its answer by closing the connection, by an answer
 * that cannot be understood, or by taking longer than it may; asking again would have it do the same work again.
 *
 * What may change something (PUT, DELETE) is repeated only where no first copy of it can execute behind the repetition:
 * in a later epoch, or after the end of the application that had it. A host that says "application ended" has read the
 * request from its connection, has seen every process that had it end, and lets the repetition through only when the
 * application was started again.
 *
 * To break it: count what was never sent as lost, or forget the count where a request goes back to wait for a primary.
 */
import { allRules, type Rules } from "./rules.ts";

/**
 * Request field of a gateway to a host: the epoch for which it was routed. A host executes only requests of its own
 * epoch, so a copy of an abandoned attempt that a network delivers late (kernels go on sending) can't execute behind
 * its repetition.
 */
export const epochField = "Stead-Epoch";

/**
 * True when a host that serves `epoch` may execute a request whose field says `routedFor`; without the field it may.
 */
export function isOfEpoch(routedFor: string | undefined, epoch: number, rules: Rules = allRules): boolean {
  return routedFor === undefined || routedFor === String(epoch) || !rules.has("replay-own-epoch");
}

/** Why there is no answer to a request that was sent. */
export type LossCause =
  /** The connection to the host broke: it may be gone. */
  | "host-lost"
  /** The host lives; the process of its application ended. */
  | "application-ended"
  /** The application lives and closed the connection. */
  | "closed"
  /** Nothing came in the time that was given. */
  | "timed-out";

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
  /** Nothing more to do: the client has its answer, or a visibly cut one, or is gone. */
  | { readonly kind: "answered" }
  /**
   * Send it again, to the primary of that moment. `changes-state`: only in a later epoch. Idempotence covers the same
   * request twice, not a late first copy behind another client's newer write; in a later epoch the first copy is not
   * executed any more. `application-ended`: in the same epoch too, since what had the first copy is gone.
   */
  | {
      readonly kind: "again";
      readonly why: "not-sent" | "not-executed" | "safe" | "application-ended" | "changes-state";
      readonly reason: string;
    }
  /** Provably not executed, but its body is no longer held: the client may send it again itself. */
  | { readonly kind: "give-up"; readonly reason: string }
  /** Not executed and not to be repeated: requests like it end the application (core/suspects.ts). */
  | { readonly kind: "put-aside"; readonly retryAfterSeconds: number; readonly reason: string }
  /** It answered, in a way that cannot be passed on. */
  | { readonly kind: "invalid"; readonly reason: string }
  /** Not answered in time; it may be executed still. */
  | { readonly kind: "timed-out"; readonly reason: string }
  /** It may have been executed, or not, or in part. */
  | { readonly kind: "unknown"; readonly reason: string };

/** RFC 9110, 9.2.2, with the registered methods that are defined as idempotent there. Names are case-sensitive. */
const idempotentMethods: readonly string[] = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"];

/** RFC 9110, 9.2.1: they change nothing, whatever number of copies executes. */
const safeMethods: readonly string[] = ["GET", "HEAD", "OPTIONS", "TRACE"];

export function isIdempotent(method: string): boolean {
  return idempotentMethods.includes(method);
}

/** What is known of a request from before. */
export interface ReplayHistory {
  /** How its earlier tries were lost, oldest first; tries that were not executed do not count. */
  readonly losses: readonly LossCause[];
  /** `gateway.replay.again`. */
  readonly againMax: number;
}

/** What to do after `outcome` of a request with `method`. */
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
      // It answered, so it may have executed; what it said cannot be understood and would hardly be better the next
      // time.
      return { kind: "invalid", reason: outcome.reason };
    case "put-aside":
      return outcome;
  }
}

function afterLoss(
  method: string,
  outcome: AttemptOutcome & { kind: "lost" },
  { losses, againMax }: ReplayHistory,
  rules: Rules,
): ReplayDecision {
  const { cause, reason } = outcome;
  const isBound = rules.has("replay-bound");
  if (cause === "timed-out") return { kind: "timed-out", reason };
  if (cause === "closed" && isBound) return { kind: "unknown", reason };
  const mayGoAgain = !outcome.released && outcome.bodyHeld && (isIdempotent(method) || !rules.has("replay"));
  if (!mayGoAgain) return { kind: "unknown", reason: describeLosses([...losses, cause], reason) };
  if (losses.length >= againMax && isBound)
    return { kind: "unknown", reason: describeLosses([...losses, cause], reason) };
  const isSafe = safeMethods.includes(method) || !rules.has("replay") || !rules.has("replay-later-epoch");
  return { kind: "again", why: isSafe ? "safe" : cause === "application-ended" ? cause : "changes-state", reason };
}

const times = (count: number): string => (count === 1 ? "once" : count === 2 ? "twice" : `${count} times`);

/** What happened to a request in all its tries, for its client. */
export function describeLosses(losses: readonly LossCause[], reason: string): string {
  const ended = losses.filter((cause) => cause === "application-ended").length;
  const gone = losses.length - ended;
  const said = [
    ...(ended > 0 ? [`the application ended ${times(ended)} while it had this request`] : []),
    ...(gone > 0 ? [`the host was lost ${times(gone)} while it had this request: ${reason}`] : []),
  ];
  return said.join("; ");
}

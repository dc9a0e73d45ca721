/**
 * Answers of a host's front itself, to the gateway that sent the request (src/http/message/stead-fields.ts reads
 * them).
 */
import type { Beginning } from "../../core/request-names.ts";
import type { RequestOutcome } from "../../core/request-outcome.ts";
import type { CancellationGroup } from "../../runtime/cancellation-group.ts";
import type { RequestHead } from "../../http/message/head.ts";
import { HeaderList, splitLines } from "../../http/message/headers.ts";
import { errorReply } from "../../http/server/local-reply.ts";
import type { Exchange, LocalReply } from "../../http/upstream/exchange.ts";
import {
  putAsideCause,
  recordedField,
  unknownFields,
  type UnknownCause,
  withoutSteadFields,
} from "../../http/message/stead-fields.ts";

const text: [string, string] = ["Content-Type", "text/plain; charset=utf-8"];

/** The application has not seen the request: the gateway may resend it. */
export function refuse(exchange: Exchange, reason: string): Promise<void> {
  return exchange.respond({
    status: 503,
    headers: [text, ["Stead-Outcome", "not-executed"], ["Retry-After", "1"]],
    body: `${reason}\n`,
  });
}

/** The application has not seen the request, and will not for a while. */
export function putAside(exchange: Exchange, endings: number, forMs: number): Promise<void> {
  const reason = `suspect_request: the application ended ${endings} times while it had a request with this method and path, and none completed since; it is not forwarded for a while`;
  const retryAfter = String(Math.max(1, Math.ceil(forMs / 1000)));
  const fields: [string, string][] = [
    ["Stead-Outcome", "not-executed"],
    ["Stead-Cause", putAsideCause],
    ["Stead-Reason", reason],
    ["Retry-After", retryAfter],
  ];
  return exchange.respond({ status: 503, headers: [text, ...fields], body: `${reason}\n` });
}

/** The application had the request, and there is no response to pass on. */
function unknown(exchange: Exchange, cause: UnknownCause, reason: string): Promise<void> {
  return exchange.respond({
    status: cause === "timed-out" ? 504 : 502,
    headers: [text, ...unknownFields(cause, reason)],
    body: `the application did not answer: ${reason}\n`,
  });
}

/** Answers a repetition of a request that an earlier try of was executed, or may have been. */
export async function answerBefore(exchange: Exchange, end: CancellationGroup, beginning: Beginning): Promise<void> {
  switch (beginning.kind) {
    case "execute":
      throw new Error("a request that is to be executed has no earlier answer");
    case "executing":
      return exchange.respond(keyReply(exchange.request, 409, "idempotency_key_in_use", inUseReason));
    case "other-request":
      return exchange.respond(keyReply(exchange.request, 422, "idempotency_key_reused", otherRequestReason));
    case "in-doubt":
      return sayUnknown(exchange, end, "in-doubt", inDoubtReasons[beginning.why]);
    case "recorded": {
      const { outcome } = beginning;
      if (outcome.kind === "answered") return sayUnknown(exchange, end, "executed", answeredReason(outcome));
      if (end.reason !== undefined || exchange.hasResponseStarted) return exchange.abort();
      const { status, reason, fields, body } = outcome;
      await exchange.respond({ status, reason, headers: [...fieldsToRepeat(fields), recordedField], body });
    }
  }
}

/** Of an answer as the application gave it, without what this server sets itself or what was about that connection. */
function fieldsToRepeat(lines: string): HeaderList {
  const headers = new HeaderList(splitLines(lines));
  const nominated = headers
    .getAll("connection")
    .join(",")
    .toLowerCase()
    .split(/[\s,]+/);
  const dropped = new Set([...ofConnection, ...nominated]);
  return withoutSteadFields(headers.without((name) => dropped.has(name)));
}

const ofConnection: readonly string[] = [
  ...["connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"],
  ...["content-length", "date"],
];

const inUseReason = "the first request with this Idempotency-Key is being executed; send it again later";
const otherRequestReason =
  "this Idempotency-Key was used for a request with another method, target, body or other credentials; use a new key";

/** Of a request that is not executed because of its key. */
export function keyReply({ headers }: RequestHead, status: number, code: string, reason: string): LocalReply {
  return errorReply(status, code, reason, headers.get("accept"));
}

const inDoubtReasons = {
  named:
    "the host that had it was lost; the request was executing when a flush that was kept was collected, and its answer is in none",
  "unknown-flush":
    "the host that had it was lost; it may be in a part of the log from before the checkpoint that this host restored, or of a version that writes no names",
} as const;

const answeredReason = ({ status, bodyBytes, sha256 }: RequestOutcome & { kind: "answered" }): string =>
  `the request was executed and answered ${status}; the answer is not kept, because its body is longer than host.outcomes.body or has trailers (${bodyBytes} bytes, SHA-256 ${sha256})`;

/** A host that was cut off must not even report a failure: the next primary decides. */
export async function sayUnknown(
  exchange: Exchange,
  end: CancellationGroup,
  cause: UnknownCause,
  reason: string,
): Promise<void> {
  if (end.reason === undefined && !exchange.hasResponseStarted) await unknown(exchange, cause, reason);
  else exchange.abort();
}

/**
 * Answers of a host's front itself, to the gateway that sent the request (src/http/message/stead-fields.ts reads
 * them).
 */
import type { CancellationGroup } from "../../runtime/cancellation-group.ts";
import type { Exchange } from "../../http/upstream/exchange.ts";
import { putAsideCause, unknownFields, type UnknownCause } from "../../http/message/stead-fields.ts";

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

/**
 * Progress of the response to a request; a drain uses it to decide what to wait for (src/host/application/drain.ts).
 */
import type { CancellationGroup, Cancellable } from "../../runtime/cancellation-group.ts";
import type { RequestHead } from "../message/head.ts";
import type { ParsedResponse } from "../message/read-response.ts";

/**
 * `none`: nothing of it has arrived. `bounded`: its length is known. `open`: it ends when the upstream ends it.
 * `stream`: it has no natural end: an event stream, or a tunnel.
 */
export type AnswerProgress = "none" | "bounded" | "open" | "stream";

/** An attempt to have a request answered. */
export interface OpenAttempt extends Cancellable {
  readonly request: RequestHead;
  /** True if a part of the request has been sent. */
  readonly isSent: boolean;
  readonly answer: AnswerProgress;
  /** Grows with each part of the response. */
  readonly released: number;
}

/** Of a response whose fields can still be read: before they have left. */
export function progressOf(response: ParsedResponse): Exclude<AnswerProgress, "none"> {
  if (response.headers.get("content-type")?.toLowerCase().startsWith("text/event-stream") === true) return "stream";
  return response.framing.kind === "chunked" || response.framing.kind === "close" ? "open" : "bounded";
}

/** Returns the attempts that `end` would end, newest first. */
export const openAttempts = (end: CancellationGroup): OpenAttempt[] => [...end.members].filter(isAttempt).reverse();

const isAttempt = (member: Cancellable): member is OpenAttempt => "isSent" in member;

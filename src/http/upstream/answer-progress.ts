/**
 * How far the response to a request has got; a drain decides by it what to wait for (src/host/application/drain.ts).
 */
import type { CancellationGroup, Cancellable } from "../../runtime/cancellation-group.ts";
import type { RequestHead } from "../message/head.ts";
import type { ParsedResponse } from "../message/read-response.ts";

/**
 * `none`: nothing of it has come. `bounded`: its length is known. `open`: it ends when the upstream says so. `stream`:
 * it has no end of its own: an event stream, or a tunnel.
 */
export type AnswerProgress = "none" | "bounded" | "open" | "stream";

/** An attempt to have a request answered. */
export interface OpenAttempt extends Cancellable {
  readonly request: RequestHead;
  /** Something of the request has been sent. */
  readonly isSent: boolean;
  readonly answer: AnswerProgress;
  /** Grows with each part of the answer. */
  readonly released: number;
}

export function progressOf(response: ParsedResponse | undefined): AnswerProgress {
  if (response === undefined) return "none";
  if (response.headers.get("content-type")?.toLowerCase().startsWith("text/event-stream") === true) return "stream";
  return response.framing.kind === "chunked" || response.framing.kind === "close" ? "open" : "bounded";
}

/** The attempts that `end` would end, the newest first. */
export const openAttempts = (end: CancellationGroup): OpenAttempt[] => [...end.members].filter(isAttempt).reverse();

const isAttempt = (member: Cancellable): member is OpenAttempt => "isSent" in member;

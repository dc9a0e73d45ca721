/**
 * Keeps what an application answers to one request, for a repetition of it: whole, or, where that is too long or has
 * trailers, that it was answered.
 */
import { createHash, type Hash } from "node:crypto";
import type { OutcomeLimits, RequestOutcome } from "../../core/request-outcome.ts";
import type { ResponseHead } from "../../http/message/head.ts";
import type { HeaderList } from "../../http/message/headers.ts";
import type { AnswerRecorder } from "../../http/upstream/exchange.ts";
import type { Handover } from "./handover.ts";

/** The section of the log has no room for more. */
const reasonCharactersMax = 1_000;

/** Undefined: the request has no name, or no answers are kept. `request`: as the hand-over has it. */
export function recorderOf(handover: Handover, request: object, head: ResponseHead): AnswerRecorder | undefined {
  const { limits } = handover.names;
  if (limits.keepMs === 0 || !handover.isExecuting(request)) return undefined;
  return new OutcomeRecorder(head, limits, (outcome) => handover.answered(request, outcome));
}

class OutcomeRecorder implements AnswerRecorder {
  readonly #head: Pick<RequestOutcome & { kind: "whole" }, "status" | "reason" | "fields">;
  readonly #bodyBytesMax: number;
  readonly #onOutcome: (outcome: RequestOutcome) => void;
  #parts: Buffer[] = [];
  #bytes = 0;
  #hash: Hash | undefined;

  constructor(head: ResponseHead, limits: OutcomeLimits, onOutcome: (outcome: RequestOutcome) => void) {
    const { status, reason, headers } = head;
    // Copied now: the head's own bytes are gone once it has been written.
    this.#head = { status, reason: reason.slice(0, reasonCharactersMax), fields: headers.lines };
    this.#bodyBytesMax = limits.bodyBytesMax;
    this.#onOutcome = onOutcome;
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    this.#bytes += to - from;
    if (this.#hash === undefined && this.#bytes > this.#bodyBytesMax) this.#keepHashOnly();
    if (this.#hash !== undefined) this.#hash.update(bytes.subarray(from, to));
    else {
      const part = Buffer.allocUnsafe(to - from);
      bytes.copy(part, 0, from, to);
      this.#parts.push(part);
    }
  }

  onComplete(trailers: HeaderList | undefined): void {
    if (trailers !== undefined && trailers.count > 0) this.#keepHashOnly();
    const { status, reason, fields } = this.#head;
    const body = this.#parts.length > 1 ? Buffer.concat(this.#parts) : (this.#parts[0] ?? empty);
    this.#onOutcome(
      this.#hash === undefined
        ? { kind: "whole", status, reason, fields, body }
        : { kind: "answered", status, bodyBytes: this.#bytes, sha256: this.#hash.digest("hex") },
    );
  }

  #keepHashOnly(): void {
    this.#hash ??= createHash("sha256");
    for (const part of this.#parts.splice(0)) this.#hash.update(part);
  }
}

const empty = Buffer.alloc(0);

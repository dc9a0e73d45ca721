/**
 * Keeps what an application answers to one request, for a repetition of it: whole, or, where that is too long or has
 * trailers, that it was answered.
 */
import { createHash, type Hash } from "node:crypto";
import type { OutcomeLimits, RequestOutcome } from "../../core/request-outcome.ts";
import type { ResponseHead } from "../../http/message/head.ts";
import type { HeaderList } from "../../http/message/headers.ts";
import {
  CONNECTION,
  CONTENT_LENGTH,
  fieldSet,
  isHopByHop,
  knownField,
  OTHER,
  STEAD,
} from "../../http/message/known-fields.ts";
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
    const fields = fieldsOfAnswer(headers);
    this.#head = { status, reason: reason.slice(0, reasonCharactersMax), fields };
    this.#bodyBytesMax = limits.bodyBytesMax;
    this.#onOutcome = onOutcome;
  }

  onBody(bytes: Buffer, from: number, to: number): void {
    const part = bytes.subarray(from, to);
    this.#bytes += part.length;
    if (this.#hash === undefined && this.#bytes > this.#bodyBytesMax) this.#keepHashOnly();
    if (this.#hash !== undefined) this.#hash.update(part);
    else this.#parts.push(Buffer.from(part));
  }

  onComplete(trailers: HeaderList | undefined): void {
    if (trailers !== undefined && trailers.count > 0) this.#keepHashOnly();
    const { status } = this.#head;
    const [first = empty] = this.#parts;
    this.#onOutcome(
      this.#hash === undefined
        ? { kind: "whole", ...this.#head, body: this.#parts.length > 1 ? Buffer.concat(this.#parts) : first }
        : { kind: "answered", status, bodyBytes: this.#bytes, sha256: this.#hash.digest("hex") },
    );
  }

  #keepHashOnly(): void {
    this.#hash ??= createHash("sha256");
    for (const part of this.#parts.splice(0)) this.#hash.update(part);
  }
}

const empty = Buffer.alloc(0);

/** `name, value, …` of what describes the answer, not its connection or framing. */
function fieldsOfAnswer(headers: HeaderList): string[] {
  const { flat } = headers;
  const nominated = headers.mayHave(connectionSet) ? nominatedIn(headers) : [];
  const kept: string[] = [];
  for (let i = 0; i < flat.length; i += 2) {
    const name = flat[i] as string;
    const field = knownField(name);
    const isDropped =
      field === OTHER
        ? ofFraming.has(name.toLowerCase())
        : field === STEAD || field === CONTENT_LENGTH || isHopByHop(field);
    if (!isDropped && !nominated.includes(name.toLowerCase())) kept.push(name, flat[i + 1] as string);
  }
  return kept;
}

const connectionSet = fieldSet(CONNECTION);
const nominatedIn = (headers: HeaderList): string[] =>
  headers
    .getAll("connection")
    .join(",")
    .toLowerCase()
    .split(/[\s,]+/);

/** What the server of the repetition sets itself, beside the length. */
const ofFraming: ReadonlySet<string> = new Set(["trailer", "date"]);

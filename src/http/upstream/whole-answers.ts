/**
 * Short answers that wait for their rest, so that they leave whole: an answer whose upstream is lost before its end was
 * then not seen by its client, and its request can be sent again, or be reported as unknown (core/replay.ts).
 *
 * Only an answer waits that has arrived in part and says its length: a stream, and an answer that has come in one read,
 * never do. It waits for `restMs` at most and passes from then on as it comes, so it is never complete later than
 * without a wait. What waits is bounded in each answer and in all together; beyond that an answer passes as it comes.
 */
import type { ParsedResponse } from "../message/read-response.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { progressOf } from "./answer-progress.ts";

/**
 * Longer than a kernel delays an acknowledgement (Linux: from 40 ms). An application that writes head and body apart,
 * without TCP_NODELAY, sends the body only once the head is acknowledged: Python's http.server, 40 to 50 ms later.
 */
export const restMs = 100;
/** Of all waiting answers of a process. */
export const waitingBytesMax = 16 * 2 ** 20;

export interface WholeAnswersOptions {
  /** Longest body that waits; read for each answer. 0: none. */
  readonly bytesMax: number;
  readonly clock: Clock;
}

export interface PartialAnswer {
  /** Its time is over: it passes as it comes. */
  onRestLate(): void;
}

/** Returns whether an answer that has arrived in part may wait for its rest. */
export const mayWait = (response: ParsedResponse, bytesMax: number): boolean =>
  response.framing.kind === "length" && response.framing.bytes <= bytesMax && progressOf(response) === "bounded";

export class WholeAnswers {
  readonly #options: WholeAnswersOptions;
  /** In order of arrival, which is the order in which their time ends. */
  readonly #waiting = new Map<PartialAnswer, { readonly bytes: number; readonly until: number }>();
  #bytes = 0;
  #timer: Timer | undefined;

  constructor(options: WholeAnswersOptions) {
    this.#options = options;
  }

  /** `bytes`: most that will wait. Returns true if `answer` waits: until `onRestLate`, or until `end`. */
  begin(answer: PartialAnswer, response: ParsedResponse, bytes: number): boolean {
    const { bytesMax, clock } = this.#options;
    if (!mayWait(response, bytesMax) || this.#bytes + bytes > waitingBytesMax) return false;
    this.#waiting.set(answer, { bytes, until: clock.now() + restMs });
    this.#bytes += bytes;
    this.#timer ??= clock.setTimer(restMs, () => this.#letLateGo());
    return true;
  }

  /** The answer is complete, or lost. Nothing happens if it does not wait. */
  end(answer: PartialAnswer): void {
    const waiting = this.#waiting.get(answer);
    if (waiting === undefined) return;
    this.#waiting.delete(answer);
    this.#bytes -= waiting.bytes;
    if (this.#waiting.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #letLateGo(): void {
    this.#timer = undefined;
    const { clock } = this.#options;
    for (const [answer, { until }] of this.#waiting) {
      const leftMs = until - clock.now();
      if (leftMs > 0) {
        this.#timer ??= clock.setTimer(leftMs, () => this.#letLateGo());
        return;
      }
      this.end(answer);
      answer.onRestLate();
    }
  }
}

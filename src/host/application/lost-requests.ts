/**
 * Requests that the application had and did not answer: whether the application ended, or is alive and has closed the
 * connection, decides whether a request may be resent (endings.ts).
 */
import type { RequestHead } from "../../http/message/head.ts";
import { openAttempts } from "../../http/upstream/answer-progress.ts";
import type { Exchange, ForwardOutcome, Handling } from "../../http/upstream/exchange.ts";
import type { CancellationGroup } from "../../runtime/cancellation-group.ts";
import type { Clock } from "../../runtime/clock.ts";
import { detectionMs } from "./endings.ts";
import { sayUnknown } from "./front-answers.ts";
import type { ServingTerm } from "./serving-term.ts";

export class LostRequests {
  readonly #clock: Clock;
  /** Lost ones whose cause, an ending of the application, may be noticed in the next moment. */
  readonly #lost = new Set<RequestHead>();
  /** In flight at an ending that was noticed before their loss: they belong to that ending. */
  readonly #counted = new WeakSet<RequestHead>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** It was in flight at an ending that was noticed. */
  isOfEnding(request: RequestHead): boolean {
    return this.#counted.has(request);
  }

  /** Returns what was in flight at an ending, which is now. */
  atEnding(end: CancellationGroup): RequestHead[] {
    const sent = openAttempts(end)
      .filter(({ isSent }) => isSent)
      .map(({ request }) => request);
    const executing = [...sent, ...this.#lost];
    this.#lost.clear();
    for (const request of sent) this.#counted.add(request);
    return executing;
  }

  /** Answers a lost request. */
  answer(
    exchange: Exchange,
    term: ServingTerm,
    end: CancellationGroup,
    { cause, reason }: ForwardOutcome & { kind: "lost" },
  ): Handling {
    const { request } = exchange;
    if (cause === "timed-out") return sayUnknown(exchange, end, "timed-out", reason);
    if (this.#counted.delete(request)) return sayUnknown(exchange, end, "application-ended", reason);
    this.#lost.add(request);
    this.#clock.setTimer(detectionMs, () => this.#lost.delete(request));
    if (end.reason === undefined && !exchange.hasResponseStarted) return this.#sayWhyLost(exchange, term, end, reason);
    exchange.abort();
    return undefined;
  }

  async #sayWhyLost(exchange: Exchange, term: ServingTerm, end: CancellationGroup, reason: string): Promise<void> {
    const hasEnded = await term.endings.isNoticed();
    return sayUnknown(exchange, end, hasEnded ? "application-ended" : "closed", reason);
  }
}

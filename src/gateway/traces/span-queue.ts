/**
 * Spans that wait for the receiver: bounded, sent in batches in the background, one after the other, each until it was
 * taken, refused, or given up. Nothing awaits it. What does not fit is dropped and counted.
 *
 * Requests that waited may be many at once, a failover is one: they leave room for it.
 */
import type { Counter } from "../../metrics/metrics.ts";
import { BackgroundTasks } from "../../runtime/background-tasks.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import type { Random } from "../../runtime/random.ts";
import { type ExportSpans, exportRequestOf, type TraceResource } from "./otlp.ts";
import type { Span } from "./span.ts";

export const queuedSpansMax = 2_048;
/** What spans of requests leave free. */
export const reservedForFailovers = 512;
export const batchMax = 512;
export const exportAttemptsMax = 6;
/** How long spans wait for others, to go together. */
const gatherMs = 1_000;
const firstWaitMs = 1_000;
const waitMsMax = 30_000;
/** A receiver may ask for a longer pause, up to this. */
const askedMsMax = 120_000;

export interface SpanCounters {
  readonly sent: Counter;
  readonly rejected: Counter;
  readonly dropped: Counter;
}

export interface SpanQueueOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly resource: TraceResource;
  readonly send: ExportSpans;
  readonly counters: SpanCounters;
}

export class SpanQueue {
  readonly #options: SpanQueueOptions;
  readonly #background = new BackgroundTasks();
  readonly #stop = new AbortController();
  #queue: Span[] = [];
  #timer: Timer | undefined;
  #isSending = false;
  #failure: string | undefined;

  constructor(options: SpanQueueOptions) {
    this.#options = options;
  }

  get queued(): number {
    return this.#queue.length;
  }

  /** Why the last attempt failed; undefined: it succeeded, or there was none. */
  get failure(): string | undefined {
    return this.#failure;
  }

  add(spans: readonly Span[], about: "failover" | "request"): void {
    const { counters, clock } = this.#options;
    const room = queuedSpansMax - (about === "request" ? reservedForFailovers : 0) - this.#queue.length;
    if (this.#stop.signal.aborted || spans.length > room) {
      counters.dropped.add(spans.length);
      return;
    }
    this.#queue.push(...spans);
    if (this.#isSending || this.#timer !== undefined) return;
    this.#timer = clock.setTimer(gatherMs, () => {
      this.#timer = undefined;
      this.#isSending = true;
      this.#background.own(this.#sendAll());
    });
  }

  /** Ends the attempt in progress; what waits is dropped. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#stop.abort(new Error("the gateway is stopping"));
    await this.#background.settled();
    this.#options.counters.dropped.add(this.#queue.length);
    this.#queue = [];
  }

  async #sendAll(): Promise<void> {
    try {
      while (this.#queue.length > 0 && !this.#stop.signal.aborted) await this.#sendBatch();
    } finally {
      this.#isSending = false;
    }
  }

  /** The batch stays in the queue, and counts there, until it is decided. */
  async #sendBatch(): Promise<void> {
    const { send, resource, counters, clock } = this.#options;
    const { signal } = this.#stop;
    const batch = this.#queue.slice(0, batchMax);
    const body = JSON.stringify(exportRequestOf(batch, resource));
    for (let attempt = 1; ; attempt++) {
      const outcome = await send(body, signal);
      if (outcome.kind === "sent") {
        const rejected = Math.min(outcome.rejected, batch.length);
        this.#failure = rejected === 0 ? undefined : `${rejected} spans were rejected: ${outcome.why ?? "no reason"}`;
        counters.sent.add(batch.length - rejected);
        counters.rejected.add(rejected);
        break;
      }
      if (signal.aborted) return;
      this.#failure = outcome.why;
      if (outcome.kind === "refused") {
        counters.rejected.add(batch.length);
        break;
      }
      if (attempt === exportAttemptsMax) {
        counters.dropped.add(batch.length);
        break;
      }
      if (!(await this.#pause(attempt, outcome.afterMs, clock))) return;
    }
    this.#queue = this.#queue.slice(batch.length);
  }

  /** With jitter, so that gateways do not come together. Returns false if it was aborted. */
  #pause(attempt: number, askedMs: number | undefined, clock: Clock): Promise<boolean> {
    const waitMs = Math.min(firstWaitMs * 2 ** (attempt - 1), waitMsMax) * (0.5 + this.#options.random.fraction());
    return clock.sleep(Math.max(waitMs, Math.min(askedMs ?? 0, askedMsMax)), this.#stop.signal).then(
      () => true,
      () => false,
    );
  }
}

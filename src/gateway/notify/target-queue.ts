/**
 * The notifications that wait for one target, sent one after the other, each until it was told or given up. Bounded:
 * beyond `queuedMax` the oldest is given up. Nothing awaits it.
 */
import type { NotifyTarget } from "../../config/types.ts";
import type { Notification } from "../../core/notify/notification.ts";
import { BackgroundTasks } from "../../runtime/background-tasks.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { Send } from "./send.ts";
import type { SendOutcome } from "./send-outcome.ts";

export const queuedMax = 100;
/** With the waits below, the last attempt begins about four minutes after the first, plus the target's time limits. */
export const attemptsMax = 8;
const firstWaitMs = 1_000;
const waitMsMax = 60_000;

export interface DeliveryEnd {
  readonly notification: Notification;
  readonly outcome: "told" | "failed";
  readonly attempts: number;
  readonly why: string | undefined;
}

export interface TargetQueueOptions {
  readonly target: NotifyTarget;
  readonly clock: Clock;
  readonly send: Send;
  onEnd(end: DeliveryEnd): void;
}

export class TargetQueue {
  readonly #options: TargetQueueOptions;
  readonly #queue = new Map<string, Notification>();
  readonly #background = new BackgroundTasks();
  readonly #stop = new AbortController();
  #isSending = false;
  #failure: string | undefined;

  constructor(options: TargetQueueOptions) {
    this.#options = options;
  }

  get target(): NotifyTarget {
    return this.#options.target;
  }

  /** Notifications that are not told yet. */
  get queued(): number {
    return this.#queue.size;
  }

  /** Why the last attempt failed; undefined: it succeeded, or there was none. */
  get failure(): string | undefined {
    return this.#failure;
  }

  has(id: string): boolean {
    return this.#queue.has(id);
  }

  add(notification: Notification): void {
    if (this.#queue.has(notification.id) || this.#stop.signal.aborted) return;
    this.#queue.set(notification.id, notification);
    if (this.#queue.size > queuedMax) this.#makeRoom();
    if (this.#isSending) return;
    this.#isSending = true;
    this.#background.own(this.#sendAll());
  }

  /** One attempt beside the queue. */
  async test(notification: Notification): Promise<SendOutcome> {
    const outcome = await this.#options.send(this.target, notification, this.#stop.signal);
    this.#remember(outcome);
    return outcome;
  }

  close(): Promise<void> {
    this.#stop.abort(new Error("the gateway is stopping"));
    return this.#background.settled();
  }

  async #sendAll(): Promise<void> {
    try {
      for (;;) {
        const [notification] = this.#queue.values();
        if (notification === undefined || this.#stop.signal.aborted) return;
        const end = await this.#sendOne(notification);
        if (end === undefined || !this.#queue.delete(notification.id)) continue;
        this.#options.onEnd(end);
      }
    } finally {
      this.#isSending = false;
    }
  }

  /** Returns undefined if the gateway stops, or the notification was dropped meanwhile. */
  async #sendOne(notification: Notification): Promise<DeliveryEnd | undefined> {
    const { clock, send, target } = this.#options;
    const { signal } = this.#stop;
    for (let attempt = 1; ; attempt++) {
      const outcome = await send(target, notification, signal);
      if (signal.aborted && outcome.kind === "failed") return undefined;
      this.#remember(outcome);
      if (outcome.kind === "told") return { notification, outcome: "told", attempts: attempt, why: undefined };
      if (outcome.permanent || attempt === attemptsMax)
        return { notification, outcome: "failed", attempts: attempt, why: outcome.why };
      if (!(await waited(clock, Math.min(firstWaitMs * 2 ** (attempt - 1), waitMsMax), signal))) return undefined;
      if (!this.#queue.has(notification.id)) return undefined;
    }
  }

  #remember(outcome: SendOutcome): void {
    this.#failure = outcome.kind === "told" ? undefined : outcome.why;
  }

  #makeRoom(): void {
    const [notification] = this.#queue.values();
    if (notification === undefined) return;
    this.#queue.delete(notification.id);
    const why = `more than ${queuedMax} notifications waited for the target`;
    this.#failure = why;
    this.#options.onEnd({ notification, outcome: "failed", attempts: 0, why });
  }
}

/** Returns false if it was aborted. */
const waited = (clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> =>
  clock.sleep(ms, signal).then(
    () => true,
    () => false,
  );

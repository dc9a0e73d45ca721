/**
 * Tells hosts that they are no longer in this gateway's registry, so that an operator sees it in the host's own status.
 *
 * A failed host is often removed while it is down: it is told when it answers again, however late, as long as this
 * gateway runs and the host has not been added again. Hosts of older versions do not know the call; they are told once.
 */
import type { Clock } from "../../runtime/clock.ts";
import { BackgroundTasks } from "../../runtime/background-tasks.ts";
import type { HostControl } from "../../control/host-control.ts";

const pauseMs = { first: 500, most: 30_000 } as const;

export class RemovedHosts {
  readonly #clock: Clock;
  readonly #background = new BackgroundTasks();
  readonly #telling = new Map<string, AbortController>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  tell(host: string, client: HostControl): void {
    if (client.removed === undefined) return;
    this.forget(host);
    const abort = new AbortController();
    this.#telling.set(host, abort);
    this.#background.own(this.#untilHeard(client, abort.signal));
  }

  /** The host is registered again, or elsewhere. */
  forget(host: string): void {
    this.#telling.get(host)?.abort(new Error("the host is registered again"));
    this.#telling.delete(host);
  }

  async close(): Promise<void> {
    for (const host of [...this.#telling.keys()]) this.forget(host);
    await this.#background.settled();
  }

  async #untilHeard(client: HostControl, signal: AbortSignal): Promise<void> {
    for (let delayMs: number = pauseMs.first; !signal.aborted; delayMs = Math.min(delayMs * 2, pauseMs.most)) {
      const answer = await client.removed?.(signal);
      if (answer?.kind === "ok" || answer?.kind === "invalid" || answer?.kind === "refused-by-host") return;
      await this.#clock.sleep(delayMs, signal).catch(() => undefined);
    }
  }
}

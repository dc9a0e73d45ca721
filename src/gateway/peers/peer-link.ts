/**
 * Schedules the exchanges with one peer: every `sweepMs`, sooner after a change, at once while there is more to
 * exchange, and never two calls at a time. peers.ts determines the content.
 */
import { unknownPeer, type PeerMemory } from "../../core/replication/exchange.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { BackgroundTasks } from "../../runtime/background-tasks.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import type { KnownTables } from "./known-tables.ts";
import type { PeerTransport } from "./peer-client.ts";

export const sweepMs = 1_000;
/** After a failed call, news wait this long before the next try. */
const failedPauseMs = 200;

/** `more`: continue at once. `idle`: do not ask this peer for a while. */
export type ExchangeEnd = "done" | "more" | "failed" | "idle";

const idleMs = 30_000;

export class PeerLink {
  readonly url: string;
  readonly client: PeerTransport;
  memory: PeerMemory = unknownPeer;
  /** Of its last answer; undefined: it has given none, and is sent no rows. */
  tables: KnownTables | undefined;
  /** When it was last asked for everything that is missing here. */
  pulledAt = -Infinity;
  /** Known once it has answered, or from the registry. */
  id: string | undefined;
  /** Why the last exchange failed; undefined if it succeeded. */
  warning: string | undefined = "not reached yet";
  /** What it said of this gateway's secret in the last exchange; undefined: it did not answer. */
  secret: "taken" | "refused" | undefined;
  readonly #clock: Clock;
  readonly #exchange: (link: PeerLink, signal: AbortSignal) => Promise<ExchangeEnd>;
  readonly #stop = new AbortController();
  readonly #background = new BackgroundTasks();
  #timer: { readonly timer: Timer; readonly at: number } | undefined = undefined;
  #isBusy = false;
  #wanted = Infinity;
  #notBefore = -Infinity;

  constructor(
    url: string,
    id: string | undefined,
    client: PeerTransport,
    clock: Clock,
    exchange: (link: PeerLink, signal: AbortSignal) => Promise<ExchangeEnd>,
  ) {
    this.url = url;
    this.id = id;
    this.client = client;
    this.#clock = clock;
    this.#exchange = exchange;
  }

  /** Makes an exchange within `delayMs`. */
  poke(delayMs: number): void {
    if (this.#stop.signal.aborted) return;
    const at = Math.max(this.#clock.now() + delayMs, this.#notBefore);
    if (this.#isBusy) {
      this.#wanted = Math.min(this.#wanted, at);
      return;
    }
    if (this.#timer !== undefined && this.#timer.at <= at) return;
    this.#timer?.timer.cancel();
    const timer = this.#clock.setTimer(Math.max(0, at - this.#clock.now()), () => {
      this.#timer = undefined;
      this.#background.own(this.#run());
    });
    this.#timer = { timer, at };
  }

  async close(): Promise<void> {
    this.#timer?.timer.cancel();
    this.#stop.abort(new Error("this gateway does not talk to this peer any more"));
    await this.#background.settled();
    this.client.close();
  }

  async #run(): Promise<void> {
    this.#isBusy = true;
    let end: ExchangeEnd = "failed";
    try {
      end = await this.#exchange(this, this.#stop.signal);
    } catch (error) {
      // A defect in talking to one peer is shown; it ends neither the gateway nor the exchanges with other peers.
      this.warning = `defect: ${messageOf(error)}`;
    }
    this.#isBusy = false;
    const now = this.#clock.now();
    this.#notBefore = end === "failed" ? now + failedPauseMs : end === "idle" ? now + idleMs : -Infinity;
    const wanted = this.#wanted;
    this.#wanted = Infinity;
    this.poke(end === "more" ? 0 : Math.min(sweepMs, wanted - now));
  }
}

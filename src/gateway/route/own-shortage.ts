/**
 * Remembers that this process could not open a connection, because this machine lacks descriptors, local ports or
 * memory: reported as a warning and in `/health`, while it lasts and a while after it.
 */
import type { Counter } from "../../metrics/metrics.ts";
import type { Clock } from "../../runtime/clock.ts";

/** Connections to hosts are opened several times a second: after this long without a failure it is over. */
const overMs = 5_000;

export class OwnShortage {
  readonly #clock: Clock;
  readonly #count: Counter | undefined;
  #last: { readonly at: number; readonly why: string } | undefined;

  constructor(clock: Clock, count?: Counter) {
    this.#clock = clock;
    this.#count = count;
  }

  add(why: string): void {
    this.#count?.add();
    this.#last = { at: this.#clock.now(), why };
  }

  /** What is wrong and what to do; undefined: nothing. */
  get warning(): string | undefined {
    if (this.#last === undefined || this.#clock.now() - this.#last.at > overMs) return undefined;
    return `out of descriptors: ${this.#last.why}. Hosts are not judged by that, and this gateway orders nothing because of it. Raise the limit of open files (LimitNOFILE= of systemd, ulimit -n, --ulimit nofile= of containers), or lower gateway.limits.connections`;
  }
}

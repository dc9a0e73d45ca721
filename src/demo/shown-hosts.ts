/** The hosts' roles for the display, asked for in the background until closed. */
import type { Clock } from "../runtime/clock.ts";
import type { Cluster } from "../../harness/cluster.ts";

const askEveryMs = 100;

export class ShownHosts {
  readonly #stop = new AbortController();
  readonly #asking: Promise<void>;
  #texts: readonly string[] = [];

  constructor(cluster: Cluster, clock: Clock) {
    this.#asking = this.#ask(cluster, clock);
  }

  /** One per host, for example `host-1 primary`. */
  get texts(): readonly string[] {
    return this.#texts;
  }

  async close(): Promise<void> {
    this.#stop.abort();
    await this.#asking;
  }

  async #ask(cluster: Cluster, clock: Clock): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const statuses = await Promise.all(cluster.hosts.map((host) => cluster.statusOf(host)));
      this.#texts = cluster.hosts.map((host, index) => `${host.id} ${statuses[index]?.role ?? "(no answer)"}`);
      await clock.sleep(askEveryMs, this.#stop.signal).catch(() => undefined);
    }
  }
}

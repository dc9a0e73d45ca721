/** The hosts' roles for the display, asked for in the background. */
import type { Cluster } from "./cluster.ts";

const askEveryMs = 100;

export class ShownHosts {
  readonly #cluster: Cluster;
  readonly #timer: ReturnType<typeof setInterval>;
  #texts: readonly string[] = [];
  #isAsking = false;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    this.#timer = setInterval(() => void this.#ask(), askEveryMs);
  }

  get texts(): readonly string[] {
    return this.#texts;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  async #ask(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    const roles = await Promise.all(this.#cluster.hosts.map((host) => this.#cluster.statusOf(host)));
    this.#texts = this.#cluster.hosts.map((host, index) => `${host.id} ${roles[index]?.role ?? "(no answer)"}`);
    this.#isAsking = false;
  }
}

/** A steady load on a cluster that is interrupted and begun again, with one history of all of it. */
import { expect } from "bun:test";
import type { DemoApplication } from "../../harness/applications.ts";
import type { Cluster } from "../../harness/cluster.ts";
import { History } from "../../harness/history.ts";
import { Load } from "../../harness/load.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { never } from "./harness.ts";

export interface InterruptedLoadOptions {
  readonly cluster: Cluster;
  readonly application: DemoApplication;
  readonly workers: number;
  readonly requestsPerSecond: number;
}

const answeredWithinMs = 30_000;

export class InterruptedLoad {
  readonly #options: InterruptedLoadOptions;
  readonly #history = new History();
  readonly #model: ReturnType<DemoApplication["makeModel"]>;

  constructor(options: InterruptedLoadOptions) {
    this.#options = options;
    this.#model = options.application.makeModel("p", options.workers);
  }

  /** Resolves when the first gateway answers and the load has begun. */
  async begin(seed: number): Promise<Load> {
    const { cluster, application, workers, requestsPerSecond } = this.#options;
    const load = new Load({
      urls: [cluster.gateways[0]?.url ?? ""],
      ...{ model: this.#model, history: this.#history, clock: systemClock, seed, workers, requestsPerSecond },
      timeoutMs: 20_000,
    });
    const answer = () => load.get(application.readPath).catch(() => undefined);
    await cluster.until("the gateway", answeredWithinMs, never, () => "no answer", answer);
    await load.start();
    return load;
  }

  /** Until so many more writes are acknowledged. */
  async acknowledged(count: number): Promise<void> {
    const target = this.#history.acknowledgedCount + count;
    while (this.#history.acknowledgedCount < target) await systemClock.sleep(5);
  }

  /** Ends the last load, and reads everything back. */
  async expectNothingLost(last: Load): Promise<void> {
    await last.stop();
    const { entries, broken } = await this.#model.readBack((path) => last.get(path));
    await last.close();
    const result = this.#history.finish(entries);
    expect(this.#history.violations).toEqual([]);
    expect(broken).toBeUndefined();
    expect(result.missing).toBe(0);
    expect(last.failures).toEqual([]);
  }
}

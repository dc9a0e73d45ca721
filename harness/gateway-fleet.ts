/**
 * All gateways of a cluster as one: the failovers that any of them recorded, the sum of their counters, a switchover
 * through one that lives. Each may be killed and come back at any time, so the last answer of a gateway is kept beyond
 * its end.
 */
import type { RefusalCode } from "../src/control/refused.ts";
import type { Clock } from "../src/runtime/clock.ts";
import type { Cluster, GatewayMember } from "./cluster.ts";
import {
  type GatewayCounters,
  GatewayView,
  GatewayViewError,
  type RecordedFailover,
  type ServiceView,
} from "./gateway-view.ts";

const overtaken: RefusalCode = "overtaken";

/** After this time no other gateway is expected to take up a failover whose gateway was killed. */
const unfinishedAfterMs = 1_500;

interface Fallen {
  readonly id: string;
  readonly failover: RecordedFailover;
  readonly atMs: number;
}

export class GatewayFleet {
  readonly #clock: Clock;
  readonly #say: (text: string) => void;
  readonly #views: ReadonlyMap<GatewayMember, GatewayView>;
  /** By id, in the order in which they were first seen. */
  readonly #failovers = new Map<string, RecordedFailover>();
  readonly #away = new Set<GatewayMember>();
  /** Of gateways that were killed; they count from 0 when they are back. */
  readonly #countersBefore: GatewayCounters[] = [];
  #fallen: Fallen | undefined;

  constructor(cluster: Cluster, service: string, clock: Clock, say: (text: string) => void) {
    this.#clock = clock;
    this.#say = say;
    this.#views = new Map(
      cluster.gateways.map((gateway) => [gateway, new GatewayView(gateway.adminUrl, cluster.caller, service, clock)]),
    );
  }

  /** Gateways that are neither about to be killed nor away. */
  get living(): readonly GatewayMember[] {
    return [...this.#views.keys()].filter((gateway) => !this.#away.has(gateway));
  }

  viewOf(gateway: GatewayMember): GatewayView {
    const view = this.#views.get(gateway);
    if (view === undefined) throw new Error(`${gateway.id} is not of this cluster`);
    return view;
  }

  /** Call before a gateway is killed: it is not asked until it is back. `last`: its last answer. */
  leaves(gateway: GatewayMember, last: ServiceView): void {
    this.#away.add(gateway);
    this.#countersBefore.push(last.counters);
    this.#take(last.done);
    if (last.running !== undefined) this.#fallen = { ...last.running, atMs: this.#clock.now() };
  }

  isBack(gateway: GatewayMember): void {
    this.#away.delete(gateway);
  }

  /**
   * Failovers that succeeded, in the order in which they were seen. If its gateway was killed in the middle and no
   * other gateway led it, a failover is among them with the phases that were over by then.
   */
  async failovers(): Promise<readonly RecordedFailover[]> {
    const said = await this.#said();
    const before = this.#failovers.size;
    for (const { done } of said) this.#take(done);
    if (this.#failovers.size > before) this.#fallen = undefined;
    const fallen = this.#fallen;
    if (fallen !== undefined && this.#clock.now() - fallen.atMs > unfinishedAfterMs) {
      this.#take([fallen]);
      this.#fallen = undefined;
    }
    return [...this.#failovers.values()];
  }

  /** Of all runs of all gateways. */
  async counters(): Promise<GatewayCounters> {
    const now = await this.#said();
    const all = [...now.map(({ counters }) => counters), ...this.#countersBefore];
    const sum = (name: keyof GatewayCounters): number => all.reduce((total, counters) => total + counters[name], 0);
    return { held: sum("held"), replayed: sum("replayed") };
  }

  /** True when requests through every gateway go to a primary. */
  async isServing(): Promise<boolean> {
    const serving = await Promise.all(this.living.map((gateway) => this.viewOf(gateway).isServing()));
    return serving.every(Boolean);
  }

  /**
   * Through the first that lives; throws with the reason when it is refused. Another gateway that sees the primary step
   * down may promote a host first: the order is refused as overtaken then, and done all the same.
   */
  async switchover(signal: AbortSignal): Promise<void> {
    const [gateway] = this.living;
    if (gateway === undefined) throw new GatewayViewError("no gateway lives");
    try {
      await this.viewOf(gateway).switchover(signal);
    } catch (error) {
      if (!(error instanceof GatewayViewError) || error.code !== overtaken) throw error;
      this.#say(`another gateway was faster: ${error.message}`);
    }
  }

  /** A gateway that is killed while it is asked gives no answer. */
  async #said(): Promise<ServiceView[]> {
    const asked = this.living.map(async (gateway) => {
      try {
        return [await this.viewOf(gateway).service()];
      } catch (error) {
        if (this.#away.has(gateway)) return [];
        throw error;
      }
    });
    return (await Promise.all(asked)).flat();
  }

  #take(failovers: readonly { readonly id: string; readonly failover: RecordedFailover }[]): void {
    for (const { id, failover } of failovers) {
      if (!this.#failovers.has(id)) this.#failovers.set(id, { ...failover, order: this.#failovers.size + 1 });
    }
  }
}

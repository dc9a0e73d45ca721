/**
 * Drills that the configuration plans (`service.drill`), or that an operator ordered for a time (drill-orders.ts): each
 * due time has one in the cluster. All gateways have the plan in their files, or the order in their state, so it needs
 * none in particular. They take turns in the order of their ids, and the first that is alive runs it; its row names the
 * due time, and the others leave it alone. Two that do not see each other's rows in time are decided like any two
 * orders (core/failover/drill-order.ts).
 *
 * One that is not safe is not made up for: it is kept as `refused`, and told.
 */
import { nameOfPlan } from "../../control/orderer.ts";
import type { ServiceConfig } from "../../config/types.ts";
import { lastDue } from "../../core/due-time.ts";
import { type KnownGateway, waitOf } from "../../core/notify/teller.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { BackgroundTasks } from "../../runtime/background-tasks.ts";
import type { DrillOrders, TimedDrill } from "./drill-orders.ts";
import type { Drills } from "./drills.ts";
import type { ServiceRuntime } from "./service.ts";

const lookEveryMs = 1_000;
/** A due time that is longer ago has passed without one: every gateway was down. */
const lateMsMax = 5 * 60_000;

export interface PlannedDrillsOptions {
  readonly gateway: string;
  readonly clock: Clock;
  readonly drills: Pick<Drills, "list" | "run" | "refuse"> & {
    readonly orders: Pick<DrillOrders, "list" | "withdraw">;
  };
  planned(): readonly Pick<ServiceConfig, "name" | "drill">[];
  services(): readonly ServiceRuntime[];
  /** The other gateways of the cluster. */
  others(): readonly KnownGateway[];
}

export class PlannedDrills {
  readonly #options: PlannedDrillsOptions;
  readonly #background = new BackgroundTasks();
  readonly #stop = new AbortController();
  readonly #startedAtMs: number;
  /** Services whose drill this gateway is running. */
  readonly #running = new Set<string>();
  #timer: Timer | undefined;

  constructor(options: PlannedDrillsOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.wallTime();
  }

  /** The plan may be another one; without any, nothing looks at the time. */
  follow(): void {
    if (this.#isPlanned() && this.#timer === undefined && !this.#stop.signal.aborted) this.#look();
  }

  /** One that is in progress is left to end as if its gateway had died. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#stop.abort(new Error("the gateway is stopping"));
    await this.#background.settled();
  }

  #isPlanned(): boolean {
    const { planned, drills } = this.#options;
    return planned().some(({ drill }) => drill !== undefined) || drills.orders.list().length > 0;
  }

  #look(): void {
    this.#timer = undefined;
    if (!this.#isPlanned()) return;
    // First: what is written below calls follow().
    this.#timer = this.#options.clock.setTimer(lookEveryMs, () => this.#look());
    const now = this.#options.clock.wallTime();
    for (const { name, drill } of this.#options.planned())
      if (drill !== undefined)
        this.#consider({ ...drill, service: name, orderedBy: nameOfPlan, dueAtMs: lastDue(drill.at, now) });
    for (const order of this.#options.drills.orders.list()) this.#follow(order);
  }

  /** An order ends when its time has had a drill, on any gateway, or has passed without one. */
  #follow(order: TimedDrill): void {
    const { service, dueAtMs, kind } = order;
    const isMissed = this.#sinceTurn(dueAtMs) >= 0 && this.#isLate(dueAtMs);
    if (!isMissed && !this.#isTaken(service, dueAtMs)) return this.#consider(order);
    this.#options.drills.orders.withdraw(order);
    if (isMissed && !this.#isTaken(service, dueAtMs)) {
      const detail = `${kind}: it was due at ${new Date(dueAtMs).toISOString()}, and no gateway ran it`;
      this.#find(service)?.recorder.recordEvent("warning", "drill-cancelled", undefined, detail);
    }
  }

  #consider(drill: TimedDrill): void {
    const { dueAtMs } = drill;
    const service = this.#find(drill.service);
    if (service === undefined) return;
    if (this.#sinceTurn(dueAtMs) < 0 || this.#isLate(dueAtMs) || dueAtMs < this.#startedAtMs) return;
    if (this.#running.has(service.name) || this.#isTaken(service.name, dueAtMs)) return;
    this.#running.add(service.name);
    this.#background.own(this.#run(service, drill));
  }

  #find(name: string): ServiceRuntime | undefined {
    return this.#options.services().find((each) => each.name === name);
  }

  /** Negative: before this gateway's turn. */
  #sinceTurn(dueAtMs: number): number {
    const { gateway, clock, others } = this.#options;
    return clock.wallTime() - dueAtMs - waitOf(gateway, undefined, others());
  }

  #isLate(dueAtMs: number): boolean {
    return this.#options.clock.wallTime() - dueAtMs > lateMsMax;
  }

  async #run(service: ServiceRuntime, { kind, forMs, orderedBy, dueAtMs }: TimedDrill): Promise<void> {
    const order = { kind, forMs, orderedBy, dueAtMs };
    try {
      const outcome = await this.#options.drills.run(service, order, this.#stop.signal);
      // Another gateway may have been first.
      if (outcome.kind === "unsafe" && !this.#isTaken(service.name, dueAtMs))
        this.#options.drills.refuse(service, order, outcome.reasons);
    } catch (error) {
      if (!this.#stop.signal.aborted) throw error;
    } finally {
      this.#running.delete(service.name);
    }
  }

  #isTaken(service: string, dueAtMs: number): boolean {
    return this.#options.drills.list(service).some((drill) => drill.dueAtMs === dueAtMs);
  }
}

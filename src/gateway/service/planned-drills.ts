/**
 * Drills that the configuration plans (`service.drill`): each due time has one in the cluster. All gateways have the
 * plan in their files, so it needs none in particular. They take turns in the order of their ids, and the first that is
 * alive runs it; its row names the due time, and the others leave it alone. Two that do not see each other's rows in
 * time are decided like any two orders (core/failover/drill-order.ts).
 *
 * One that is not safe is not made up for: it is kept as `refused`, and told.
 */
import type { PlannedDrill, ServiceConfig } from "../../config/types.ts";
import { lastDue } from "../../core/due-time.ts";
import { type KnownGateway, waitOf } from "../../core/notify/teller.ts";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { BackgroundTasks } from "../../runtime/background-tasks.ts";
import type { Drills } from "./drills.ts";
import type { ServiceRuntime } from "./service.ts";

const lookEveryMs = 1_000;
/** A due time that is longer ago has passed without one: every gateway was down. */
const lateMsMax = 5 * 60_000;

export interface PlannedDrillsOptions {
  readonly gateway: string;
  readonly clock: Clock;
  readonly drills: Pick<Drills, "list" | "run" | "refuse">;
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
    const isPlanned = this.#options.planned().some(({ drill }) => drill !== undefined);
    if (isPlanned && this.#timer === undefined && !this.#stop.signal.aborted) this.#look();
  }

  /** One that is in progress is left to end as if its gateway had died. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#stop.abort(new Error("the gateway is stopping"));
    await this.#background.settled();
  }

  #look(): void {
    this.#timer = undefined;
    for (const { name, drill } of this.#options.planned()) {
      const service = this.#options.services().find((each) => each.name === name);
      if (drill !== undefined && service !== undefined) this.#consider(service, drill);
    }
    if (this.#options.planned().some(({ drill }) => drill !== undefined))
      this.#timer = this.#options.clock.setTimer(lookEveryMs, () => this.#look());
  }

  #consider(service: ServiceRuntime, plan: PlannedDrill): void {
    const { gateway, clock, others } = this.#options;
    const now = clock.wallTime();
    const dueAtMs = lastDue(plan.at, now);
    const turnMs = waitOf(gateway, undefined, others());
    if (now - dueAtMs < turnMs || now - dueAtMs > lateMsMax || dueAtMs < this.#startedAtMs) return;
    if (this.#running.has(service.name) || this.#isTaken(service.name, dueAtMs)) return;
    this.#running.add(service.name);
    this.#background.own(this.#run(service, plan, dueAtMs));
  }

  async #run(service: ServiceRuntime, { kind, forMs }: PlannedDrill, dueAtMs: number): Promise<void> {
    const order = { kind, forMs, orderedBy: "plan", dueAtMs };
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

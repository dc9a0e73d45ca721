/**
 * Drills that an operator has ordered for a time: rows of the table `drills` with the outcome `planned`, at most one
 * per service, because the row of a service has always the same id. It is withdrawn when the drill is run, refused,
 * missed or cancelled; what ran has a row of its own.
 */
import type { PlannedDrillEntry } from "../../control/drill-api.ts";
import { type DueTime, nextDue } from "../../core/due-time.ts";
import type { DrillKind } from "../../core/failover/drill.ts";
import type { Clock } from "../../runtime/clock.ts";
import { fromValues } from "../state/replication-tables.ts";
import { type DrillRow, putDrill } from "../state/rows.ts";
import type { drills } from "../state/schema.ts";
import type { StateStore } from "../state/store.ts";

export interface DrillOrdersOptions {
  readonly gateway: string;
  readonly store: StateStore;
  readonly clock: Clock;
}

/** One that waits for its time. */
export interface TimedDrill {
  readonly service: string;
  readonly kind: DrillKind;
  readonly forMs: number;
  readonly orderedBy: string;
  readonly dueAtMs: number;
}

export const isPlanned = ({ outcome }: Pick<DrillRow, "outcome">): boolean => outcome === "planned";

export class DrillOrders {
  readonly #options: DrillOrdersOptions;

  constructor(options: DrillOrdersOptions) {
    this.#options = options;
  }

  list(): readonly TimedDrill[] {
    return [...this.#options.store.replica.rowsOf("drills")]
      .filter(({ deleted }) => !deleted)
      .map((row) => fromValues<typeof drills.$inferSelect>(row))
      .flatMap((row) => {
        const { service, kind, forMs, orderedBy, dueAtMs } = row;
        if (!isPlanned(row) || forMs === null || dueAtMs === null) return [];
        return [{ service, kind: kind as DrillKind, forMs, orderedBy, dueAtMs }];
      });
  }

  find(service: string): TimedDrill | undefined {
    return this.list().find((order) => order.service === service);
  }

  /** Plans it for the next such time, in the place of any other one of the service. */
  plan(order: Omit<TimedDrill, "dueAtMs">, at: DueTime): TimedDrill {
    const planned = { ...order, dueAtMs: nextDue(at, Math.floor(this.#options.clock.wallTime())) };
    this.#options.store.write(putDrill(this.#rowOf(planned)));
    return planned;
  }

  withdraw(order: TimedDrill): void {
    this.#options.store.write(putDrill({ ...this.#rowOf(order), deleted: true }));
  }

  #rowOf(order: TimedDrill): DrillRow {
    const { gateway, clock } = this.#options;
    const startedAtMs = Math.floor(clock.wallTime());
    return { ...order, ...{ id: `planned.${order.service}`, gateway, startedAtMs, outcome: "planned", detail: "" } };
  }
}

export const plannedEntry = ({ service, kind, orderedBy, dueAtMs }: TimedDrill): PlannedDrillEntry => ({
  ...{ service, kind, orderedBy, at: new Date(dueAtMs).toISOString(), nextAtMs: dueAtMs },
});

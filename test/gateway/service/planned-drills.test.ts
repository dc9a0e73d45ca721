import { afterEach, describe, expect, test } from "bun:test";
import type { PlannedDrill } from "../../../src/config/types.ts";
import type { KnownGateway } from "../../../src/core/notify/teller.ts";
import type { TimedDrill } from "../../../src/gateway/service/drill-orders.ts";
import type { DrillOrder, DrillOutcome } from "../../../src/gateway/service/drills.ts";
import { PlannedDrills } from "../../../src/gateway/service/planned-drills.ts";
import type { ServiceRuntime } from "../../../src/gateway/service/service.ts";
import type { DrillRow } from "../../../src/gateway/state/rows.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

const minuteMs = 60_000;
/** The manual clock begins at midnight. */
const plan: PlannedDrill = { kind: "switchover", at: { weekday: undefined, minute: 10 }, forMs: 1_000 };
const events: string[] = [];
const service = {
  name: "notes",
  recorder: { recordEvent: (_level: string, what: string) => void events.push(what) },
} as unknown as ServiceRuntime;
const order: TimedDrill = {
  ...{ service: "notes", kind: "switchover", forMs: 1_000, orderedBy: "ada", dueAtMs: 10 * minuteMs },
};

/** Gateways on one clock; what one writes, all see. */
class Fleet {
  readonly clock = new ManualClock();
  readonly rows: DrillRow[] = [];
  readonly alive = new Map<string, PlannedDrills>();
  orders: TimedDrill[] = [];
  plan: PlannedDrill | undefined = plan;
  isSafe = true;

  start(...ids: readonly string[]): void {
    for (const id of ids) {
      const planned = new PlannedDrills({
        ...{ gateway: id, clock: this.clock, services: () => [service] },
        planned: () => [{ name: "notes", drill: this.plan }],
        others: (): KnownGateway[] =>
          ids.filter((other) => other !== id).map((other) => ({ id: other, heardMsAgo: this.#heardMsAgo(other) })),
        drills: {
          list: () => this.rows,
          orders: {
            list: () => this.orders,
            withdraw: (ended) => void (this.orders = this.orders.filter((each) => each !== ended)),
          },
          run: (_, order) => Promise.resolve(this.#run(id, order)),
          refuse: (_, order) => void this.rows.push(this.#row(id, order, "refused")),
        },
      });
      this.alive.set(id, planned);
      planned.follow();
    }
  }

  async kill(id: string): Promise<void> {
    await this.alive.get(id)?.close();
    this.alive.delete(id);
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 1_000) {
      this.clock.advance(1_000);
      for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    }
  }

  #heardMsAgo(id: string): number | undefined {
    return this.alive.has(id) ? 0 : undefined;
  }

  #run(gateway: string, order: DrillOrder): DrillOutcome {
    if (!this.isSafe) return { kind: "unsafe", reasons: ["automation is paused"] };
    const drill = this.#row(gateway, order, "passed");
    this.rows.push(drill);
    return { kind: "run", drill };
  }

  #row(gateway: string, { kind, orderedBy, dueAtMs }: DrillOrder, outcome: string): DrillRow {
    const startedAtMs = this.clock.wallTime();
    return {
      id: `${gateway}.1`,
      service: "notes",
      gateway,
      kind,
      orderedBy,
      outcome,
      detail: "",
      startedAtMs,
      dueAtMs,
    };
  }
}

let fleet = new Fleet();
afterEach(async () => {
  await Promise.all([...fleet.alive.keys()].map((id) => fleet.kill(id)));
  fleet = new Fleet();
  events.length = 0;
});

describe("a planned drill", () => {
  test("runs once in the cluster each time that it is due", async () => {
    fleet.start("g1", "g2", "g3");
    await fleet.pass(9 * minuteMs);
    expect(fleet.rows).toEqual([]);
    await fleet.pass(30 * minuteMs);
    expect(fleet.rows).toMatchObject([{ gateway: "g1", outcome: "passed", orderedBy: "plan", dueAtMs: 10 * minuteMs }]);
    await fleet.pass(24 * 60 * minuteMs);
    expect(fleet.rows.map(({ dueAtMs }) => dueAtMs)).toEqual([10 * minuteMs, (24 * 60 + 10) * minuteMs]);
  });

  test("runs on another gateway when the first in turn is dead", async () => {
    fleet.start("g1", "g2", "g3");
    await fleet.pass(5 * minuteMs);
    await fleet.kill("g1");
    await fleet.pass(30 * minuteMs);
    expect(fleet.rows).toMatchObject([{ gateway: "g2", outcome: "passed" }]);
  });

  test("that is not safe is kept as refused, once, and not made up for", async () => {
    fleet.start("g1", "g2");
    fleet.isSafe = false;
    await fleet.pass(11 * minuteMs);
    fleet.isSafe = true;
    await fleet.pass(30 * minuteMs);
    expect(fleet.rows).toMatchObject([{ outcome: "refused", dueAtMs: 10 * minuteMs }]);
  });

  test("whose time has passed before the gateway started is left out", async () => {
    fleet.clock.advance(11 * minuteMs);
    fleet.start("g1");
    await fleet.pass(30 * minuteMs);
    expect(fleet.rows).toEqual([]);
  });
});

describe("a drill that was ordered for a time", () => {
  const startWith = (...ids: readonly string[]): void => {
    fleet.plan = undefined;
    fleet.orders = [order];
    fleet.start(...ids);
  };

  test("runs once in the cluster, at its time, and its order ends", async () => {
    startWith("g1", "g2", "g3");
    await fleet.pass(9 * minuteMs);
    expect({ rows: fleet.rows, orders: fleet.orders }).toEqual({ rows: [], orders: [order] });
    await fleet.pass(30 * minuteMs);
    expect(fleet.rows).toMatchObject([{ gateway: "g1", outcome: "passed", orderedBy: "ada", dueAtMs: 10 * minuteMs }]);
    expect(fleet.orders).toEqual([]);
    await fleet.pass(24 * 60 * minuteMs);
    expect(fleet.rows).toHaveLength(1);
    expect(events).toEqual([]);
  });

  test("does not run if it was taken back", async () => {
    startWith("g1", "g2", "g3");
    await fleet.pass(9 * minuteMs);
    fleet.orders = [];
    await fleet.pass(30 * minuteMs);
    expect(fleet.rows).toEqual([]);
  });

  test("runs on another gateway when the first in turn is dead", async () => {
    startWith("g1", "g2", "g3");
    await fleet.pass(5 * minuteMs);
    await fleet.kill("g1");
    await fleet.pass(30 * minuteMs);
    expect(fleet.rows).toMatchObject([{ gateway: "g2", outcome: "passed" }]);
    expect(fleet.orders).toEqual([]);
  });

  test("that is not safe is refused, and its order ends", async () => {
    startWith("g1", "g2");
    fleet.isSafe = false;
    await fleet.pass(11 * minuteMs);
    fleet.isSafe = true;
    await fleet.pass(30 * minuteMs);
    expect(fleet.rows).toMatchObject([{ outcome: "refused", dueAtMs: 10 * minuteMs }]);
    expect(fleet.orders).toEqual([]);
  });

  test("is dropped, and told, if no gateway ran it within five minutes", async () => {
    fleet.clock.advance(11 * minuteMs);
    startWith("g1", "g2");
    await fleet.pass(30 * minuteMs);
    expect({ rows: fleet.rows, orders: fleet.orders, events }).toEqual({
      ...{ rows: [], orders: [], events: ["drill-cancelled"] },
    });
  });
});

/** What status tells of a service's drills: the last one that ended, and the one that is due first. */
import { afterEach, expect, test } from "bun:test";
import type { PlannedDrill } from "../../../src/config/types.ts";
import { noHistory, serviceStatus } from "../../../src/gateway/admin/cluster-status.ts";
import { Drills } from "../../../src/gateway/service/drills.ts";
import { type DrillRow, putDrill } from "../../../src/gateway/state/rows.ts";
import { ControlPlanes } from "../../support/gateway/control-planes.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

let planes = new ControlPlanes();
afterEach(async () => {
  await planes.stop();
  planes = new ControlPlanes();
});

const startedAtMs = Date.UTC(2026, 0, 1);
const row = (change: Partial<DrillRow>): DrillRow => ({
  ...{ id: "g1.notes.1", service: "notes", kind: "kill", gateway: "g1", orderedBy: "ann", outcome: "passed" },
  ...{ startedAtMs, fromHost: "a", toHost: "b", rtoMs: 400, objectiveMs: 2_000, detail: "a kill failover" },
  ...change,
});

test("every gateway tells the last drill that ended, however many other services have had since", async () => {
  for (const id of ["g1", "g2"]) await planes.start(id);
  const { store } = planes.at("g1");
  for (let n = 0; n < 150; n++)
    store.write(putDrill(row({ id: `g1.shop.${n}`, service: "shop", startedAtMs: startedAtMs + 10 + n })));
  store.write(putDrill(row({ id: "g1.notes.1", outcome: "missed", rtoMs: 2_500 })));
  store.write(putDrill(row({ id: "g1.notes.2", outcome: "running", startedAtMs: startedAtMs + 1, rtoMs: undefined })));
  planes.exchange();
  const { control, service } = planes.at("g2");
  const lastDrill = control.drills.lastOf("notes");
  const { drill } = serviceStatus(service, service.now(), { ...noHistory, lastDrill });
  expect(drill).toMatchObject({
    last: { id: "g1.notes.1", kind: "kill", outcome: "missed", rtoMs: 2_500, objectiveMs: 2_000 },
    next: null,
  });
});

test("the next drill is the one that is due first, of the configuration or ordered for a time", async () => {
  const { store, control } = await planes.start("g1");
  const plan: PlannedDrill = { kind: "switchover", at: { weekday: undefined, minute: 3 * 60 }, forMs: 1_000 };
  const drills = new Drills({
    ...{ gateway: "g1", store, clock: new ManualClock() },
    ...{ registered: () => [], confirm: () => Promise.resolve(new Set()) },
    objective: () => ({ rtoMs: undefined, probe: undefined }),
    plans: () => [{ name: "notes", drill: plan }],
    probe: () => {
      throw new Error("there is no probe");
    },
  });
  const hourMs = 3_600_000;
  expect(drills.nextOf("shop")).toBeUndefined();
  expect(control.drills.nextOf("notes")).toBeUndefined();
  expect(drills.nextOf("notes")).toEqual({
    ...{ service: "notes", kind: "switchover", at: "03:00", nextAtMs: 3 * hourMs },
  });
  const order = { service: "notes", kind: "hang", forMs: 1_000, orderedBy: "ann" } as const;
  drills.orders.plan(order, { weekday: undefined, minute: 4 * 60 });
  expect(drills.nextOf("notes")).toMatchObject({ kind: "switchover" });
  drills.orders.plan(order, { weekday: undefined, minute: 2 * 60 });
  expect(drills.nextOf("notes")).toMatchObject({ kind: "hang", orderedBy: "ann", nextAtMs: 2 * hourMs });
});

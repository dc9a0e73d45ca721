/** Drills that are ordered for a time, as rows of the replicated table: one per service, and none that is withdrawn. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseDueTime } from "../../../src/core/due-time.ts";
import { DrillOrders, isPlanned, plannedEntry } from "../../../src/gateway/service/drill-orders.ts";
import { fileDisk } from "../../../src/gateway/state/replication-disk.ts";
import { putDrill } from "../../../src/gateway/state/rows.ts";
import { StateStore } from "../../../src/gateway/state/store.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

const minuteMs = 60_000;
let folder = "";
let clock: ManualClock;
let store: StateStore;
let orders: DrillOrders;

const open = async (): Promise<void> => {
  store = new StateStore({ disk: fileDisk(join(folder, "g.db")), gateway: "g1", clock, random: systemRandom });
  await store.open();
  orders = new DrillOrders({ gateway: "g1", store, clock });
};
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "stead-drill-orders-"));
  clock = new ManualClock();
  await open();
});
afterEach(async () => {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
});

const at = (text: string) => parseDueTime(text) ?? expect.unreachable();
const switchover = { service: "notes", kind: "switchover", forMs: 15_000, orderedBy: "ada" } as const;

test("a drill is planned for the next such time, and found by its service alone", () => {
  const midnight = Math.floor(clock.wallTime());
  const planned = orders.plan(switchover, at("00:10"));
  expect(planned).toEqual({ ...switchover, dueAtMs: midnight + 10 * minuteMs });
  expect(orders.list()).toEqual([planned]);
  expect(orders.find("notes")).toEqual(planned);
  expect(orders.find("other")).toBeUndefined();
});

test("a service has one order: a later one takes its place, and that of another service stays", () => {
  orders.plan(switchover, at("00:10"));
  const other = orders.plan({ ...switchover, service: "other" }, at("00:30"));
  const later = orders.plan({ ...switchover, kind: "partition", orderedBy: "bob" }, at("00:20"));
  expect(orders.list().toSorted((a, b) => a.dueAtMs - b.dueAtMs)).toEqual([later, other]);
});

test("one that is withdrawn is none, and can be ordered again", () => {
  orders.withdraw(orders.plan(switchover, at("00:10")));
  expect(orders.list()).toEqual([]);
  const again = orders.plan(switchover, at("00:20"));
  expect(orders.find("notes")).toEqual(again);
});

test("an order outlasts a restart of its gateway", async () => {
  const planned = orders.plan(switchover, at("00:10"));
  await store.close();
  await open();
  expect(orders.list()).toEqual([planned]);
});

test("drills that ran, and rows without a time or duration, are no orders", () => {
  const row = { ...switchover, gateway: "g1", startedAtMs: 1, detail: "" };
  store.write(putDrill({ ...row, id: "ran", outcome: "passed", dueAtMs: 2 }));
  store.write(putDrill({ ...row, id: "no-time", outcome: "planned" }));
  store.write(putDrill({ ...row, id: "no-duration", outcome: "planned", dueAtMs: 2, forMs: undefined }));
  expect(orders.list()).toEqual([]);
  expect([isPlanned({ outcome: "planned" }), isPlanned({ outcome: "passed" })]).toEqual([true, false]);
});

test("what the API says of an order has its one time in ISO 8601, and who gave it", () => {
  const dueAtMs = Date.UTC(2030, 0, 6, 3);
  expect(plannedEntry({ ...switchover, dueAtMs })).toEqual({
    ...{ service: "notes", kind: "switchover", orderedBy: "ada", at: "2030-01-06T03:00:00.000Z", nextAtMs: dueAtMs },
  });
});

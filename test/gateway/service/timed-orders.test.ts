import { afterEach, expect, test } from "bun:test";
import { noHistory, serviceStatus } from "../../../src/gateway/admin/cluster-status.ts";
import { ControlPlanes } from "../../support/gateway/control-planes.ts";

const minute = 60_000;
const hour = 60 * minute;

let planes = new ControlPlanes();
afterEach(async () => {
  await planes.stop();
  planes = new ControlPlanes();
});

const statusOf = (id: string) => {
  const { service } = planes.at(id);
  return serviceStatus(service, service.now(), noHistory);
};
const isPaused = (id: string) => statusOf(id).paused;
const pause = (id: string, reason: string | undefined, forMs: number | undefined) => {
  const { control, service } = planes.at(id);
  control.setPause(service, { reason, forMs });
  planes.exchange();
};
const eventsOf = (id: string) =>
  statusOf(id)
    .events.filter(({ what }) => what === "resume")
    .map(({ detail }) => detail);
const sharedEnds = (id: string) =>
  [...planes.at(id).store.replica.rowsOf("events")].filter(({ values }) => values["what"] === "resume").length;

test("a pause ends on every gateway although the one that took the order is dead, with one event in the shared table", async () => {
  for (const id of ["g1", "g2", "g3"]) await planes.start(id);
  pause("g1", "new disks", 30 * minute);
  const untilMs = Date.UTC(2026, 0, 1, 0, 30);
  for (const id of ["g1", "g2", "g3"])
    expect(statusOf(id)).toMatchObject({ paused: true, pause: { reason: "new disks", untilMs } });
  await planes.kill("g1");
  planes.pass(30 * minute - 1);
  expect(["g2", "g3"].map(isPaused)).toEqual([true, true]);
  planes.pass(1);
  for (const id of ["g2", "g3"]) {
    expect(statusOf(id)).toMatchObject({ paused: false, pause: null });
    expect(eventsOf(id)).toEqual([expect.stringContaining("until 2026-01-01T00:30:00.000Z; new disks")]);
    expect(sharedEnds(id)).toBe(1);
  }
});

test("a gateway that starts during a pause ends it too, and one that starts after it is not paused", async () => {
  await planes.start("g1");
  await planes.start("g2");
  pause("g1", undefined, hour);
  await planes.kill("g1");
  planes.pass(59 * minute);
  await planes.start("g1");
  expect(isPaused("g1")).toBe(true);
  planes.pass(minute);
  expect(["g1", "g2"].map(isPaused)).toEqual([false, false]);
  await planes.kill("g2");
  await planes.start("g2");
  expect(isPaused("g2")).toBe(false);
});

test("resumed before its end, at another gateway, it stays resumed, and no end is recorded", async () => {
  for (const id of ["g1", "g2"]) await planes.start(id);
  pause("g1", "why", hour);
  const { control, service } = planes.at("g2");
  control.setPause(service, undefined);
  planes.exchange();
  expect(["g1", "g2"].map(isPaused)).toEqual([false, false]);
  planes.pass(2 * hour);
  expect(["g1", "g2"].map(sharedEnds)).toEqual([0, 0]);
});

test("a later pause replaces the terms of an earlier one, also by one without an end", async () => {
  for (const id of ["g1", "g2"]) await planes.start(id);
  pause("g1", "short", minute);
  pause("g2", "long", hour);
  planes.pass(2 * minute);
  expect(statusOf("g1").pause?.reason).toBe("long");
  pause("g1", "for good", undefined);
  planes.pass(2 * hour);
  for (const id of ["g1", "g2"]) expect(statusOf(id).pause).toEqual({ reason: "for good", untilMs: null });
});

test("a clock that is behind prolongs no pause, one that is ahead shortens it by as much, and a correction is noticed", async () => {
  await planes.start("right");
  await planes.start("behind", -20 * minute);
  await planes.start("ahead", 5 * minute);
  await planes.start("corrected", -20 * minute);
  pause("right", undefined, 30 * minute);
  planes.pass(25 * minute - 1);
  expect(isPaused("ahead")).toBe(true);
  planes.pass(1);
  expect(["right", "behind", "ahead"].map(isPaused)).toEqual([true, true, false]);
  planes.setClock("corrected", 10 * minute);
  planes.pass(1_000);
  expect(isPaused("corrected")).toBe(false);
  planes.pass(5 * minute);
  expect(["right", "behind"].map(isPaused)).toEqual([false, false]);
});

test("a process that is replaced stays paused when the pause of its cluster ends", async () => {
  await planes.start("g1");
  pause("g1", undefined, minute);
  await planes.at("g1").control.handOver();
  planes.pass(2 * minute);
  expect(isPaused("g1")).toBe(true);
});

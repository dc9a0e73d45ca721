import { expect, test } from "bun:test";
import { initialServiceState } from "../../../src/core/failover/state.ts";
import type { FailoverSettings } from "../../../src/core/failover/settings.ts";
import { seenBy } from "../../../src/gateway/peers/sight.ts";
import { Views } from "../../../src/gateway/peers/views.ts";
import type { ServiceRuntime } from "../../../src/gateway/service/service.ts";

/** What a view needs of a service, whose clock the test moves. */
function serviceAt(now: () => number): ServiceRuntime {
  const state = {
    ...initialServiceState({ service: "notes", gateway: "g1" } as FailoverSettings),
    hosts: new Map([
      ["a", { id: "a", health: { kind: "up" }, reportAt: 900 }],
      ["b", { id: "b", health: { kind: "down", cause: "refused" }, reportAt: -Infinity }],
    ]),
    peers: new Map([["g2", { gateway: "g2", at: 950, epoch: 1, sees: "up" }]]),
    gateways: ["g1", "g2"],
  };
  const latencies: Record<string, number> = { a: 1.5 };
  const runtime = { name: "notes", now, state, send: () => undefined };
  return {
    ...runtime,
    monitorOf: (id: string) => ({ latencyMs: latencies[id] }),
  } as unknown as ServiceRuntime;
}

test("a gateway says how it sees each host, how long a probe took, and when it heard the others", () => {
  expect(
    seenBy(
      serviceAt(() => 1_000),
      1_000,
    ),
  ).toEqual({
    hosts: [
      { host: "a", health: "up", latencyMs: 1.5, ageMs: 100 },
      { host: "b", health: "down", latencyMs: null, ageMs: null },
    ],
    gateways: [{ gateway: "g2", ageMs: 50 }],
  });
});

test("what others say is kept with its age, of gateways that count alone", () => {
  let now = 1_000;
  const service = serviceAt(() => now);
  const views = new Views(() => [service]);
  const seen = seenBy(service, now);
  const view = { service: "notes", primary: null, epoch: 0, sees: "up", heard: null, forMs: 0 } as const;
  views.heard("g2", [{ ...view, seen }]);
  views.heard("g9", [{ ...view, seen }]);
  views.heard("g2", [{ ...view, service: "another", seen }]);
  now = 1_400;
  expect(views.seenByOthers("notes")).toEqual([{ gateway: "g2", saidMsAgo: 400, ...seen }]);
  // One of an earlier version says nothing of it: what it said before stays, and ages.
  views.heard("g2", [{ ...view, seen: null }]);
  expect(views.seenByOthers("notes").map(({ saidMsAgo }) => saidMsAgo)).toEqual([400]);
  expect(views.seenByOthers("another")).toEqual([]);
});

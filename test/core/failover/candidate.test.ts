import { describe, expect, test } from "bun:test";
import { rankCandidates } from "../../../src/core/failover/candidate.ts";
import { heardAt } from "../../../src/core/failover/position-trail.ts";
import type { HostReport, HostView } from "../../../src/core/failover/state.ts";
import { unknownHealth, seenWell } from "../../../src/core/failover/health.ts";
import { report } from "../../support/core/failover-scenario.ts";

const host = (id: string, change: Partial<HostReport> = {}, view: Partial<HostView> = {}): HostView => ({
  id,
  controlUrl: `http://${id}`,
  priority: undefined,
  nofailover: undefined,
  health: seenWell(unknownHealth, 1000, { fall: 2, rise: 2 }),
  report: report(id, change),
  reportAt: 1000,
  trail: undefined,
  vaultSince: undefined,
  ...view,
});

const rank = (hosts: HostView[], change: { target?: string; tried?: [string, string][]; positionDue?: number } = {}) =>
  rankCandidates({
    service: "notes",
    hosts,
    tried: new Map(change.tried),
    target: change.target,
    force: false,
    positionDue: change.positionDue ?? 0,
    vault: undefined,
    now: 1100,
    staleMs: 500,
  });

const order = (hosts: HostView[], target?: string): string[] =>
  rank(hosts, target === undefined ? {} : { target }).eligible.map((entry) => entry.host);

describe("the best candidate", () => {
  test("has the highest priority, then is least behind, then has the smallest id", () => {
    const hosts = [
      host("d", { position: 5 }),
      host("c", { position: 9 }),
      host("b", { position: 9 }),
      host("a", { priority: 1, position: 1 }),
    ];
    expect(order(hosts)).toEqual(["a", "b", "c", "d"]);
  });

  test("is the target, when one is named and it is eligible", () => {
    expect(order([host("a", { priority: 9 }), host("b")], "b")).toEqual(["b", "a"]);
  });

  test("is judged by the registry first, and then by what the host says", () => {
    expect(order([host("a", { priority: 5 }, { priority: 0 }), host("b", { priority: 1 })])).toEqual(["b", "a"]);
    expect(order([host("a", { nofailover: true }, { nofailover: false })])).toEqual(["a"]);
    expect(order([host("a", { nofailover: false }, { nofailover: true })])).toEqual([]);
  });

  test("is any that makes progress before one whose vault does not answer, and the furthest of those when no vault answers", () => {
    const still = (id: string, position: number, priority: number): HostView =>
      host(id, { position, priority }, { trail: heardAt(undefined, position, -10_000) });
    const moving = host("c", { position: 3 }, { trail: heardAt(undefined, 3, 1_000) });
    const names = (hosts: HostView[]): string[] =>
      rank(hosts, { positionDue: 20 }).eligible.map(({ host: id, standing }) => `${id} ${standing}`);
    expect(names([still("a", 12, 50), still("b", 15, 0), moving])).toEqual(["c behind", "b stale", "a stale"]);
    expect(names([still("a", 12, 50), still("b", 15, 0)])).toEqual(["b stale", "a stale"]);
  });

  test("is never a host that cannot take over, and each of those gets its reason", () => {
    const hosts = [
      host(
        "down",
        {},
        { health: { kind: "down", since: 0, lastWellAt: undefined, cause: "refused", successes: 0, failedAt: 0 } },
      ),
      host("foreign", { service: "other" }),
      host("nofailover", { nofailover: true }),
      host("primary", { role: "primary" }),
      host("restoring", { role: "restoring", reason: "left behind" }),
      host("silent", {}, { reportAt: 100 }),
      host("tried"),
      host("unheard", {}, { report: undefined, reportAt: -Infinity, health: unknownHealth }),
    ];
    const { eligible, rejected } = rank(hosts, { tried: [["tried", "not ready"]] });
    expect(eligible).toEqual([]);
    expect(Object.fromEntries(rejected.map(({ host: id, why }) => [id, why]))).toEqual({
      down: "down: nothing listens at its control address",
      foreign: 'it belongs to the service "other"',
      nofailover: "nofailover is set",
      primary: "its role is primary",
      restoring: "its role is restoring: left behind",
      silent: "not heard for 1000 ms",
      tried: "tried already: not ready",
      unheard: "not heard yet",
    });
  });
});

/**
 * Attack: one status, one view of a peer or one stored row with an epoch that no claim will ever reach (2^53 − 1).
 * Epochs only rise, so every gateway believed it for good, replicated and stored it, and `failover --force` reported a
 * success after which nothing was served. Its kind: every number that only rises and comes from outside (the position
 * heard of the primary makes every candidate refuse).
 *
 * Rule: `epoch-proof` of docs/PROTOCOL.md (src/core/failover/proof.ts).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Rules, withoutRule } from "../../src/core/rules.ts";
import { wakeAt } from "../../src/core/failover/failover.ts";
import { viewForPeers } from "../../src/core/failover/primary-status.ts";
import { Views } from "../../src/gateway/peers/views.ts";
import { attackEpochs } from "../sim/direct-mutants.ts";
import { Scenario } from "../support/core/failover-scenario.ts";
import { TestCluster, until } from "../support/gateway/cluster.ts";

const never = Number.MAX_SAFE_INTEGER;
const isServedBy = (s: Scenario, host: string, epoch: number): void => {
  expect(s.state.routed).toMatchObject({ kind: "host", host, epoch });
  expect(s.phase).toBe("serving");
};
const peerSays = (s: Scenario, primary: string, epoch: number, position = 0): Scenario =>
  s.send({
    kind: "peer-view",
    view: { gateway: "g2", at: s.now, epoch, sees: "up" },
    primary,
    heard: { epoch, position, vault: undefined },
  });
/** Lets time pass, in which these hosts report. */
function live(s: Scenario, ms: number, hosts: Readonly<Record<string, Parameters<Scenario["hears"]>[1]>>): Scenario {
  for (let passed = 0; passed < ms; passed += 250) {
    s.after(250);
    for (const [host, change] of Object.entries(hosts)) s.hears(host, change);
  }
  return s;
}
const well = { a: { role: "primary" }, b: {}, c: {} } as const;

describe("an epoch that no claim will reach", () => {
  test("is not believed of a peer", () => {
    const s = Scenario.serving();
    peerSays(s, "x", never, never);
    isServedBy(s, "a", 1);
    expect(s.state.heard).toMatchObject({ epoch: 1 });
    expect(s.take("record-event").map(({ what }) => what)).toContain("epoch-refused");
  });

  test("is not believed of a host that another host contradicts, in its own name or in another's", () => {
    for (const epochHost of ["x", "b"]) {
      const s = Scenario.serving().hears("b", {
        epoch: never,
        epochHost,
        role: epochHost === "b" ? "primary" : "secondary",
      });
      isServedBy(s, "a", 1);
      expect(s.take("record-event").filter(({ what }) => what === "epoch-refused").length).toBe(1);
    }
  });

  test("is noted once, however often it is said", () => {
    const s = Scenario.serving();
    for (let i = 0; i < 50; i++) s.hears("b", { epoch: never - i, epochHost: "b", role: "primary" });
    expect(s.take("record-event").filter(({ what }) => what === "epoch-refused").length).toBe(1);
  });

  test("is given up when a host that reads the log contradicts it, if it was believed while nothing did", () => {
    const s = new Scenario().register("a", "b");
    s.hears("b", { epoch: never, epochHost: "b", role: "primary" });
    expect(s.all("record-epoch")).toEqual([]);
    live(s, 4_000, { a: { role: "primary" } });
    isServedBy(s, "a", 1);
    expect(s.take("record-event").map(({ what }) => what)).toContain("epoch-disproved");
  });

  test("is given up although the host that reports it keeps reporting it", () => {
    const s = new Scenario().register("a", "b");
    s.hears("b", { epoch: never, epochHost: "b", role: "primary" });
    live(s, 6_000, { a: { role: "primary" }, b: { epoch: never, epochHost: "b", role: "primary" } });
    isServedBy(s, "a", 1);
  });

  test("is given up at once when a candidate claims below it, and the order says so", () => {
    for (const force of [false, true]) {
      const s = new Scenario().register("a", "b");
      s.hears("b", { epoch: never, epochHost: "x" }).hears("a", { epoch: 1, epochHost: "a", vaultSilentMs: undefined });
      if (s.phase !== "promoting")
        s.send({ kind: "command", id: "1", command: { kind: "failover", target: "b", force } });
      s.after(1);
      if (s.phase !== "promoting") throw new Error(s.phase);
      s.send({ kind: "promoted", call: s.call, epoch: 2, dataUrl: "http://127.0.0.1:1000/b" });
      isServedBy(s, "b", 2);
      live(s, 3_000, { a: { epoch: 2, epochHost: "b" }, b: { role: "primary", epoch: 2, epochHost: "b" } });
      isServedBy(s, "b", 2);
    }
  });

  test("is not recalled; what may be recalled yields to no host with an older copy of the vault, but to an operator's order", () => {
    const s = new Scenario().register("a", "b", "c");
    s.send({ kind: "recall", host: "x", epoch: never, dataUrl: "http://127.0.0.1:9" });
    expect(s.state.primary).toBeUndefined();
    s.send({ kind: "recall", host: "b", epoch: 9, dataUrl: "http://127.0.0.1:9" });
    live(s, 4_000, well);
    expect(s.state.primary).toMatchObject({ host: "b", epoch: 9 });
    for (const isOrdered of [false, true]) {
      if (isOrdered) s.send({ kind: "command", id: "1", command: { kind: "failover", target: "c", force: true } });
      if (s.phase !== "promoting") throw new Error(s.phase);
      s.send({ kind: "promoted", call: s.call, epoch: 2, dataUrl: "http://127.0.0.1:1000/c" });
      expect(s.state.primary?.epoch).toBe(isOrdered ? 2 : 9);
    }
  });
});

describe("a plausible epoch that is false", () => {
  test("replaces no primary that is seen serving", () => {
    const s = peerSays(Scenario.serving(), "b", 2);
    isServedBy(s, "a", 1);
    expect(s.all("promote")).toEqual([]);
  });

  test("is given up when the hosts do not confirm it, and does not come back", () => {
    const s = Scenario.serving().refused("a");
    peerSays(s, "x", 2);
    live(s, 4_000, well);
    isServedBy(s, "a", 1);
    s.refused("a").refused("a");
    peerSays(s, "x", 2);
    expect(s.state.primary?.host).toBe("a");
  });

  test("is neither stored nor passed on", () => {
    const s = new Scenario().register("a", "b");
    peerSays(s, "x", 2);
    expect(s.state.primary).toMatchObject({ host: "x", epoch: 2 });
    expect(s.all("record-epoch")).toEqual([]);
    const service = { name: "notes", state: s.state, now: () => s.now, monitorOf: () => undefined };
    const [view] = new Views(() => [service as never]).now();
    expect(view).toMatchObject({ primary: null, epoch: 0, sees: viewForPeers(s.state, s.now) });
  });

  test("is true once a host says the same", () => {
    const s = new Scenario().register("a", "b");
    peerSays(s, "b", 2);
    s.hears("b", { role: "primary", epoch: 2, epochHost: "b" });
    isServedBy(s, "b", 2);
    expect(s.take("record-epoch").at(-1)).toMatchObject({ host: "b", epoch: 2 });
    expect(wakeAt(s.state, s.now)).toBeUndefined();
  });
});

describe("a position that no follower will reach", () => {
  for (const [source, say] of [
    ["a peer", (s: Scenario) => peerSays(s, "a", 1, never)],
    ["a host", (s: Scenario) => s.hears("a", { role: "primary", position: never })],
  ] as const) {
    test(`does not keep candidates from taking over when ${source} says it`, () => {
      const s = say(Scenario.serving()).refused("a").refused("a").after(500);
      expect(s.take("promote")[0]?.positionHeard).toBeLessThan(1_000);
    });
  }
});

test("without the rule the attack succeeds", async () => {
  const all: Rules = { has: () => true };
  expect(await attackEpochs(all)).toBeUndefined();
  expect(await attackEpochs(withoutRule("epoch-proof"))).toBeDefined();
});

describe("a gateway with real connections", () => {
  const cluster = new TestCluster();
  beforeAll(async () => {
    await Promise.all([cluster.addHost("a", { priority: 1 }), cluster.addHost("b"), cluster.addHost("c")]);
    await cluster.startGateway();
    await cluster.serving();
  });
  afterAll(() => cluster.stop());

  test("serves on when a host says it, and names that host", async () => {
    cluster.host("b").says({ epoch: never, epochHost: "b", role: "primary" });
    const events = await until(async () => {
      const found = await cluster.client.sql({ sql: "select detail from events where what = 'epoch-refused'" });
      return found.kind === "ok" && found.value.rows.length > 0 && found.value.rows;
    });
    expect(JSON.stringify(events[0])).toContain("b says");
    expect(await cluster.ask()).toEqual({ status: 200, host: "a" });
    cluster.host("b").says({});
    const moved = await cluster.client.switchover({ host: "c" });
    expect(moved.kind).toBe("ok");
    expect(await cluster.ask()).toEqual({ status: 200, host: "c" });
  }, 20_000);
});

import { describe, expect, test } from "bun:test";
import { dryRun } from "../../../src/core/failover/command.ts";
import { wakeAt } from "../../../src/core/failover/failover.ts";
import { Scenario } from "../../support/core/failover-scenario.ts";

describe("a primary is found", () => {
  test("a service about which nothing is known holds its requests", () => {
    const s = new Scenario();
    expect(s.phase).toBe("unknown");
    expect(s.state.routed.kind).toBe("hold");
  });

  test("a host that says it is primary gets the traffic", () => {
    const s = new Scenario().register("a", "b").hears("a", { role: "primary" });
    expect(s.phase).toBe("serving");
    expect(s.all("route")).toMatchObject([{ host: "a", epoch: 1 }]);
    expect(s.all("record-epoch")).toMatchObject([{ host: "a", epoch: 1 }]);
  });

  test("a secondary that names the owner of the epoch is believed, and the owner is probed for", () => {
    const s = new Scenario().register("a", "b").hears("b", { epoch: 4, epochHost: "a" });
    expect(s.state.primary).toMatchObject({ host: "a", epoch: 4 });
    expect(s.phase).toBe("suspect");
  });

  test("requests go to the primary that the database remembers before any host has reported", () => {
    const s = new Scenario().register("a", "b");
    s.send({ kind: "recall", host: "a", epoch: 3, dataUrl: "http://127.0.0.1:9" });
    expect(s.all("route")).toMatchObject([{ host: "a", epoch: 3, dataUrl: "http://127.0.0.1:9" }]);
    expect(s.phase).toBe("suspect");
  });

  test("on an empty vault the best host begins as soon as all hosts have reported", () => {
    const s = new Scenario().register("a", "b").hears("a", { epoch: 0, epochHost: undefined });
    expect(s.all("promote")).toEqual([]);
    s.hears("b", { epoch: 0, epochHost: undefined, priority: 5 });
    expect(s.all("promote")).toMatchObject([{ host: "b", epoch: 0, planned: false }]);
  });

  test("on an empty vault a host that never reports delays the first election by a bounded time", () => {
    const s = new Scenario().register("a", "b").hears("a", { epoch: 0, epochHost: undefined });
    s.after(999);
    expect(s.phase).toBe("unknown");
    s.after(1);
    expect(s.all("promote")).toMatchObject([{ host: "a" }]);
  });
});

describe("a refusal from before the claim", () => {
  const claimed = (): Scenario => {
    const s = new Scenario().register("a", "b").refused("a").refused("a");
    expect(s.state.hosts.get("a")?.health.kind).toBe("down");
    return s.after(20).hears("b", { epoch: 1, epochHost: "a" });
  };

  test("is no end of the first primary: it is probed at once, and served when it answers", () => {
    const s = claimed();
    expect(s.phase).toBe("suspect");
    expect(s.all("probe")).toMatchObject([{ host: "a" }]);
    expect(s.all("promote")).toEqual([]);
    s.hears("a", { role: "primary" }).hears("a", { role: "primary" });
    expect(s.phase).toBe("serving");
    expect(s.all("promote")).toEqual([]);
  });

  test("is no end of a host that reports itself as primary, before its second good sign", () => {
    const s = new Scenario().register("a", "b").refused("a").refused("a").after(20).hears("a", { role: "primary" });
    expect(s.phase).toBe("suspect");
    expect(s.state.routed).toMatchObject({ kind: "host", host: "a", epoch: 1 });
  });

  test("a refusal of a probe from after the claim is one", () => {
    const s = claimed().after(1).refused("a");
    expect(s.all("promote")).toMatchObject([{ host: "b" }]);
  });
});

describe("a kill", () => {
  test("stream end, then two refused probes, are a loss at once", () => {
    const s = Scenario.serving();
    s.now += 100;
    s.send({ kind: "stream-ended", host: "a" });
    expect(s.phase).toBe("suspect");
    expect(s.all("probe")).toMatchObject([{ host: "a" }]);
    expect(s.state.routed.kind).toBe("host");
    s.refused("a");
    expect(s.all("probe")).toHaveLength(2);
    expect(s.phase).toBe("suspect");
    s.now += 3;
    s.refused("a");
    expect(s.phase).toBe("promoting");
    expect(s.all("promote")).toMatchObject([
      { host: "b", epoch: 1, planned: false, gatewaysRegistered: 1, gatewaysSeeingDown: ["g1"] },
    ]);
    expect(s.all("hold")).toHaveLength(1);
  });

  test("detect counts from the end of the stream, and each phase of the promotion is kept", () => {
    const s = Scenario.serving();
    s.now += 100;
    s.send({ kind: "stream-ended", host: "a" }).refused("a");
    s.now += 3;
    s.refused("a");
    const call = s.call;
    for (const [phase, ms] of [
      ["claim", 5],
      ["lease", 7],
      ["catch-up", 1],
      ["start", 40],
      ["ready", 2],
    ] as const) {
      s.send({ kind: "phase-ended", call, phase, ms });
    }
    s.send({ kind: "promoted", call, epoch: 2, dataUrl: "http://127.0.0.1:2" });
    expect(s.phase).toBe("serving");
    s.now += 1;
    s.send({ kind: "routed", epoch: 2 });
    const last = s.all("record-failover").at(-1);
    expect(last?.outcome).toBe("done");
    expect(last?.failover).toMatchObject({ kind: "kill", from: "a", to: "b", epochFrom: 1, epochTo: 2, attempts: 1 });
    expect(last?.failover.phases).toEqual({ detect: 3, agree: 0, claim: 5, lease: 7, catchUp: 1, start: 42, route: 1 });
  });

  test("a probe that was cut off by the death does not delay the next one", () => {
    const s = Scenario.serving();
    s.now += 100;
    s.send({ kind: "probe-failed", host: "a", cause: "reset", startedAt: s.now - 10 });
    expect(s.take("probe")).toHaveLength(1);
    s.send({ kind: "stream-ended", host: "a" });
    expect(s.take("probe")).toHaveLength(1);
  });

  test("the old primary's connections are closed as soon as the claim is in the log", () => {
    const s = Scenario.serving().refused("a").refused("a");
    expect(s.all("drop")).toEqual([]);
    s.send({ kind: "phase-ended", call: s.call, phase: "claim", ms: 5 });
    expect(s.all("drop")).toMatchObject([{ host: "a" }]);
  });

  test("requests go to the new primary even while its own report is still in flight", () => {
    const s = Scenario.serving().refused("a").refused("a");
    s.send({ kind: "promoted", call: s.call, epoch: 2, dataUrl: "http://127.0.0.1:2" });
    expect(s.state.routed).toEqual({ kind: "host", host: "b", epoch: 2, dataUrl: "http://127.0.0.1:2" });
    s.hears("b", { role: "starting", epoch: 2, epochHost: "b", dataUrl: "http://127.0.0.1:2" });
    expect(s.state.routed).toMatchObject({ kind: "host", host: "b" });
    s.hears("b", { role: "primary", epoch: 2, epochHost: "b", dataUrl: "http://127.0.0.1:2" });
    expect(s.phase).toBe("serving");
  });
});

describe("a hang", () => {
  test("probes that time out as often as `fall` says are a loss", () => {
    const s = Scenario.serving();
    s.now += 500;
    s.timedOut("a");
    expect(s.phase).toBe("suspect");
    s.now += 250;
    s.timedOut("a");
    expect(s.phase).toBe("promoting");
    expect(s.state.phase).toMatchObject({ failover: { kind: "hang", phases: { detect: 750 } } });
  });

  test("a probe that was overtaken by a good sign does not count", () => {
    const s = Scenario.serving();
    const startedAt = s.now;
    s.now += 250;
    s.hears("a", { role: "primary" });
    s.now += 250;
    s.send({ kind: "probe-failed", host: "a", cause: "timeout", startedAt });
    s.send({ kind: "probe-failed", host: "a", cause: "timeout", startedAt });
    expect(s.phase).toBe("serving");
  });

  test("a request that fails only raises a doubt, and one probe clears it", () => {
    const s = Scenario.serving();
    s.send({ kind: "data-error", host: "a", cause: "reset" }).send({ kind: "data-error", host: "a", cause: "reset" });
    expect(s.phase).toBe("suspect");
    expect(s.all("probe")).toHaveLength(1);
    s.send({ kind: "report", host: "a", report: s.state.hosts.get("a")?.report ?? fail(), startedAt: s.now });
    expect(s.phase).toBe("serving");
    expect(s.all("promote")).toEqual([]);
  });
});

describe("the primary steps down by itself", () => {
  test("a primary that was restarted is replaced at once", () => {
    const s = Scenario.serving().hears("a", { role: "restoring", instance: "a-2", epoch: 0, epochHost: undefined });
    expect(s.all("promote")).toMatchObject([{ host: "b" }]);
    expect(s.state.phase).toMatchObject({ failover: { kind: "stepped-down" } });
    expect(s.all("record-event").filter(({ what }) => what.startsWith("primary-"))).toMatchObject([
      { level: "info", what: "primary-stepped-down" },
    ]);
  });

  test("requests wait when the primary reports that it no longer is one, even when no host can take over", () => {
    const s = new Scenario()
      .register("a")
      .hears("a", { role: "primary" })
      .hears("a", { role: "failed", reason: "the application does not start" });
    expect(s.phase).toBe("down");
    expect(s.state.routed.kind).toBe("hold");
  });

  test("its report still counts when its connection breaks right afterwards: no request goes to a host that is ending", () => {
    const s = Scenario.serving().send({ kind: "gateways", ids: ["g0", "g1"] });
    s.hears("a", { role: "restoring", reason: "stepped down" });
    expect(s.phase).toBe("agreeing");
    s.send({ kind: "stream-ended", host: "a" }).refused("a").refused("a");
    expect(s.phase).toBe("agreeing");
    expect(s.all("route")).toEqual([]);
    expect(s.state.routed.kind).toBe("hold");
  });

  test("its report of an earlier epoch does not count: requests go to it while other hosts report it as primary again", () => {
    const s = Scenario.serving().hears("b", { role: "secondary" });
    s.hears("c", { epoch: 2, epochHost: "b" });
    s.send({ kind: "stream-ended", host: "b" }).after(2_000).refused("b").refused("b");
    expect(s.state.routed).toMatchObject({ kind: "host", host: "b", epoch: 2 });
  });

  test("a report that is older than the claim that other hosts report does not count as stepping down", () => {
    const s = Scenario.serving().hears("c", { epoch: 2, epochHost: "b" });
    expect(s.state.primary).toMatchObject({ host: "b", epoch: 2 });
    expect(s.phase).toBe("awaiting");
    expect(s.all("promote")).toEqual([]);
    s.hears("b", { role: "primary", epoch: 2, epochHost: "b" });
    expect(s.phase).toBe("serving");
    expect(s.all("drop")).toMatchObject([{ host: "a" }]);
  });

  test("an owner that never reports itself as primary is replaced after a bounded time", () => {
    const s = Scenario.serving().hears("c", { epoch: 2, epochHost: "b" });
    s.after(1000);
    expect(s.all("promote")).toMatchObject([{ host: "b", epoch: 2 }]);
  });

  test("after every host was stopped, a secondary that reads its own old epoch is promoted again", () => {
    const s = new Scenario().register("a", "b");
    s.send({ kind: "recall", host: "a", epoch: 5, dataUrl: "http://127.0.0.1:9" });
    s.hears("b", { epoch: 5, epochHost: "a", position: 20 });
    s.hears("a", { role: "restoring", epoch: 0, epochHost: undefined, instance: "a-9" });
    expect(s.all("promote")).toEqual([]);
    s.hears("a", { role: "secondary", epoch: 5, epochHost: "a", instance: "a-9", position: 21 });
    expect(s.all("promote")).toMatchObject([{ host: "a", epoch: 5 }]);
  });
});

describe("a promotion that fails", () => {
  const lost = (): Scenario => Scenario.serving().refused("a").refused("a");

  test("a candidate that is not ready is followed by the next, and the time it took is kept", () => {
    const s = lost();
    s.now += 20;
    s.send({ kind: "call-refused", call: s.call, refusal: { kind: "not_ready", reason: "restoring" } });
    expect(s.take("promote")).toMatchObject([{ host: "b" }, { host: "c" }]);
    expect(s.state.phase).toMatchObject({ failover: { attempts: 2, phases: { retry: 20 } } });
  });

  test("when every candidate refused it is tried again after a pause", () => {
    const s = lost();
    s.send({ kind: "call-refused", call: s.call, refusal: { kind: "not_ready", reason: "x" } });
    s.send({ kind: "call-refused", call: s.call, refusal: { kind: "not_ready", reason: "y" } });
    expect(s.phase).toBe("down");
    s.take("promote");
    s.after(999);
    expect(s.all("promote")).toEqual([]);
    s.hears("b").hears("c").after(1);
    expect(s.all("promote")).toMatchObject([{ host: "b" }]);
  });

  test("a candidate that finds the epoch taken makes the gateway follow the one that took it", () => {
    const s = lost();
    s.send({ kind: "call-refused", call: s.call, refusal: { kind: "epoch_taken", epoch: 7, host: "c" } });
    expect(s.phase).toBe("awaiting");
    expect(s.state.primary).toMatchObject({ host: "c", epoch: 7 });
    s.hears("c", { role: "primary", epoch: 7, epochHost: "c" });
    expect(s.phase).toBe("serving");
    expect(s.state.routed).toMatchObject({ host: "c", epoch: 7 });
  });

  test("a witness that saw the primary write keeps it serving, and traffic goes back to it", () => {
    const s = lost();
    s.send({ kind: "call-refused", call: s.call, refusal: { kind: "primary_alive", evidence: "wrote 20 ms ago" } });
    expect(s.phase).toBe("down");
    expect(s.state.routed).toMatchObject({ kind: "host", host: "a" });
    s.hears("a", { role: "primary" }).hears("a", { role: "primary" });
    expect(s.phase).toBe("serving");
  });

  test("a candidate that dies is followed by the next as soon as it is known to be down", () => {
    const s = lost();
    s.send({ kind: "call-lost", call: s.call, why: "connection reset" });
    expect(s.phase).toBe("promoting");
    s.refused("b").refused("b");
    expect(s.take("promote")).toMatchObject([{ host: "b" }, { host: "c" }]);
  });

  test("the host's own report replaces the lost answer of a promotion that succeeded", () => {
    const s = lost();
    s.send({ kind: "call-lost", call: s.call, why: "reset" });
    s.now += 5;
    s.hears("b", { role: "starting", epoch: 2, epochHost: "b" });
    expect(s.phase).toBe("promoting");
    s.hears("b", { role: "primary", epoch: 2, epochHost: "b" });
    expect(s.phase).toBe("serving");
    expect(s.state.routed).toMatchObject({ host: "b", epoch: 2 });
  });

  test("the report of a serving candidate counts before its answer is known to be lost", () => {
    const s = lost();
    s.now += 5;
    s.hears("b", { role: "primary", epoch: 2, epochHost: "b" });
    expect(s.phase).toBe("promoting");
    s.now += 250;
    s.hears("b", { role: "primary", epoch: 2, epochHost: "b" });
    expect(s.phase).toBe("serving");
    expect(s.state.routed).toMatchObject({ host: "b", epoch: 2 });
  });

  test("the gateway does not wait for a candidate whose answer was lost and that is still a secondary", () => {
    const s = lost();
    s.send({ kind: "call-lost", call: s.call, why: "reset" });
    s.now += 5;
    s.hears("b");
    expect(s.take("promote")).toMatchObject([{ host: "b" }, { host: "c" }]);
  });

  test("a third host that takes the epoch meanwhile ends the attempt", () => {
    const s = lost();
    s.hears("c", { role: "starting", epoch: 2, epochHost: "c" });
    expect(s.phase).toBe("awaiting");
    expect(s.all("cancel")).toHaveLength(1);
  });

  test("events of an earlier call change nothing", () => {
    const s = lost();
    const stale = s.call;
    s.send({ kind: "call-refused", call: stale, refusal: { kind: "not_ready", reason: "x" } });
    s.send({ kind: "promoted", call: stale, epoch: 9, dataUrl: "http://127.0.0.1:9" });
    expect(s.state.phase).toMatchObject({ kind: "promoting", candidate: "c" });
  });
});

describe("an attempt that fails again and again", () => {
  test("is reported once per host and failover", () => {
    const s = Scenario.serving().refused("a").refused("a");
    for (let round = 0; round < 5; round++) {
      for (const _ of ["b", "c"])
        s.send({ kind: "call-refused", call: s.call, refusal: { kind: "not_ready", reason: `round ${round}` } });
      s.now += 1000;
      s.hears("b").hears("c");
    }
    expect(s.all("promote").length).toBeGreaterThan(9);
    expect(s.all("record-event").filter(({ what }) => what === "promotion-failed")).toHaveLength(2);
    expect(s.all("record-event").filter(({ what }) => what === "failover-no-candidate")).toHaveLength(1);
  });
});

describe("no host can take over", () => {
  test("traffic still goes to the last known primary", () => {
    const s = new Scenario().register("a").hears("a", { role: "primary" }).refused("a").refused("a");
    expect(s.phase).toBe("down");
    expect(s.state.routed).toMatchObject({ kind: "host", host: "a" });
  });

  test("the first candidate that turns up is promoted without a pause", () => {
    const s = new Scenario().register("a", "b").hears("a", { role: "primary" }).hears("b", { role: "restoring" });
    s.refused("a").refused("a");
    expect(s.phase).toBe("down");
    s.now += 300;
    s.hears("b");
    expect(s.all("promote")).toMatchObject([{ host: "b" }]);
    expect(s.state.phase).toMatchObject({ failover: { phases: { wait: 300 } } });
  });

  test("a primary that recovers gets its traffic again, after as many good signs as `rise` says", () => {
    const s = new Scenario().register("a").hears("a", { role: "primary" }).refused("a").refused("a");
    s.hears("a", { role: "primary" });
    expect(s.phase).toBe("down");
    s.hears("a", { role: "primary" });
    expect(s.phase).toBe("serving");
  });

  test("a primary that is not registered here is replaced only if the witness says so", () => {
    const s = new Scenario().register("b").hears("b", { epoch: 3, epochHost: "gone" });
    expect(s.all("promote")).toMatchObject([{ host: "b", gatewaysSeeingDown: [] }]);
  });
});

describe("a switchover", () => {
  const ordered = (target?: string): Scenario =>
    Scenario.serving().send({ kind: "command", id: "1", command: { kind: "switchover", target } });

  test("holds, demotes, promotes, routes, and answers", () => {
    const s = ordered("c");
    expect(s.phase).toBe("demoting");
    expect(s.all("demote")).toMatchObject([{ host: "a", successor: "c" }]);
    expect(s.state.routed.kind).toBe("hold");
    s.send({ kind: "phase-ended", call: s.call, phase: "drain", ms: 4 });
    s.hears("a", { role: "draining" }).hears("a", { role: "restoring" });
    expect(s.phase).toBe("demoting");
    s.send({ kind: "demoted", call: s.call });
    expect(s.all("promote")).toMatchObject([{ host: "c", planned: true }]);
    s.send({ kind: "promoted", call: s.call, epoch: 2, dataUrl: "http://127.0.0.1:3" });
    expect(s.state.routed).toMatchObject({ host: "c", epoch: 2 });
    expect(s.all("reply")).toMatchObject([{ id: "1", outcome: { kind: "done", primary: "c", epoch: 2 } }]);
    expect(s.all("record-failover").at(-1)?.failover.phases).toMatchObject({ demote: 4 });
  });

  test("a primary that refuses to step down keeps the traffic", () => {
    const s = ordered();
    s.send({
      kind: "call-refused",
      call: s.call,
      refusal: { kind: "not_ready", reason: "a checkpoint is being restored" },
    });
    expect(s.phase).toBe("serving");
    expect(s.state.routed).toMatchObject({ host: "a" });
    expect(s.all("reply")).toMatchObject([{ outcome: { kind: "refused" } }]);
  });

  test("a primary that dies while it steps down is succeeded by the target", () => {
    const s = ordered("c").refused("a").refused("a");
    expect(s.all("promote")).toMatchObject([{ host: "c" }]);
    expect(s.all("cancel")).toHaveLength(1);
  });

  test("a lost order is cancelled when the primary continues to serve", () => {
    const s = ordered();
    s.send({ kind: "call-lost", call: s.call, why: "reset" });
    expect(s.all("probe")).toMatchObject([{ host: "a" }]);
    expect(s.phase).toBe("demoting");
    s.now += 1;
    s.hears("a", { role: "primary" });
    expect(s.phase).toBe("serving");
    expect(s.all("reply")).toMatchObject([{ outcome: { kind: "refused" } }]);
  });

  test("the report of a primary that did step down replaces its lost answer", () => {
    const s = ordered("c");
    s.send({ kind: "call-lost", call: s.call, why: "reset" });
    s.now += 1;
    s.hears("a", { role: "restoring" });
    expect(s.all("promote")).toMatchObject([{ host: "c" }]);
  });

  test("another host that takes the epoch meanwhile ends it, and gets the requests", () => {
    const s = ordered("c").hears("b", { role: "starting", epoch: 2, epochHost: "b" });
    expect(s.phase).toBe("awaiting");
    expect(s.all("cancel")).toHaveLength(1);
    expect(s.all("reply")).toMatchObject([{ outcome: { kind: "refused", code: "overtaken" } }]);
    expect(s.all("drop")).toMatchObject([{ host: "a" }]);
  });

  test("a primary that finds the epoch taken while it is asked to step down makes the gateway follow the taker", () => {
    const s = ordered("c");
    s.send({ kind: "call-refused", call: s.call, refusal: { kind: "epoch_taken", epoch: 2, host: "b" } });
    expect(s.phase).toBe("awaiting");
    expect(s.all("reply")).toMatchObject([{ outcome: { kind: "refused", code: "overtaken" } }]);
    expect(s.state.primary).toMatchObject({ host: "b", epoch: 2 });
  });

  test("a second order while one is in progress is refused, and one that is forced overtakes it", () => {
    const s = ordered("c").send({ kind: "command", id: "2", command: { kind: "switchover", target: "b" } });
    const replies = () =>
      s.all("reply").map(({ id, outcome }) => [id, outcome.kind === "refused" ? outcome.code : outcome.kind]);
    expect(replies()).toEqual([["2", "conflict"]]);
    s.send({ kind: "command", id: "3", command: { kind: "failover", target: "b", force: true } });
    expect(replies()).toEqual([
      ["2", "conflict"],
      ["1", "overtaken"],
    ]);
    expect(s.all("cancel")).toHaveLength(1);
    expect(s.all("demote")).toHaveLength(1);
    expect(s.all("promote")).toMatchObject([{ host: "b", planned: true }]);
  });

  test("a target that cannot take over is refused before anything is touched", () => {
    for (const target of ["a", "unregistered"]) {
      const s = ordered(target);
      expect(s.phase).toBe("serving");
      expect(s.all("demote")).toEqual([]);
      expect(s.all("reply")).toMatchObject([{ outcome: { kind: "refused" } }]);
    }
  });

  test("a target that fails after the primary stepped down is followed by the next host", () => {
    const s = ordered("c");
    s.send({ kind: "demoted", call: s.call });
    s.send({ kind: "call-refused", call: s.call, refusal: { kind: "not_ready", reason: "x" } });
    expect(s.all("promote")).toMatchObject([{ host: "c" }, { host: "b" }]);
  });

  test("a switchover whose target is lost is finished as soon as any host can take over, also in a pause", () => {
    const s = new Scenario().register("a", "b").hears("a", { role: "primary" }).hears("b");
    s.send({ kind: "command", id: "1", command: { kind: "pause" } });
    s.send({ kind: "command", id: "2", command: { kind: "switchover", target: "b" } });
    s.refused("b").refused("b");
    s.send({ kind: "demoted", call: s.call });
    expect(s.phase).toBe("down");
    expect(s.all("reply").at(-1)).toMatchObject({ id: "2", outcome: { kind: "refused" } });
    expect(s.state.routed.kind).toBe("hold");
    s.hears("a", { role: "secondary" });
    expect(s.all("promote")).toMatchObject([{ host: "a", planned: true }]);
  });
});

describe("a switchover that another gateway ordered", () => {
  const handedOver = (forMs: number) => ({ role: "restoring", handover: { to: "b", forMs } }) as const;

  test("is left to it: requests wait, and nothing is decided", () => {
    const s = Scenario.serving({ gateway: "g2" }).hears("a", { role: "draining" }).hears("a", handedOver(0));
    s.after(900).hears("a", handedOver(900));
    expect(s.phase).toBe("awaiting");
    expect(s.state.routed.kind).toBe("hold");
    expect(s.all("promote")).toEqual([]);
    s.hears("b", { role: "primary", epoch: 2, epochHost: "b" });
    expect(s.state.routed).toMatchObject({ host: "b", epoch: 2 });
    expect(s.all("promote")).toEqual([]);
  });

  test("is finished by this gateway when no host has claimed a second later, without any further report", () => {
    const s = Scenario.serving({ gateway: "g2" }).hears("a", handedOver(10));
    const at = wakeAt(s.state, s.now) ?? fail();
    expect(at).toBe(s.now + 990);
    s.after(at - s.now - 1);
    expect(s.all("promote")).toEqual([]);
    s.after(1);
    expect(s.phase).toBe("promoting");
  });

  test("counts as done for this gateway's operator when it promoted the same host first", () => {
    const s = Scenario.serving().send({ kind: "command", id: "1", command: { kind: "switchover", target: "c" } });
    s.send({ kind: "demoted", call: s.call });
    s.send({ kind: "call-refused", call: s.call, refusal: { kind: "epoch_taken", epoch: 2, host: "c" } });
    expect(s.phase).toBe("promoting");
    s.now += 1;
    s.hears("c", { role: "starting", epoch: 2, epochHost: "c" });
    expect(s.all("reply")).toEqual([]);
    s.now += 1;
    s.hears("c", { role: "primary", epoch: 2, epochHost: "c" });
    expect(s.all("reply")).toMatchObject([{ id: "1", outcome: { kind: "done", primary: "c", epoch: 2 } }]);
    expect(s.all("record-failover").at(-1)).toMatchObject({ outcome: "done" });
  });
});

describe("an order", () => {
  test("names the report of the candidate on which it rests, and counts for three seconds from now", () => {
    const s = Scenario.serving().hears("b", { clockMs: 4_000 });
    s.now += 200;
    s.refused("a").refused("a");
    expect(s.all("promote")).toMatchObject([
      { host: "b", basedOn: { instance: "b-1", clockMs: 4_000, validMs: 3_200 } },
    ]);
  });

  test("that came too late is followed by one to the next host", () => {
    const s = Scenario.serving().refused("a").refused("a");
    s.send({ kind: "call-refused", call: s.call, refusal: { kind: "order_expired", reason: "too old" } });
    expect(s.all("promote")).toMatchObject([{ host: "b" }, { host: "c" }]);
  });
});

describe("a gateway that was cut off from every host", () => {
  const cutOff = (): Scenario => {
    const s = Scenario.serving();
    for (let turn = 0; turn < 2; turn++) for (const host of ["a", "b", "c"]) s.timedOut(host);
    expect(s.phase).toBe("down");
    s.effects = [];
    s.now += 5_000;
    return s;
  };

  test("replaces no primary because a secondary is the first host that it sees again", () => {
    const s = cutOff().hears("b").hears("b").hears("a", { role: "primary" });
    s.hears("c").hears("c").after(50).hears("a", { role: "primary" });
    expect(s.phase).toBe("serving");
    expect(s.all("promote")).toEqual([]);
  });

  test("replaces a primary that fails once more after a host that can take over came back", () => {
    const s = cutOff().hears("b").hears("b");
    expect(s.all("promote")).toEqual([]);
    s.send({ kind: "probe-failed", host: "a", cause: "timeout", startedAt: s.now - 1 });
    expect(s.all("promote")).toEqual([]);
    s.timedOut("a");
    expect(s.all("promote")).toMatchObject([{ host: "b" }]);
  });
});

describe("reports that the network delayed", () => {
  test("an older report of the same run changes nothing, whatever it says", () => {
    const s = Scenario.serving();
    s.hears("a", { role: "primary", clockMs: 50 }).hears("a", { role: "secondary", clockMs: 49 });
    expect(s.phase).toBe("serving");
    s.hears("a", { role: "secondary", clockMs: 51 });
    expect(s.phase).not.toBe("serving");
  });

  test("a run that began later counts, whatever its clock says", () => {
    const s = Scenario.serving();
    s.hears("a", { role: "primary", clockMs: 50 }).hears("a", { role: "secondary", clockMs: 1, instance: "a-2" });
    expect(s.phase).not.toBe("serving");
  });

  test("a primary that was asked to follow itself, and says for seconds that it is primary, has recovered", () => {
    const s = new Scenario()
      .register("a", "b")
      .hears("a", { role: "primary", clockMs: undefined })
      .hears("b", { nofailover: true });
    s.hears("a", { role: "secondary", clockMs: undefined });
    s.after(150);
    expect(s.take("promote")).toMatchObject([{ host: "a" }]);
    for (let second = 0; second < 5; second++)
      s.after(1_000).hears("b", { nofailover: true }).hears("a", { role: "primary", clockMs: undefined });
    expect(s.phase).toBe("serving");
    expect(s.state.routed).toMatchObject({ host: "a" });
  });
});

describe("operators", () => {
  test("a pause keeps a lost primary from being replaced, and resume replaces it", () => {
    const s = Scenario.serving().send({ kind: "command", id: "1", command: { kind: "pause" } });
    s.refused("a").refused("a");
    expect(s.phase).toBe("down");
    expect(s.all("promote")).toEqual([]);
    expect(s.state.routed).toMatchObject({ host: "a" });
    s.send({ kind: "command", id: "2", command: { kind: "resume" } });
    expect(s.all("promote")).toMatchObject([{ host: "b" }]);
  });

  test("a pause is an event once: at the gateway that was asked, not at the start or end of a process", () => {
    const events = (isSilent?: boolean) =>
      Scenario.serving()
        .send({ kind: "command", id: "1", command: { kind: "pause", ...(isSilent === undefined ? {} : { isSilent }) } })
        .all("record-event")
        .filter(({ what }) => what === "pause");
    expect(events()).toHaveLength(1);
    expect(events(true)).toEqual([]);
  });

  test("a switchover without a second host says so", () => {
    const s = new Scenario().register("a").hears("a", { role: "primary" });
    s.send({ kind: "command", id: "1", command: { kind: "switchover", target: undefined } });
    expect(s.all("reply")).toMatchObject([{ outcome: { why: "a is the only host of this service" } }]);
    expect(dryRun(s.state, 0)).toMatchObject({ whyNot: [], obstacles: [expect.stringContaining("no second host")] });
  });

  test("a switchover that no host can take over names the others' reasons, not that the primary is primary", () => {
    const s = new Scenario().register("a", "b").hears("a", { role: "primary" }).hears("b", { role: "restoring" });
    s.send({ kind: "command", id: "1", command: { kind: "switchover", target: undefined } });
    expect(s.all("reply")).toMatchObject([{ outcome: { why: "no host can take over: b: its role is restoring" } }]);
  });

  test("hosts that cannot take over for the same reason are named together", () => {
    const s = new Scenario().register("a", "b", "c").hears("a", { role: "primary" });
    for (const host of ["b", "c"]) s.hears(host, { role: "restoring" });
    s.send({ kind: "command", id: "1", command: { kind: "switchover", target: undefined } });
    expect(s.all("reply")).toMatchObject([{ outcome: { why: "no host can take over: b, c: its role is restoring" } }]);
  });

  test("a failover of a healthy primary needs force", () => {
    const s = Scenario.serving().send({
      kind: "command",
      id: "1",
      command: { kind: "failover", target: undefined, force: false },
    });
    expect(s.all("reply")).toMatchObject([{ outcome: { kind: "refused" } }]);
    s.send({ kind: "command", id: "2", command: { kind: "failover", target: "c", force: true } });
    expect(s.all("promote")).toMatchObject([{ host: "c", planned: true }]);
  });

  test("a failover can be ordered while automation is paused and the primary is down", () => {
    const s = Scenario.serving()
      .send({ kind: "command", id: "1", command: { kind: "pause" } })
      .refused("a")
      .refused("a");
    s.send({ kind: "command", id: "2", command: { kind: "failover", target: undefined, force: false } });
    expect(s.all("promote")).toMatchObject([{ host: "b", planned: false }]);
  });

  test("a host that is removed while it is being promoted is replaced", () => {
    const s = Scenario.serving().refused("a").refused("a");
    s.register("a", "c");
    expect(s.take("promote")).toMatchObject([{ host: "b" }, { host: "c" }]);
  });
});

function fail(): never {
  throw new Error("the host has no report");
}

test("a candidate that claimed and died, and comes back when no other host is there, is asked to follow its own claim", () => {
  const s = Scenario.serving().register("a", "b");
  s.refused("a").refused("a");
  expect(s.take("promote")).toMatchObject([{ host: "b", epoch: 1 }]);
  s.hears("b", { role: "starting", epoch: 2, epochHost: "b" });
  s.send({ kind: "call-lost", call: s.call, why: "reset" }).refused("b").refused("b");
  expect(s.phase).toBe("down");
  s.take("promote");
  s.after(2000);
  for (let times = 0; times < 3; times++) s.hears("b", { role: "secondary", epoch: 2, epochHost: "b" });
  s.after(1000).hears("b", { role: "secondary", epoch: 2, epochHost: "b" });
  expect(s.take("promote").map(({ host, epoch }) => ({ host, epoch }))).toEqual([{ host: "b", epoch: 2 }]);
});

describe("a primary that alone cannot reach the vault", () => {
  test("is lost when a secondary can reach it", () => {
    const s = Scenario.serving();
    for (let second = 0; second < 3; second += 1) s.after(1000).hears("b", { vaultSilentMs: 10 });
    const silent = { role: "primary", vaultSilentMs: 3001 } as const;
    s.hears("a", silent).hears("a", silent);
    expect(s.phase).toBe("promoting");
    expect(s.all("promote")).toMatchObject([{ host: "b", planned: false }]);
  });

  test("is not lost when every host was paused for as long, and the secondary's probe is the first to succeed afterwards", () => {
    const s = Scenario.serving();
    s.after(5000);
    const silent = { role: "primary", vaultSilentMs: 5001 } as const;
    s.hears("b", { vaultSilentMs: 10 }).hears("c", { vaultSilentMs: 10 }).hears("a", silent).hears("a", silent);
    s.hears("a", { role: "primary" });
    expect(s.phase).toBe("serving");
    expect(s.all("promote")).toEqual([]);
  });

  test("is given three leases", () => {
    const s = Scenario.serving();
    const silent = { role: "primary", vaultSilentMs: 3000 } as const;
    s.hears("b", { vaultSilentMs: 10 }).hears("a", silent).hears("a", silent);
    expect(s.phase).toBe("serving");
  });

  test("stays primary while no other host reaches the vault either", () => {
    const s = Scenario.serving();
    const silent = { role: "primary", vaultSilentMs: 60_000 } as const;
    for (const other of ["b", "c"]) s.hears(other, { vaultSilentMs: 60_000 });
    s.hears("a", silent).hears("a", silent).hears("a", silent);
    expect(s.phase).toBe("serving");
    expect(s.all("promote")).toEqual([]);
  });
});

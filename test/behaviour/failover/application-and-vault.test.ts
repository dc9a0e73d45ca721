/** Rows of the table of what misbehaving applications, disks and vaults do, as decisions of a gateway. */
import { describe, expect, test } from "bun:test";
import { dryRun } from "../../../src/core/failover/command.ts";
import { wakeAt } from "../../../src/core/failover/failover.ts";
import type { HostReport } from "../../../src/core/failover/state.ts";
import { withoutRule, allRules, type Rules } from "../../../src/core/rules.ts";
import { Scenario } from "../../support/core/failover-scenario.ts";

const healthy: HostReport["vault"] = { id: "v1", wroteMs: 200, writeError: undefined, latencyMs: 3 };
const readOnly: HostReport["vault"] = { id: "v1", wroteMs: undefined, writeError: "EROFS", latencyMs: undefined };

/** Hosts continue to report, so that what they say stays fresh. */
function quarterSeconds(s: Scenario, count: number, say: (at: number) => void): void {
  for (let at = 0; at < count; at++) {
    s.after(250);
    say(at);
  }
}

describe("a host on a stale copy of the vault", () => {
  function withStale(): Scenario {
    const s = Scenario.serving();
    quarterSeconds(s, 16, (at) =>
      s
        .hears("a", { role: "primary", position: 20 + at })
        .hears("b", { position: 20 + at })
        .hears("c", { position: 12, priority: 50 }),
    );
    s.effects = [];
    return s;
  }

  test("is not chosen over one that has the records, whatever its priority", () => {
    const s = withStale().refused("a").refused("a");
    expect(s.all("promote")).toMatchObject([{ host: "b", positionHeard: 35 }]);
  });

  test("is named the position that the primary was heard at, when there is no other host", () => {
    const s = withStale().refused("b").refused("b").refused("a").refused("a");
    expect(s.take("promote")).toMatchObject([{ host: "c", positionHeard: 35 }]);
    s.send({
      kind: "call-refused",
      call: s.call,
      refusal: { kind: "other_log", reason: "your vault lost records: 12 of 35" },
    });
    expect(s.phase).toBe("down");
    expect(s.all("record-event").filter(({ level }) => level === "error")).toMatchObject([
      { what: "other-log", host: "c" },
    ]);
    expect(s.state.phase).toMatchObject({
      because: { kind: "no-candidate", why: expect.stringContaining("your vault lost records") },
    });
  });

  test("is set aside when it refuses, and the next one is asked", () => {
    const s = Scenario.serving().hears("c", { priority: 50 }).refused("a").refused("a");
    s.send({ kind: "call-refused", call: s.call, refusal: { kind: "other_log", reason: "your vault lost records" } });
    expect(s.take("promote")).toMatchObject([{ host: "c" }, { host: "b" }]);
  });

  test("is asked without the evidence when an operator forces exactly it", () => {
    const s = withStale().send({ kind: "command", id: "1", command: { kind: "failover", target: "c", force: true } });
    expect(s.all("promote")).toMatchObject([{ host: "c", planned: true, positionHeard: 0, vault: undefined }]);
  });

  test("is told by a peer's word too: a gateway that never heard the primary orders with its position", () => {
    const s = new Scenario().register("a", "b").send({ kind: "gateways", ids: ["g1", "g2"] });
    s.hears("b", { epoch: 4, epochHost: "a" });
    const view = { gateway: "g2", at: s.now, epoch: 4, sees: "down" as const };
    s.send({ kind: "peer-view", view, primary: "a", heard: { epoch: 4, position: 31, vault: "v1" } });
    s.refused("a").refused("a").after(60);
    expect(s.all("promote")).toMatchObject([{ host: "b", positionHeard: 31, vault: "v1" }]);
  });

  test("with another identity is no candidate at all", () => {
    const s = Scenario.serving()
      .hears("a", { role: "primary", vault: healthy })
      .hears("b", { vault: { ...healthy, id: "v2" }, priority: 9 });
    s.refused("a").refused("a");
    expect(s.all("promote")).toMatchObject([{ host: "c", vault: "v1" }]);
  });
});

test("a host that is three records behind at this instant is chosen by its priority all the same", () => {
  const s = Scenario.serving();
  quarterSeconds(s, 16, (at) =>
    s
      .hears("a", { role: "primary", position: 20 + 4 * at })
      .hears("b", { position: 20 + 4 * at })
      .hears("c", { position: 17 + 4 * at, priority: 5 }),
  );
  s.refused("a").refused("a");
  expect(s.all("promote")).toMatchObject([{ host: "c" }]);
});

describe("a host that could not stay primary", () => {
  const retry = (inMs: number): Partial<HostReport> => ({
    retry: { reason: "application ended 4 times", inMs, attempts: 1 },
  });

  test("is asked after all others, whatever its priority", () => {
    const s = Scenario.serving()
      .hears("b", { ...retry(0), priority: 50 })
      .refused("a")
      .refused("a");
    expect(s.all("promote")).toMatchObject([{ host: "c" }]);
  });

  test("is asked when no other is there and its time has come, not before", () => {
    const s = Scenario.serving().hears("b", retry(2_000)).refused("c").refused("c").refused("a").refused("a");
    expect(s.phase).toBe("down");
    expect(dryRun(s.state, s.now).whyNot).toContainEqual({
      host: "b",
      why: "it could not stay primary (application ended 4 times), and is asked again in 2 s",
    });
    expect(wakeAt(s.state, s.now + 1_500)).toBe(s.now + 2_000);
    s.after(1_999).hears("b", retry(1));
    expect(s.all("promote")).toEqual([]);
    s.after(1);
    expect(s.all("promote")).toMatchObject([{ host: "b" }]);
  });

  test("is asked at once when an operator forces it", () => {
    const s = Scenario.serving().hears("b", retry(30_000));
    s.send({ kind: "command", id: "1", command: { kind: "failover", target: "b", force: true } });
    expect(s.all("promote")).toMatchObject([{ host: "b" }]);
  });
});

describe("a candidate that can read the vault and not write it", () => {
  test("is not ordered", () => {
    const s = Scenario.serving().hears("b", { vault: readOnly, priority: 9 }).refused("a").refused("a");
    expect(s.all("promote")).toMatchObject([{ host: "c" }]);
    expect(dryRun(s.state, s.now).whyNot).toContainEqual({ host: "b", why: "it cannot write its vault: EROFS" });
  });

  function claimsForEver(): Scenario {
    const s = Scenario.serving().refused("a").refused("a");
    expect(s.take("promote")).toMatchObject([{ host: "b" }]);
    return s;
  }

  test("and does not say so is given up after the time for a claim, named, and the next one is asked", () => {
    const s = claimsForEver();
    quarterSeconds(s, 19, () => s.hears("b", { role: "claiming" }).hears("c"));
    expect(s.phase).toBe("promoting");
    expect(s.all("promote")).toEqual([]);
    s.after(250);
    expect(s.all("cancel")).toHaveLength(1);
    expect(s.all("record-event").filter(({ what }) => what === "promotion-stuck")).toMatchObject([
      { level: "error", host: "b", detail: expect.stringContaining("did not claim the next epoch within 5 s") },
    ]);
    expect(s.all("promote")).toMatchObject([{ host: "c" }]);
  });

  test("wakes the gateway by itself", () => {
    const s = claimsForEver();
    expect(wakeAt(s.state, s.now)).toBe(s.now + 5_000);
  });

  test("is overtaken by an operator's force at once", () => {
    const s = claimsForEver();
    s.hears("b", { role: "claiming" });
    s.send({ kind: "command", id: "1", command: { kind: "failover", target: "c", force: false } });
    expect(s.all("reply")).toMatchObject([
      { outcome: { kind: "refused", advice: expect.stringContaining("--force") } },
    ]);
    s.send({ kind: "command", id: "2", command: { kind: "failover", target: "c", force: true } });
    expect(s.all("cancel")).toHaveLength(1);
    expect(s.all("promote")).toMatchObject([{ host: "c", planned: true }]);
    s.send({ kind: "promoted", call: s.call, epoch: 2, dataUrl: "http://127.0.0.1:2" });
    expect(s.all("reply")).toMatchObject([{ id: "1" }, { id: "2", outcome: { kind: "done", primary: "c" } }]);
  });

  test("is waited for while it reads on in a long log", () => {
    const s = claimsForEver();
    quarterSeconds(s, 80, (at) => s.hears("b", { role: "claiming", position: 100 + at }).hears("c"));
    expect(s.phase).toBe("promoting");
    expect(s.all("promote")).toEqual([]);
  });
});

describe("a candidate that has claimed", () => {
  const starting = (change: Partial<HostReport> = {}): Partial<HostReport> => ({
    role: "starting",
    epoch: 2,
    epochHost: "b",
    ...change,
  });

  test("is given as long as its application says that it starts", () => {
    const s = Scenario.serving().refused("a").refused("a");
    s.send({ kind: "phase-ended", call: s.call, phase: "claim", ms: 5 })
      .send({ kind: "phase-ended", call: s.call, phase: "catch-up", ms: 5 })
      .take("promote");
    quarterSeconds(s, 4 * 300, () =>
      s
        .hears("b", starting({ application: { state: "starting", restarts: 0 } }))
        .hears("c", { epoch: 2, epochHost: "b" }),
    );
    expect(s.phase).toBe("promoting");
    expect(s.all("promote")).toEqual([]);
  });

  test("and makes no progress is followed by a planned order, because its witness would call it well", () => {
    const s = Scenario.serving().refused("a").refused("a");
    s.send({ kind: "phase-ended", call: s.call, phase: "claim", ms: 5 }).take("promote");
    quarterSeconds(s, 4 * 31, () =>
      s
        .hears("b", starting({ application: { state: "stopped", restarts: 0 } }))
        .hears("c", { epoch: 2, epochHost: "b" }),
    );
    expect(s.all("promote")).toMatchObject([{ host: "c", epoch: 2, planned: true }]);
  });

  test("is waited for when no other host could take over", () => {
    const s = Scenario.serving().refused("c").refused("c").refused("a").refused("a");
    s.send({ kind: "phase-ended", call: s.call, phase: "claim", ms: 5 }).take("promote");
    quarterSeconds(s, 4 * 100, () => s.hears("b", starting({ application: { state: "stopped", restarts: 0 } })));
    expect(s.phase).toBe("promoting");
    expect(s.all("record-event").filter(({ what }) => what === "promotion-stuck")).toHaveLength(1);
  });
});

describe("a cause that every new primary meets after a second", () => {
  /**
   * Hosts take turns; each new primary steps down after a second with the same words. Answers the epochs of the first
   * 15 s.
   */
  function epochsWithin(
    ms: number,
    rules: Rules,
    stepDown: (s: Scenario, host: string, epoch: number) => void,
  ): number {
    const s = Scenario.serving({}, rules);
    const began = s.now;
    let epoch = 1;
    let primary = "a";
    let since = s.now;
    while (s.now - began < ms) {
      s.after(50);
      const lost = s.now - since >= 1_000;
      for (const id of ["a", "b", "c"]) {
        if (id !== primary) s.hears(id, { epoch, epochHost: primary, instance: `${id}-1` });
        else if (lost) stepDown(s, id, epoch);
        else s.hears(id, { role: "primary", epoch, epochHost: primary });
      }
      const [order] = s.take("promote");
      if (order === undefined) continue;
      epoch += 1;
      primary = order.host;
      since = s.now;
      s.send({ kind: "promoted", call: order.call, epoch, dataUrl: `http://127.0.0.1:1/${primary}` });
    }
    return epoch;
  }
  const descriptors = (s: Scenario, host: string, epoch: number): void =>
    void s.hears(host, { role: "restoring", reason: `too many open files (pid ${epoch})`, epoch, epochHost: host });

  test("costs at most five epochs in the first 15 s", () => {
    expect(epochsWithin(15_000, allRules, descriptors)).toBeLessThanOrEqual(5);
  });

  test("without the brake costs an epoch per second: the mutant", () => {
    expect(epochsWithin(15_000, withoutRule("brake"), descriptors)).toBeGreaterThan(12);
  });

  test("is named in an event of level error and in the reason, the pause ends by itself, and an operator's order passes it", () => {
    const s = Scenario.serving();
    for (const [epoch, host, next] of [
      [1, "a", "b"],
      [2, "b", "c"],
    ] as const) {
      s.after(1_000)
        .hears(next, { epoch, epochHost: host })
        .hears(host, { role: "restoring", reason: "too many open files", epoch, epochHost: host });
      s.send({ kind: "promoted", call: s.call, epoch: epoch + 1, dataUrl: "http://127.0.0.1:2" });
      s.hears(next, { role: "primary", epoch: epoch + 1, epochHost: next });
    }
    s.after(1_000).take("record-event");
    s.hears("a", { epoch: 3, epochHost: "c" }).hears("c", {
      role: "restoring",
      reason: "too many open files",
      epoch: 3,
      epochHost: "c",
    });
    expect(s.phase).toBe("down");
    const told = s.all("record-event").filter(({ level }) => level === "error");
    expect(told).toMatchObject([
      { what: "failover-braked", detail: expect.stringContaining("epoch 3 is the third in 2 s: too many open files") },
    ]);
    expect(wakeAt(s.state, s.now)).toBe(s.now + 1_000);
    s.send({ kind: "command", id: "1", command: { kind: "failover", target: undefined, force: false } });
    expect(s.all("promote")).toMatchObject([{ host: "a", epoch: 3 }]);
  });

  test("is braked by a gateway that only heard of the epochs before", () => {
    const s = Scenario.serving();
    for (const [epoch, host, next] of [
      [1, "a", "b"],
      [2, "b", "c"],
    ] as const) {
      s.send({ kind: "command", id: "p", command: { kind: "pause" } });
      s.after(1_000).hears(host, { role: "restoring", reason: "too many open files", epoch, epochHost: host });
      s.after(100).hears(next, { role: "primary", epoch: epoch + 1, epochHost: next });
      s.send({ kind: "command", id: "r", command: { kind: "resume" } });
    }
    s.after(1_000).hears("a", { epoch: 3, epochHost: "c" }).take("promote");
    s.hears("c", { role: "restoring", reason: "too many open files", epoch: 3, epochHost: "c" });
    expect(s.all("promote")).toEqual([]);
    expect(s.phase).toBe("down");
  });

  test("is no cause that a gateway hears of when it has just started, and hosts that restore read past epochs one after the other", () => {
    const s = new Scenario().register("a", "b");
    for (let epoch = 1; epoch <= 8; epoch++) {
      const owner = epoch % 2 === 0 ? "a" : "b";
      for (const id of ["a", "b"])
        s.after(20).hears(id, { role: "restoring", reason: "starting", epoch, epochHost: owner });
    }
    for (const id of ["a", "b"]) s.hears(id, { epoch: 8, epochHost: "a" });
    s.after(3_000);
    for (const id of ["a", "b"]) s.hears(id, { epoch: 8, epochHost: "a" });
    expect(s.all("record-event").filter(({ what }) => what === "failover-braked")).toEqual([]);
    expect(s.all("promote").length).toBeGreaterThan(0);
  });
});

test("a kill after a kill is answered at once, three times and more, when each primary had served for a moment", () => {
  const s = Scenario.serving();
  for (let epoch = 1; epoch < 8; epoch++) {
    const primary = s.state.primary?.host ?? "";
    for (const id of ["a", "b", "c"]) if (id !== primary) s.hears(id, { epoch, epochHost: primary });
    s.refused(primary).refused(primary);
    expect(s.phase).toBe("promoting");
    const [order] = s.take("promote");
    s.send({ kind: "promoted", call: s.call, epoch: epoch + 1, dataUrl: "http://127.0.0.1:2" });
    s.after(3_000)
      .hears(primary, { epoch: epoch + 1, epochHost: order?.host ?? "" })
      .hears(primary, { epoch: epoch + 1, epochHost: order?.host ?? "" });
  }
});

describe("a vault that is away for every host", () => {
  const silent = (ms: number): Partial<HostReport> => ({ vaultSilentMs: ms });

  test("for 6 s replaces no primary, also when a secondary's look succeeds first as it comes back", () => {
    const s = Scenario.serving();
    quarterSeconds(s, 24, (at) => {
      const ms = 250 * (at + 1);
      s.hears("a", { role: "primary", ...silent(ms) })
        .hears("b", silent(ms))
        .hears("c", silent(ms));
    });
    quarterSeconds(s, 8, (at) =>
      s
        .hears("b", silent(5))
        .hears("c", silent(5))
        .hears("a", { role: "primary", ...silent(6_250 + 250 * at) }),
    );
    s.hears("a", { role: "primary", ...silent(5) });
    expect(s.phase).toBe("serving");
    expect(s.all("promote")).toEqual([]);
  });

  test("is told after 10 s, once, and when it is back", () => {
    const s = Scenario.serving();
    quarterSeconds(s, 60, (at) => {
      const ms = 250 * (at + 1);
      s.hears("a", { role: "primary", ...silent(ms) })
        .hears("b", silent(ms))
        .hears("c", silent(ms));
    });
    expect(s.state.vault.kind).toBe("away");
    for (const id of ["b", "c", "a"]) s.hears(id, id === "a" ? { role: "primary" } : {});
    expect(s.all("record-event").map(({ level, what }) => `${level} ${what}`)).toEqual([
      "error vault-away",
      "info vault-back",
    ]);
  });

  test("is not lost to a secondary that only reads an empty folder where the vault was", () => {
    const s = Scenario.serving();
    const cannotWrite = { vault: { ...healthy, wroteMs: 9_000, writeError: "ENOENT" } };
    quarterSeconds(s, 40, (at) =>
      s
        .hears("b", cannotWrite)
        .hears("c", cannotWrite)
        .hears("a", { role: "primary", ...silent(250 * (at + 1)) }),
    );
    expect(s.phase).toBe("serving");
    expect(s.all("promote")).toEqual([]);
  });

  test("is not lost to a secondary that wrote just before, and reads an empty folder until its next write is due", () => {
    const s = Scenario.serving();
    quarterSeconds(s, 20, (at) => {
      const ms = 250 * (at + 1);
      // Both wrote within the same 100 ms, then the folder was gone.
      const wroteBefore = { vault: { ...healthy, wroteMs: ms - 100 } };
      s.hears("b", wroteBefore)
        .hears("c", wroteBefore)
        .hears("a", { role: "primary", ...silent(ms) });
    });
    expect(s.phase).toBe("serving");
    expect(s.all("promote")).toEqual([]);
  });

  test("is lost to a secondary that wrote while the primary's next record was due and could not be put", () => {
    const s = Scenario.serving();
    quarterSeconds(s, 20, (at) => {
      const ms = 250 * (at + 1);
      const wroteMeanwhile = { vault: { ...healthy, wroteMs: Math.max(0, ms - 1_250) } };
      s.hears("b", wroteMeanwhile)
        .hears("c", wroteMeanwhile)
        .hears("a", { role: "primary", ...silent(ms) });
    });
    expect(s.all("promote")).not.toEqual([]);
  });

  test("when its primary dies too, no host is ordered until one can write it", () => {
    const s = Scenario.serving()
      .hears("b", { vault: readOnly })
      .hears("c", { vault: readOnly })
      .refused("a")
      .refused("a");
    expect(s.phase).toBe("down");
    s.after(3_000).hears("c", { vault: healthy });
    expect(s.all("promote")).toMatchObject([{ host: "c" }]);
  });

  test("and slow for 30 s is a state of its own", () => {
    const s = Scenario.serving();
    const slow = { vault: { ...healthy, latencyMs: 3_000 } };
    quarterSeconds(s, 119, () =>
      s
        .hears("a", { role: "primary", ...slow })
        .hears("b")
        .hears("c"),
    );
    expect(s.all("record-event")).toEqual([]);
    quarterSeconds(s, 3, () =>
      s
        .hears("a", { role: "primary", ...slow })
        .hears("b")
        .hears("c"),
    );
    expect(s.all("record-event")).toMatchObject([{ level: "error", what: "vault-slow" }]);
  });
});

describe("an impaired primary", () => {
  const disk = (forMs: number): Partial<HostReport> => ({
    role: "primary",
    impairments: [{ kind: "disk", reason: "the data folder is read-only", forMs }],
  });

  test("steps down for a candidate that is better off, with the reason and the epoch", () => {
    const s = Scenario.serving().hears("a", disk(1_000));
    expect(s.phase).toBe("demoting");
    expect(s.all("demote")).toMatchObject([
      { host: "a", successor: "b", epoch: 1, reason: "its disk is impaired: the data folder is read-only" },
    ]);
    s.send({ kind: "demoted", call: s.call });
    expect(s.all("promote")).toMatchObject([{ host: "b", planned: true }]);
  });

  test("stays when no other host is better off, and says so once", () => {
    const s = Scenario.serving();
    for (const id of ["b", "c"]) s.hears(id, { impairments: [{ kind: "disk", reason: "it is full", forMs: 9_000 }] });
    quarterSeconds(s, 8, (at) => s.hears("a", disk(1_000 + 250 * at)));
    expect(s.phase).toBe("serving");
    expect(s.state.stays).toContain("no host is in better condition");
    expect(s.all("record-event")).toMatchObject([{ level: "error", what: "primary-impaired" }]);
    s.hears("a", { role: "primary" });
    expect(s.state.stays).toBeUndefined();
  });

  test("that does not get on with stepping down is promoted over", () => {
    const s = Scenario.serving().hears("a", disk(1_000));
    quarterSeconds(s, 60, () =>
      s
        .hears("a", { ...disk(2_000), role: "draining" })
        .hears("b")
        .hears("c"),
    );
    expect(s.all("promote")).toMatchObject([{ host: "b", planned: true }]);
  });

  test("that refuses is left alone for a while", () => {
    const s = Scenario.serving().hears("a", disk(1_000));
    s.send({ kind: "call-refused", call: s.call, refusal: { kind: "not_ready", reason: "no" } }).take("demote");
    quarterSeconds(s, 8, () => s.hears("a", disk(3_000)).hears("b").hears("c"));
    expect(s.phase).toBe("serving");
    expect(s.all("demote")).toEqual([]);
  });

  test("is not moved while automation is paused", () => {
    const s = Scenario.serving()
      .send({ kind: "command", id: "p", command: { kind: "pause" } })
      .hears("a", disk(1_000));
    expect(s.phase).toBe("serving");
    expect(s.state.stays).toContain("paused");
  });
});

test("an order to step down names the epoch that it means", () => {
  const s = Scenario.serving().send({ kind: "command", id: "1", command: { kind: "switchover", target: undefined } });
  expect(s.all("demote")).toMatchObject([{ host: "a", epoch: 1 }]);
});

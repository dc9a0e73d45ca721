/** The driver with real stages over a vault in memory; each effect of its step shows in a transcript. */
import { afterEach, describe, expect, test } from "bun:test";
import type { DemoteEvent, PromoteEvent } from "../../src/control/host-api.ts";
import { IllegalHostTransition } from "../../src/core/host/life.ts";
import { newestRecordFormat } from "../../src/core/record-format.ts";
import { allRules } from "../../src/core/rules.ts";
import { Promotion } from "../../src/host/control/promotion.ts";
import { Driver } from "../../src/host/driver.ts";
import { Hooks } from "../../src/host/hooks.ts";
import type { HookRunner } from "../../src/host/ports/hook.ts";
import type { HostPorts } from "../../src/host/host-ports.ts";
import type { PreparedRewind } from "../../src/host/primary/prepared-rewind.ts";
import { Warnings } from "../../src/host/ports/warnings.ts";
import type { Marker } from "../../src/host/secondary/local-data.ts";
import { LogStatus } from "../../src/host/secondary/log-status.ts";
import { noMetrics } from "../../src/metrics/metrics.ts";
import { systemRandom } from "../../src/runtime/random.ts";
import { logKey } from "../../src/vault/log/log-key.ts";
import { MemoryStore } from "../../src/vault/store/memory-store.ts";
import { configOf, FakeApplication, FakeFront } from "../support/host/fake-parts.ts";
import { FakeSource } from "../support/host/fake-source.ts";
import { claimAs, logIn, readerFromStart } from "../support/host/log-fixture.ts";
import { ManualClock } from "../support/http/manual-clock.ts";
import { FaultyStore } from "../support/vault/faulty-store.ts";

const instance = "a-1";
const drivers: Rig[] = [];
afterEach(async () => {
  for (const rig of drivers.splice(0)) await rig.during(rig.driver.close("the test is over"));
});

/** A driver with fake parts around it. */
class Rig {
  readonly clock = new ManualClock();
  readonly store = new FaultyStore(new MemoryStore());
  readonly front = new FakeFront();
  readonly applications: FakeApplication[] = [];
  /** What the driver and its parts did, in order. */
  readonly story: string[] = [];
  readonly promoted: PromoteEvent[] = [];
  readonly demoted: DemoteEvent[] = [];
  changes = 0;
  bootstrap: boolean;
  /** Called when the front is aborted, in the middle of a step's effects. */
  onShutGate: () => void = () => undefined;
  onReplicaClose: () => Promise<void> = () => Promise.resolve();
  onHandOver: () => void = () => undefined;
  /** A restore looks for leftovers first, and touches nothing before this resolves. */
  onRestore: () => Promise<void> = () => Promise.resolve();
  /** Applications do not become ready before it resolves; one that is killed does not start. */
  start: Promise<void> = Promise.resolve();
  survivesKill = false;
  /** How hooks end; by default there are none. */
  onHook: HookRunner = () => undefined;
  readonly hooks: Hooks;
  readonly logStatus: LogStatus;
  readonly warnings: Warnings;
  readonly driver: Driver;

  constructor(bootstrap = true) {
    this.bootstrap = bootstrap;
    const { clock, front, story } = this;
    drivers.push(this);
    const log = {
      info: (text: string) => void story.push(text),
      warn: (text: string) => void story.push(`warning: ${text}`),
      error: (text: string, fields?: object) => void story.push(`error: ${text} ${JSON.stringify(fields)}`),
    };
    front.abort = (reason?: string) => {
      front.term = undefined;
      story.push(`gate shut: ${reason}`);
      this.onShutGate();
    };
    this.warnings = new Warnings(log, () => undefined);
    this.logStatus = new LogStatus({
      clock,
      host: "a",
      instance,
      onDuplicateId: (url) => this.driver.onDuplicateId(url),
    });
    this.hooks = new Hooks({
      config: { service: "notes", id: "a", dataFolder: "/data" },
      clock,
      run: (call) => {
        const end = this.onHook(call);
        if (end !== undefined) story.push(`hook ${call.hook} ${call.epoch}`);
        return end;
      },
      onWarning: (text) => void this.warnings.warn(text),
      onChange: () => undefined,
    });
    this.driver = new Driver({
      hooks: this.hooks,
      ports: this.#ports(log),
      instance,
      logStatus: this.logStatus,
      warnings: this.warnings,
      recordFormat: () => newestRecordFormat,
      readExclusions: () => Promise.resolve(),
      onChange: () => (this.changes += 1),
      dataUrl: () => "http://a",
      promoteItself: () => void story.push("promote itself"),
      abortRehearsal: (reason) => void story.push(`rehearsal aborted: ${reason}`),
    });
  }

  #ports(log: HostPorts["log"]): HostPorts {
    const { clock, store, front, story } = this;
    const config = configOf("/nowhere", { bootstrap: this.bootstrap, leaseMs: 3_000 });
    return {
      ...{ config, clock, log, store, front, random: systemRandom, rules: allRules, metrics: noMetrics },
      ...{ vaultLog: logIn(store), vaultId: undefined, logKind: "objects", canary: undefined, rehearsal: undefined },
      local: {
        mark: (marker: Marker) => Promise.resolve(void story.push(`marked ${marker.kind}`)),
        moveAway: () => Promise.resolve({ kind: "secondary" } as const),
        previousChecksums: () => Promise.resolve(new Map()),
        forgetPrevious: () => Promise.resolve(),
        setAsidePrevious: () => Promise.resolve("aside"),
        setAsides: () => Promise.resolve(["aside-1"]),
      },
      predecessor: { ask: () => Promise.resolve({ kind: "gone" }) },
      openReplica: () =>
        Promise.resolve({
          apply: () => Promise.resolve(),
          checksums: () => new Map(),
          load: () => Promise.resolve(),
          handOver: () => {
            this.onHandOver();
            return new Map();
          },
          close: () => {
            story.push("replica closed");
            return this.onReplicaClose();
          },
        }),
      openSource: () => Promise.resolve(new FakeSource()),
      localChunk: () => Promise.resolve(undefined),
      application: ({ onGaveUp }) => {
        const application = new FakeApplication(onGaveUp);
        const killed = Promise.withResolvers<void>();
        const [start, kill] = [application.start.bind(application), application.kill.bind(application)];
        application.start = (port) => Promise.race([this.start, killed.promise]).then(() => start(port));
        application.kill = () => {
          if (!this.survivesKill) killed.reject(new Error("killed"));
          return kill();
        };
        killed.promise.catch(() => undefined);
        const stop = application.stop.bind(application);
        application.stop = () => stop().then(() => void story.push("application stopped"));
        this.applications.push(application);
        return application;
      },
      freePort: () => Promise.resolve(1),
      leftovers: {
        ensureNone: async () => {
          story.push("restoring");
          await this.onRestore();
          return true;
        },
        obstacle: () => undefined,
      },
      clean: () => Promise.resolve(),
    };
  }

  /** Lets virtual time pass until the condition holds. */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise((resolve) => setImmediate(resolve));
      this.clock.advance(1);
    }
  }

  /** Lets virtual time pass until the work is done. */
  async during<T>(work: Promise<T>): Promise<T> {
    let isOver = false;
    const watched = work.finally(() => (isOver = true));
    watched.catch(() => undefined);
    await this.until(() => isOver);
    return watched;
  }

  /** Gives everything that can proceed the time to do so. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 30; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  }

  reach(kind: string): Promise<void> {
    return this.until(() => this.driver.state.kind === kind);
  }

  async asSecondary(): Promise<this> {
    this.driver.start();
    await this.reach("secondary");
    return this;
  }

  async asPrimary(): Promise<this> {
    await this.asSecondary();
    await this.during(this.promote());
    return this;
  }

  promote(): Promise<void> {
    return this.driver.promote(new Promotion(this.clock, (event) => this.promoted.push(event)), 0);
  }

  demote(successor?: string): Promise<void> {
    return this.during(this.driver.demote(successor, "an operator asks", (event) => this.demoted.push(event)));
  }

  /** The story since the last call. */
  told(): string[] {
    return this.story.splice(0);
  }

  async records(): Promise<string[]> {
    const reader = readerFromStart(this.store);
    const kinds: string[] = [];
    for (let record = await reader.next(); record !== undefined; record = await reader.next())
      kinds.push(`${record.header.host} ${record.body.kind}`);
    return kinds;
  }
}

describe("from the start to a term", () => {
  test("a host that bootstrapped the vault follows, and then orders itself to become primary", async () => {
    const rig = new Rig();
    expect(rig.driver.state.kind).toBe("restoring");
    expect(rig.story).toEqual([]);
    await rig.asSecondary();
    expect(rig.told()).toEqual([
      "restoring",
      "bootstrapped the vault",
      "marked secondary",
      "marked secondary",
      "restoring -> secondary",
      "promote itself",
    ]);
    expect(rig.driver.secondary).toBeDefined();
    expect(rig.driver.term).toBeUndefined();
    expect(rig.driver.setAsides).toEqual(["aside-1"]);
  });

  test("a secondary follows the log, and reports what it reads", async () => {
    const rig = await new Rig().asSecondary();
    rig.warnings.warn("the vault cannot be read", "vault");
    const changes = rig.changes;
    await claimAs(rig.store, "b");
    await rig.until(() => rig.logStatus.epoch !== undefined);
    expect(rig.logStatus.epoch).toMatchObject({ epoch: 1, host: "b" });
    expect(rig.changes).toBeGreaterThan(changes);
    expect(rig.warnings.texts).toEqual([]);
  });

  test("a promotion claims, takes the databases over, and serves; its order is answered", async () => {
    const rig = await new Rig().asSecondary();
    const { secondary } = rig.driver;
    rig.told();
    const opened = Promise.withResolvers<void>();
    rig.start = opened.promise;
    const answered = rig.promote();
    await rig.reach("starting");
    expect(rig.front.term).toBeUndefined();
    expect(secondary).toBeDefined();
    await rig.until(() => rig.driver.term !== undefined);
    expect(rig.driver.secondary).toBeUndefined();
    expect(rig.logStatus.epoch).toMatchObject({ epoch: 1, host: "a", instance });
    opened.resolve();
    await rig.during(answered);
    expect(rig.driver.state).toMatchObject({ kind: "primary", epoch: 1 });
    expect(rig.front.term?.epoch).toBe(1);
    expect(rig.told()).toEqual([
      "secondary -> claiming",
      "rehearsal aborted: this host is claiming",
      "claiming -> starting",
      "replica closed",
      "marked primary",
      "starting -> primary",
    ]);
    expect(rig.promoted.slice(0, -1).map((event) => ("phase" in event ? event.phase : event.kind))).toEqual([
      ...(["claim", "catch-up", "start", "lease", "ready"] as const),
    ]);
    expect(rig.promoted.at(-1)).toEqual({ kind: "done", epoch: 1, position: expect.any(Number), dataUrl: "http://a" });
    expect(await rig.records()).toContain("a epoch");
  });

  test("a claim over an epoch that is not the highest any more is refused, and following continues", async () => {
    const rig = await new Rig().asSecondary();
    await claimAs(rig.store, "b");
    await rig.until(() => rig.logStatus.epoch !== undefined);
    await rig.during(rig.promote());
    expect(rig.promoted.at(-1)).toEqual({ kind: "refused", refusal: { kind: "epoch_taken", epoch: 1, host: "b" } });
    expect(rig.driver.state.kind).toBe("secondary");
    await claimAs(rig.store, "c");
    await rig.until(() => rig.logStatus.epoch?.host === "c");
    expect(rig.driver.term).toBeUndefined();
  });
});

describe("an event", () => {
  test("has its effects performed in the order of the step, in the state that it leads to", async () => {
    const rig = await new Rig().asSecondary();
    rig.start = new Promise(() => undefined);
    const answered = rig.promote();
    await rig.until(() => rig.applications.length > 0);
    rig.told();
    const seen: string[] = [];
    rig.onShutGate = () => seen.push(rig.driver.state.kind, `${rig.promoted.some(({ kind }) => kind === "refused")}`);
    rig.driver.take({ kind: "must-stop", reason: "a commit was missed" });
    expect(seen).toEqual(["restoring", "false"]);
    expect(rig.told()).toEqual([
      "starting -> restoring",
      "gate shut: a commit was missed",
      "warning: a commit was missed",
    ]);
    expect(rig.promoted.at(-1)).toEqual({
      kind: "refused",
      refusal: { kind: "not_ready", reason: "a commit was missed" },
    });
    await answered;
    expect(rig.driver.retry).toMatchObject({ attempts: 1, reason: "a commit was missed" });
  });

  test("that arrives while effects are performed is taken after them, in the order of arrival", async () => {
    const rig = await new Rig().asPrimary();
    rig.told();
    rig.onShutGate = () => {
      rig.onShutGate = () => undefined;
      for (const reason of ["first", "second"]) rig.driver.take({ kind: "restore-delayed", reason, isFailure: true });
      rig.driver.take({ kind: "broken", reason: "third" });
      expect(rig.driver.state).toEqual({ kind: "restoring", reason: "a commit was missed" });
    };
    rig.driver.take({ kind: "must-stop", reason: "a commit was missed" });
    expect(rig.driver.state).toEqual({ kind: "failed", reason: "third" });
    expect(rig.told()).toEqual([
      "primary -> restoring",
      "gate shut: a commit was missed",
      "warning: a commit was missed",
      "warning: first",
      "warning: second",
      "restoring -> failed",
      "gate shut: third",
    ]);
  });

  test("that is illegal throws and changes nothing; those that wait behind it are taken", async () => {
    const rig = await new Rig().asPrimary();
    const { changes } = rig;
    expect(() => rig.driver.take({ kind: "restored", bootstrapped: false })).toThrow(IllegalHostTransition);
    expect([rig.driver.state.kind, rig.changes]).toEqual(["primary", changes]);
    rig.onShutGate = () => {
      rig.onShutGate = () => undefined;
      rig.driver.take({ kind: "claimed", epoch: 7 });
      rig.driver.take({ kind: "broken", reason: "afterwards" });
    };
    expect(() => rig.driver.take({ kind: "must-stop", reason: "first" })).toThrow(IllegalHostTransition);
    expect(rig.driver.state).toEqual({ kind: "failed", reason: "afterwards" });
  });

  test("is announced once if it changes the life, and not if it is stale", async () => {
    const rig = await new Rig().asPrimary();
    await rig.settle();
    const { changes } = rig;
    rig.driver.take({ kind: "broken", reason: "an operator is needed" });
    expect(rig.changes).toBe(changes + 1);
    rig.driver.take({ kind: "fenced", host: "b", epoch: 2 });
    expect(rig.changes).toBe(changes + 1);
  });

  test("of a restore that only takes its time is logged; one of a failure is a warning until it is over", async () => {
    const rig = new Rig();
    rig.driver.start();
    rig.driver.take({ kind: "restore-delayed", reason: "checking a.db", isFailure: false });
    expect(rig.warnings.texts).toEqual([]);
    expect(rig.story).toContain("checking a.db");
    rig.driver.take({ kind: "restore-delayed", reason: "the disk is full", isFailure: true });
    expect(rig.warnings.texts).toEqual(["the disk is full"]);
    await rig.reach("secondary");
    expect(rig.warnings.texts).toEqual([]);
  });
});

describe("the end of a term", () => {
  test("in order drains, vacates, and lets the successor go first", async () => {
    const rig = await new Rig().asPrimary();
    const { term } = rig.driver;
    rig.told();
    await rig.demote("b");
    expect(rig.told()).toEqual([
      "primary -> draining",
      "application stopped",
      "stepped down",
      "draining -> restoring",
      "gate shut: stepped down",
    ]);
    const phases = rig.demoted.map((event) => (event.kind === "phase" ? event.phase : event));
    expect(phases).toEqual(["drain", "stop", "flush", "vacate", { kind: "done", position: term?.position ?? 0 }]);
    expect((await rig.records()).at(-1)).toBe("a vacate");
    expect(rig.logStatus.handover).toMatchObject({ to: "b" });
    // It waits for two records of the successor before it touches anything.
    const since = rig.clock.now();
    await rig.until(() => rig.clock.now() > since + 500);
    expect(rig.driver.term).toBe(term);
    const writer = await claimAs(rig.store, "b");
    await writer.append({ kind: "renew" });
    await rig.reach("secondary");
    expect([rig.driver.term, rig.logStatus.epoch?.host]).toEqual([undefined, "b"]);
    expect(rig.driver.noTermSince).toBeGreaterThan(since);
  });

  test("with a rewind that cannot be made is one without it, and says why", async () => {
    const rig = await new Rig().asPrimary();
    const prepared = { flush: () => Promise.reject(new Error("no room")) } as unknown as PreparedRewind;
    const told: DemoteEvent[] = [];
    await rig.during(rig.driver.demote(undefined, "an operator's rewind", (event) => told.push(event), prepared));
    expect(told.filter(({ kind }) => kind !== "phase").map(({ kind }) => kind)).toEqual(["not-rewound", "done"]);
    expect(told).toContainEqual({ kind: "not-rewound", reason: "no room" });
    expect(rig.warnings.texts).toContain("the rewind could not be made, the state is as it was: no room");
    expect((await rig.records()).at(-1)).toBe("a vacate");
    expect(rig.logStatus.rewound).toBeUndefined();
  });

  test("without a successor waits for none", async () => {
    const rig = await new Rig().asPrimary();
    await rig.demote();
    const since = rig.clock.now();
    await rig.reach("secondary");
    expect(rig.clock.now() - since).toBeLessThan(500);
    expect(rig.logStatus.handover).toBeUndefined();
    expect(rig.logStatus.epoch).toMatchObject({ vacated: true });
  });

  test("in order that fails shuts the gate, and refuses the order to step down", async () => {
    const rig = await new Rig().asPrimary();
    rig.front.drain = () => Promise.reject(new Error("no answer"));
    rig.told();
    await rig.demote("b");
    expect(rig.told().slice(0, 3)).toEqual([
      "primary -> draining",
      "draining -> restoring",
      "gate shut: stepping down failed: no answer",
    ]);
    expect(rig.demoted).toEqual([
      { kind: "refused", refusal: { kind: "not_ready", reason: "stepping down failed: no answer" } },
    ]);
    expect(await rig.records()).not.toContain("a vacate");
  });

  test("whose application gave up vacates, and restores only after that", async () => {
    const rig = await new Rig().asPrimary();
    const stopped = Promise.withResolvers<void>();
    const [application] = rig.applications;
    if (application === undefined) throw new Error("no application");
    const stop = application.stop.bind(application);
    application.stop = () => stopped.promise.then(stop);
    rig.told();
    application.onGaveUp("it ended three times");
    await rig.settle();
    expect(rig.told()).toEqual([
      "primary -> restoring",
      "warning: it ended three times",
      "gate shut: it ended three times",
    ]);
    let mayEnd = false;
    const ended = rig.driver.stepDown("the host ends").then(() => (mayEnd = true));
    let isVacated: boolean | undefined;
    rig.onRestore = () => Promise.resolve(void (isVacated = rig.logStatus.epoch?.vacated));
    await rig.settle();
    expect(mayEnd).toBe(false);
    stopped.resolve();
    await rig.during(ended);
    expect(rig.told().slice(0, 2)).toEqual(["application stopped", "stepped down"]);
    expect((await rig.records()).at(-1)).toBe("a vacate");
    expect(rig.logStatus.epoch).toMatchObject({ vacated: true });
    expect(rig.driver.retry).toMatchObject({ attempts: 1, reason: "it ended three times" });
    await rig.until(() => isVacated !== undefined || rig.driver.state.kind === "secondary");
    expect(isVacated).toBe(true);
  });

  test("lasts until its processes are gone: nothing is restored before", async () => {
    const rig = await new Rig().asPrimary();
    const gone = Promise.withResolvers<void>();
    const [application] = rig.applications;
    if (application !== undefined) application.kill = () => gone.promise;
    rig.told();
    rig.driver.take({ kind: "must-stop", reason: "a commit was missed" });
    const since = rig.clock.now();
    await rig.until(() => rig.clock.now() > since + 100);
    expect(rig.told()).not.toContain("restoring");
    expect(rig.driver.term?.epoch).toBe(1);
    gone.resolve();
    await rig.reach("secondary");
    expect(rig.driver.term).toBeUndefined();
  });

  test("that cannot vacate is a warning, and the restore follows", async () => {
    const rig = await new Rig().asPrimary();
    rig.front.drain = () => Promise.reject(new Error("no answer"));
    rig.applications[0]?.onGaveUp("it ended three times");
    await rig.reach("secondary");
    expect(rig.warnings.texts).toEqual(["it ended three times", "no vacate record was written: no answer"]);
    expect(await rig.records()).not.toContain("a vacate");
  });

  test("by a record of another host shuts the gate at once, and restores", async () => {
    const rig = await new Rig().asPrimary();
    await claimAs(rig.store, "b");
    rig.told();
    await rig.until(() => rig.driver.state.kind !== "primary");
    expect(rig.told().slice(0, 2)).toEqual(["primary -> restoring", "gate shut: fenced: host b claimed epoch 2"]);
    await rig.reach("secondary");
    expect([rig.driver.term, rig.applications[0]?.state]).toEqual([undefined, "killed"]);
  });
});

describe("a stage", () => {
  test("that fails has the host start over at the time of its next try", async () => {
    const rig = await new Rig().asSecondary();
    rig.onReplicaClose = () => Promise.reject(new Error("EIO"));
    rig.told();
    const answered = rig.promote();
    await rig.until(() => rig.driver.state.kind === "restoring");
    rig.onReplicaClose = () => Promise.resolve();
    const since = rig.clock.now();
    expect(rig.told()).toEqual(
      expect.arrayContaining(['error: stage failed {"reason":"EIO"}', "starting -> restoring", "warning: EIO"]),
    );
    await answered;
    expect(rig.promoted.at(-1)).toEqual({ kind: "refused", refusal: { kind: "not_ready", reason: "EIO" } });
    await rig.reach("secondary");
    expect(rig.driver.retry).toMatchObject({ attempts: 1, reason: "EIO" });
    expect(rig.clock.now()).toBeGreaterThanOrEqual(rig.driver.retry?.nextAt ?? Infinity);
    expect(rig.clock.now() - since).toBeLessThan(2_000);
  });

  test("that finds databases that another process wrote to starts no term", async () => {
    const rig = await new Rig().asSecondary();
    rig.onHandOver = () => {
      throw new Error("a.db has other content");
    };
    await rig.during(rig.promote());
    expect(rig.promoted.at(-1)).toMatchObject({ refusal: { reason: "a.db has other content" } });
    expect([rig.applications.length, rig.driver.term]).toEqual([0, undefined]);
  });

  test("that cannot follow from here is followed by a restore", async () => {
    const rig = await new Rig().asSecondary();
    rig.told();
    await rig.store.inner.putIfAbsent(logKey(1), new Uint8Array(100));
    await rig.until(() => rig.driver.state.kind !== "secondary");
    expect(rig.told().slice(0, 2)).toEqual(["secondary -> restoring", "rehearsal aborted: this host is restoring"]);
    expect(rig.driver.retry).toBeUndefined();
  });

  test("that restores tries a record that cannot be read as soon as at first, if it was mended and is damaged again", async () => {
    const rig = await new Rig().asSecondary();
    await rig.store.inner.putIfAbsent(logKey(1), new Uint8Array(100));
    /** Seconds from the next try to those that follow it: each reads the newest checkpoint. */
    const tries = async (count: number): Promise<number[]> => {
      const begun: number[] = [];
      rig.store.beforeGet = (key) => {
        const now = rig.clock.now();
        if (key.startsWith("checkpoints/") && now > (begun.at(-1) ?? -Infinity) + 1_000) begun.push(now);
        return Promise.resolve();
      };
      await rig.until(() => begun.length === count);
      return begun.map((at) => Math.round((at - (begun[0] ?? 0)) / 1_000));
    };
    expect(await tries(4)).toEqual([0, 5, 15, 35]);
    await rig.store.inner.delete(logKey(1));
    await rig.reach("secondary");
    await rig.store.inner.putIfAbsent(logKey(1), new Uint8Array(100));
    expect(await tries(3)).toEqual([0, 5, 15]);
  });

  test("that was halted puts nothing more: a host that failed does not claim", async () => {
    const rig = await new Rig().asSecondary();
    rig.store.failPuts(...Array.from({ length: 100 }, () => "unavailable" as const));
    const puts = rig.store.puts.length;
    const answered = rig.promote();
    await rig.until(() => rig.store.puts.length > puts + 1);
    rig.driver.onDuplicateId("it claimed epoch 2");
    await answered;
    const [before, since] = [rig.store.puts.length, rig.clock.now()];
    await rig.until(() => rig.clock.now() > since + 3_000);
    expect(rig.store.puts.length).toBe(before);
    expect(rig.driver.state.kind).toBe("failed");
  });

  test("that was aborted changes nothing any more when it ends", async () => {
    const rig = await new Rig().asSecondary();
    const opened = Promise.withResolvers<void>();
    rig.start = opened.promise;
    rig.survivesKill = true;
    const answered = rig.promote();
    await rig.until(() => rig.applications.length > 0);
    rig.driver.onDuplicateId("it claimed epoch 2");
    expect(rig.driver.state).toMatchObject({ kind: "failed" });
    expect(rig.driver.state).toMatchObject({ reason: expect.stringContaining('the same id "a" (it claimed epoch 2)') });
    await answered;
    rig.told();
    opened.resolve();
    await rig.settle();
    expect(rig.driver.state.kind).toBe("failed");
    expect(rig.front.term).toBeUndefined();
    expect(rig.told()).toEqual([]);
  });
});

describe("the end of the host", () => {
  test("vacates a term first, and then closes what is open", async () => {
    const rig = await new Rig().asPrimary();
    rig.told();
    await rig.during(rig.driver.stepDown("the host ends"));
    expect((await rig.records()).at(-1)).toBe("a vacate");
    await rig.during(rig.driver.close("the host ends"));
    expect([rig.driver.term, rig.driver.secondary, rig.front.term]).toEqual([undefined, undefined, undefined]);
    // No stage begins: it does not restore.
    expect(rig.told()).not.toContain("restoring");
  });

  test("waits for the stage in progress", async () => {
    const rig = new Rig();
    const looked = Promise.withResolvers<void>();
    rig.onRestore = () => looked.promise;
    rig.driver.start();
    await rig.until(() => rig.story.includes("restoring"));
    let isClosed = false;
    const closed = rig.driver.close("the host ends").then(() => (isClosed = true));
    await rig.settle();
    expect(isClosed).toBe(false);
    looked.resolve();
    await rig.during(closed);
    expect(rig.driver.secondary).toBeUndefined();
  });

  test("of a secondary closes its databases, and refuses the order in progress", async () => {
    const rig = await new Rig().asSecondary();
    rig.start = new Promise(() => undefined);
    const answered = rig.promote();
    await rig.until(() => rig.driver.term !== undefined);
    await rig.during(rig.driver.close("the host ends"));
    await answered;
    expect(rig.promoted.at(-1)).toEqual({ kind: "refused", refusal: { kind: "not_ready", reason: "the host ends" } });
    expect(rig.applications[0]?.state).not.toBe("running");
    const other = await new Rig().asSecondary();
    other.told();
    await other.during(other.driver.stepDown("the host ends"));
    expect(await other.records()).toEqual([]);
    await other.during(other.driver.close("the host ends"));
    expect(other.told()).toEqual(["replica closed"]);
  });
});

describe("hooks", () => {
  const ok = { kind: "ok" } as const;
  const failed = { kind: "failed", why: "ended with exit code 1" } as const;

  test("run at their places: before the application, once it serves, and behind the gate and the vacate record", async () => {
    const rig = new Rig();
    let served: boolean | undefined;
    let isGone: boolean | undefined;
    rig.onHook = ({ hook }) => {
      if (hook === "before_start") expect(rig.applications[0]?.state).toBe("idle");
      if (hook === "on_promote") served = rig.front.term !== undefined;
      if (hook === "on_demote") isGone = rig.front.term === undefined && rig.demoted.at(-1)?.kind === "done";
      return Promise.resolve(ok);
    };
    await rig.asPrimary();
    await rig.settle();
    await rig.demote("b");
    await rig.hooks.settled();
    expect(rig.told().filter((line) => line.startsWith("hook"))).toEqual([
      "hook before_start 1",
      "hook on_promote 1",
      "hook on_demote 1",
    ]);
    expect([served, isGone]).toEqual([true, true]);
  });

  test("on_demote runs too when a primary ends without stepping down", async () => {
    const rig = new Rig();
    rig.onHook = () => Promise.resolve(ok);
    await rig.asPrimary();
    rig.told();
    await rig.during(rig.driver.close("the host ends"));
    await rig.hooks.settled();
    expect(rig.told().filter((line) => line.startsWith("hook"))).toEqual(["hook on_demote 1"]);
  });

  test("a before_start that fails keeps the application from being started: the host gives up, and follows", async () => {
    const rig = await new Rig().asSecondary();
    rig.onHook = () => Promise.resolve(failed);
    await rig.during(rig.promote());
    await rig.reach("secondary");
    expect(rig.applications[0]?.state).toBe("idle");
    expect(rig.promoted.at(-1)).toMatchObject({
      kind: "refused",
      refusal: { reason: expect.stringContaining("the hook before_start ended with exit code 1") },
    });
    expect(rig.driver.retry?.reason).toContain("before_start");
    expect((await rig.records()).at(-1)).toBe("a vacate");
    // It served in no term: there is nothing to undo.
    expect(rig.told()).not.toContain("hook on_demote 1");
  });

  test("an on_promote that hangs delays neither the answer nor the fence, and one that fails is a warning", async () => {
    const rig = await new Rig().asSecondary();
    rig.onHook = ({ hook, signal }) =>
      hook === "on_promote"
        ? new Promise((resolve) => signal.addEventListener("abort", () => resolve(failed)))
        : Promise.resolve(ok);
    await rig.during(rig.promote());
    expect(rig.promoted.at(-1)?.kind).toBe("done");
    await rig.settle();
    rig.told();
    rig.driver.take({ kind: "fenced", host: "b", epoch: 2 });
    expect(rig.front.term).toBeUndefined();
    await rig.hooks.settled();
    const story = rig.told();
    expect(story.findIndex((line) => line.startsWith("gate shut"))).toBeLessThan(story.indexOf("hook on_demote 1"));
    expect(rig.warnings.texts).toContain("the hook on_promote ended with exit code 1; this host serves all the same");
  });
});

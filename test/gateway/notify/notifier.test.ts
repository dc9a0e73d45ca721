import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { NotifyTarget } from "../../../src/config/types.ts";
import { episodeMs, type Notification } from "../../../src/core/notify/notification.ts";
import { turnMs, unheardMsMax } from "../../../src/core/notify/teller.ts";
import { certificateMsMin, Notifier, newsMsMax, unexplainedMs } from "../../../src/gateway/notify/notifier.ts";
import { attemptsMax } from "../../../src/gateway/notify/target-queue.ts";
import type { SendOutcome } from "../../../src/gateway/notify/send-outcome.ts";
import { fileDisk } from "../../../src/gateway/state/replication-disk.ts";
import { addEvent, type EventRow, putEpoch, putFailover } from "../../../src/gateway/state/rows.ts";
import { StateStore } from "../../../src/gateway/state/store.ts";
import { noMetrics } from "../../../src/metrics/metrics.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };
const targetOf = (change: Partial<NotifyTarget> = {}): NotifyTarget => ({
  name: "pager",
  timeoutMs: 1_000,
  kinds: undefined,
  severity: "info",
  services: undefined,
  to: { kind: "command", command: ["/bin/true"], folder: "/" },
  ...change,
});

/** Lets promises that are due settle; no time passes. */
const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
};

interface Member {
  readonly id: string;
  readonly store: StateStore;
  readonly notifier: Notifier;
}

/** Gateways on one clock; rows travel when the test says so, and nothing of a gateway that is dead. */
class Fleet {
  readonly clock = new ManualClock();
  readonly members = new Map<string, Member>();
  readonly received: Notification[] = [];
  readonly #folder = mkdtempSync(join(tmpdir(), "stead-notify-"));
  readonly #diedAt = new Map<string, number>();
  readonly #closing: StateStore[] = [];
  answer: (notification: Notification) => Promise<SendOutcome> | SendOutcome = () => ({ kind: "told" });
  target = targetOf();
  readonly certificates = new Map<string, number>();

  async start(id: string): Promise<Member> {
    this.#diedAt.delete(id);
    const disk = fileDisk(join(this.#folder, `${id}.${this.#closing.length}.db`));
    const store = new StateStore({ disk, gateway: id, clock: this.clock, random: systemRandom });
    this.#closing.push(store);
    await store.open();
    const notifier = new Notifier({
      ...{ gateway: id, store, clock: this.clock, log: silent, metrics: noMetrics, targets: [this.target] },
      send: async (_target, notification) => {
        if (this.members.get(id)?.store !== store) return new Promise(() => undefined);
        this.received.push(notification);
        return this.answer(notification);
      },
      certificateEndsAtMs: () => this.certificates.get(id),
      others: () =>
        ["g1", "g2", "g3"]
          .filter((other) => other !== id)
          .map((other) => ({ id: other, heardMsAgo: this.members.has(other) ? 0 : this.#silence(other) })),
    });
    const member = { id, store, notifier };
    this.members.set(id, member);
    store.onWrite = (row) => notifier.heard(row);
    store.onApplied = (rows) => rows.forEach((row) => notifier.heard(row));
    this.exchange();
    notifier.begin();
    return member;
  }

  #silence(id: string): number | undefined {
    const at = this.#diedAt.get(id);
    return at === undefined ? undefined : this.clock.now() - at;
  }

  get(id: string): Member {
    const found = this.members.get(id);
    if (found === undefined) throw new Error(`${id} does not run`);
    return found;
  }

  /** Its timers end with it; what it has on the way is lost. */
  kill(id: string): void {
    void this.get(id).notifier.close();
    this.members.delete(id);
    this.#diedAt.set(id, this.clock.now());
  }

  exchange(): void {
    for (const from of this.members.values())
      for (const to of this.members.values())
        if (from !== to) to.store.applied(to.store.replica.merge([...from.store.replica.rows()]));
  }

  /** Time passes in steps, with an exchange of all rows after each. */
  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 500) {
      this.clock.advance(500);
      await settle();
      this.exchange();
      await settle();
    }
  }

  async stop(): Promise<void> {
    await Promise.all([...this.members.values()].map(({ notifier }) => notifier.close()));
    await Promise.all(this.#closing.map((store) => store.close()));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

let fleet = new Fleet();
afterEach(async () => {
  await fleet.stop();
  fleet = new Fleet();
});

const running = (gateway: string, epochFrom: number, clock: ManualClock) => ({
  ...{ id: `${gateway}.notes.${epochFrom}`, service: "notes", gateway, kind: "kill", outcome: "running" },
  ...{ fromHost: hostOf(epochFrom), epochFrom, attempts: 1, decidedAtMs: clock.wallTime() },
});
const hostOf = (epoch: number): string => ["a", "b", "c"][epoch % 3] ?? "";
const epochRow = (epoch: number, clock: ManualClock) =>
  putEpoch({ service: "notes", epoch, host: hostOf(epoch), dataUrl: null, firstSeenAtMs: clock.wallTime() });
const event = (gateway: string, change: Partial<EventRow> = {}) =>
  addEvent({
    ...{ id: `${gateway}.notes.1.1`, atMs: fleet.clock.wallTime(), gateway, service: "notes", host: "a" },
    ...{ level: "warning", what: "host-down", detail: "a is down, was up" },
    ...change,
  });

async function three(): Promise<void> {
  for (const id of ["g1", "g2", "g3"]) await fleet.start(id);
  for (const { store } of fleet.members.values()) store.write(epochRow(1, fleet.clock));
  await fleet.pass(newsMsMax);
  expect(fleet.received).toEqual([]);
}

/** A failover through `acting`, which may die at a stage of it. */
async function failOver(
  epoch: number,
  acting: string,
  diesAt?: "ordered" | "claimed" | "done" | "word",
): Promise<void> {
  const { clock } = fleet;
  const { store } = fleet.get(acting);
  store.write(putFailover(running(acting, epoch - 1, clock)));
  if (diesAt === "ordered") fleet.kill(acting);
  await fleet.pass(500);
  for (const member of fleet.members.values()) member.store.write(epochRow(epoch, clock));
  if (diesAt === "claimed") fleet.kill(acting);
  await fleet.pass(500);
  if (diesAt === "ordered" || diesAt === "claimed") return;
  store.write(
    putFailover({ ...running(acting, epoch - 1, clock), outcome: "done", toHost: hostOf(epoch), epochTo: epoch }),
  );
  if (diesAt === "done") {
    fleet.exchange();
    fleet.kill(acting);
  }
  if (diesAt === "word") {
    // It has taken the word, a peer has the row, and it dies before it sends.
    fleet.answer = () => new Promise(() => undefined);
    const before = fleet.received.length;
    clock.advance(0);
    fleet.exchange();
    fleet.kill(acting);
    await settle();
    fleet.received.length = before;
    fleet.answer = () => ({ kind: "told" });
  }
}

const told = (): string[] => fleet.received.map(({ id }) => id);

describe("a failover with three gateways", () => {
  test("is told once by the gateway that acted, at once", async () => {
    await three();
    await failOver(2, "g2");
    await fleet.pass(500);
    expect(fleet.received).toMatchObject([
      { id: "notes/primary/2", kind: "failover", gateway: "g2", summary: "notes: failover from b to c" },
    ]);
    await fleet.pass(60_000);
    expect(fleet.received).toHaveLength(1);
  });

  test("50 failovers, with the acting gateway killed in five of them, are received exactly once each", async () => {
    await three();
    const stages = { 7: "ordered", 16: "claimed", 25: "done", 34: "word", 43: "claimed" } as const;
    for (let epoch = 2; epoch <= 51; epoch++) {
      const acting = ["g1", "g2", "g3"][epoch % 3] ?? "";
      const diesAt = (stages as Readonly<Partial<Record<number, "ordered" | "claimed" | "done" | "word">>>)[epoch];
      await failOver(epoch, acting, diesAt);
      await fleet.pass(2 * unheardMsMax + unexplainedMs + 3 * turnMs);
      // Before the dead one is back: the others tell for it.
      expect(told()).toHaveLength(epoch - 1);
      if (diesAt !== undefined) await fleet.start(acting);
    }
    await fleet.pass(60_000);
    expect(told()).toEqual(Array.from({ length: 50 }, (_, index) => `notes/primary/${index + 2}`));
  });

  test("whose teller died after the receiver had it, and before its row reached a peer, is repeated with the same id", async () => {
    await three();
    await failOver(2, "g2");
    fleet.exchange();
    fleet.clock.advance(500);
    fleet.exchange();
    await settle();
    expect(told()).toEqual(["notes/primary/2"]);
    fleet.kill("g2");
    await fleet.pass(unheardMsMax + 3 * turnMs);
    expect(told()).toEqual(["notes/primary/2", "notes/primary/2"]);
  });

  test("is not told by its epoch alone while the gateway that acts is alive", async () => {
    await three();
    const { clock } = fleet;
    fleet.get("g3").store.write(putFailover(running("g3", 1, clock)));
    fleet.get("g1").store.write(epochRow(2, clock));
    await fleet.pass(30_000);
    expect(fleet.received).toEqual([]);
  });

  test("is told once where two gateways have ordered the same host in the same moment", async () => {
    await three();
    const { clock } = fleet;
    for (const id of ["g3", "g2"])
      fleet
        .get(id)
        .store.write(putFailover({ ...running(id, 1, clock), outcome: "done", toHost: hostOf(2), epochTo: 2 }));
    // The rows of both are on the way when each could tell.
    clock.advance(0);
    await settle();
    expect(fleet.received).toEqual([]);
    fleet.exchange();
    await fleet.pass(500);
    await fleet.pass(30_000);
    expect(fleet.received).toMatchObject([{ id: "notes/primary/2", gateway: "g2" }]);
  });

  test("is told by one gateway when the failover that could explain its epoch ends in another way", async () => {
    await three();
    const { clock } = fleet;
    fleet.get("g3").store.write(putFailover(running("g3", 1, clock)));
    for (const { store } of fleet.members.values()) store.write(epochRow(2, clock));
    await fleet.pass(30_000);
    fleet.get("g3").store.write(putFailover({ ...running("g3", 1, clock), outcome: "overtaken" }));
    await fleet.pass(unexplainedMs + 3 * turnMs);
    expect(fleet.received).toMatchObject([{ id: "notes/primary/2", gateway: "g1" }]);
  });

  test("is told by a restarted gateway that was alone and died before it told", async () => {
    const { store } = await fleet.start("g1");
    store.write(epochRow(1, fleet.clock));
    fleet.clock.advance(newsMsMax);
    fleet.answer = () => new Promise(() => undefined);
    await failOver(2, "g1");
    await store.flush();
    expect(store.replica.countOf("deliveries")).toBe(0);
    fleet.received.length = 0;
    const rows = [...store.replica.rows()];
    fleet.kill("g1");
    fleet.answer = () => ({ kind: "told" });
    const again = await fleet.start("g1");
    again.store.applied(again.store.replica.merge(rows));
    await fleet.pass(2_000);
    expect(told()).toEqual(["notes/primary/2"]);
  });
});

describe("a condition that every gateway sees", () => {
  test("is one notification, by the first living gateway in the order of ids, and another episode is another", async () => {
    await three();
    for (const id of ["g3", "g2", "g1"]) fleet.get(id).store.write(event(id));
    await fleet.pass(2 * turnMs + 1_000);
    expect(fleet.received).toMatchObject([{ id: "notes/host-failed/a/1", gateway: "g1", severity: "warning" }]);
    await fleet.pass(episodeMs);
    fleet.get("g2").store.write(event("g2", { id: "g2.notes.1.2" }));
    await fleet.pass(2 * turnMs + 1_000);
    expect(told()).toEqual(["notes/host-failed/a/1", "notes/host-failed/a/2"]);
  });

  test("is told by the next one if the first is dead", async () => {
    await three();
    fleet.kill("g1");
    await fleet.pass(unheardMsMax + 500);
    for (const id of ["g2", "g3"]) fleet.get(id).store.write(event(id));
    await fleet.pass(turnMs + 1_000);
    expect(fleet.received).toMatchObject([{ id: "notes/host-failed/a/1", gateway: "g2" }]);
  });
});

describe("a target", () => {
  test("is no news if it is no warning: a host that was not heard since its gateway started", async () => {
    await three();
    fleet.get("g1").store.write(event("g1", { level: "info", detail: "a does not answer" }));
    await fleet.pass(60_000);
    expect(fleet.received).toEqual([]);
  });

  test("is told nothing that its filter leaves out", async () => {
    fleet.target = targetOf({ kinds: ["failover"], severity: "warning", services: ["notes"] });
    await three();
    fleet.get("g1").store.write(event("g1"));
    await failOver(2, "g1");
    await fleet.pass(10_000);
    expect(told()).toEqual(["notes/primary/2"]);
  });

  test("that fails is tried again, and then given up, with a row, and a warning", async () => {
    await three();
    fleet.answer = () => ({ kind: "failed", why: "answered with 500", permanent: false });
    await failOver(2, "g1");
    await fleet.pass(5 * 60_000);
    expect(fleet.received).toHaveLength(attemptsMax);
    const { store, notifier } = fleet.get("g1");
    expect([...store.replica.rowsOf("deliveries")].map(({ values }) => values)).toMatchObject([
      { notification: "notes/primary/2", target: "pager", outcome: "failed", attempts: attemptsMax },
    ]);
    expect(notifier.warnings).toEqual([expect.stringContaining("notify pager: the last attempt failed")]);
  });

  test("that will never take it is not tried again", async () => {
    await three();
    fleet.answer = () => ({ kind: "failed", why: "answered with 404", permanent: true });
    await failOver(2, "g1");
    await fleet.pass(60_000);
    expect(fleet.received).toHaveLength(1);
  });
});

test("history that a gateway receives when it joins is not told", async () => {
  const { store } = await fleet.start("g1");
  store.write(epochRow(1, fleet.clock));
  store.write(epochRow(2, fleet.clock));
  fleet.kill("g1");
  fleet.clock.advance(newsMsMax);
  const joined = await fleet.start("g2");
  joined.store.applied(joined.store.replica.merge([...store.replica.rows()]));
  await fleet.pass(30_000);
  expect(fleet.received).toEqual([]);
});

test("a certificate that is about to expire is told once a day, also over a restart", async () => {
  await three();
  fleet.certificates.set("g2", fleet.clock.wallTime() + certificateMsMin);
  await fleet.pass(60_000);
  fleet.kill("g2");
  await fleet.start("g2");
  await fleet.pass(60_000);
  expect(fleet.received).toMatchObject([{ kind: "certificate", gateway: "g2", severity: "warning" }]);
  fleet.clock.advance(24 * 3600 * 1_000);
  await fleet.pass(2_000);
  expect(fleet.received).toHaveLength(2);
});

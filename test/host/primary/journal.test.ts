import { describe, expect, test } from "bun:test";
import type { Section } from "../../../src/core/flush.ts";
import type { RecordFormat } from "../../../src/core/record-format.ts";
import { RequestNames } from "../../../src/core/request-names.ts";
import { requestNamesOf } from "../../../src/vault/log/request-names-section.ts";
import { requestOutcomesOf } from "../../../src/vault/log/request-outcomes-section.ts";
import { allRules } from "../../../src/core/rules.ts";
import { Handover } from "../../../src/host/application/handover.ts";
import { Journal } from "../../../src/host/primary/journal.ts";
import type { JournalDurability } from "../../../src/host/primary/journal-options.ts";
import { GateShutError, type JournalEnd } from "../../../src/host/primary/journal-end.ts";
import { type Clock, systemClock } from "../../../src/runtime/clock.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { LogReader } from "../../../src/vault/log/log-reader.ts";
import { LogWriter } from "../../../src/vault/log/log-writer.ts";
import { StoreLog } from "../../../src/vault/log/store-log.ts";
import { ForwardingStore } from "../../../src/vault/store/forwarding-store.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import type { PutOutcome, Store } from "../../../src/vault/store/store.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";
import { FakeSource } from "../../support/host/fake-source.ts";

const zeros = "0".repeat(64);

/** Holds puts back until the test lets them through. */
class SlowStore extends ForwardingStore {
  held: (() => void)[] = [];
  isHolding = false;

  constructor() {
    super(new MemoryStore());
  }

  override async putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    if (this.isHolding) await new Promise<void>((resolve) => this.held.push(resolve));
    return super.putIfAbsent(key, bytes);
  }

  release(): void {
    for (const go of this.held.splice(0)) go();
  }
}

async function readerAtEnd(store: Store): Promise<LogReader> {
  const reader = new LogReader({
    log: new StoreLog(store, "notes"),
    start: { position: 0, hash: zeros },
    rules: allRules,
  });
  while ((await reader.next()) !== undefined);
  return reader;
}

async function claim(store: Store, host: string, format: RecordFormat = 1): Promise<LogWriter> {
  const reader = await readerAtEnd(store);
  const ports = { clock: systemClock, random: systemRandom, rules: allRules };
  const outcome = await LogWriter.claim({
    reader,
    host,
    leaseMs: 60_000,
    controlUrl: "http://x",
    instance: host,
    format: () => format,
    ...ports,
  });
  if (outcome.kind !== "claimed") throw new Error(outcome.kind);
  return outcome.writer;
}

interface SetUp {
  readonly durability?: JournalDurability;
  readonly leaseMs?: number;
  readonly clock?: Clock;
  readonly wallAheadMs?: number;
  readonly handover?: Handover;
  readonly format?: RecordFormat;
}

async function setUp(
  options: SetUp = {},
): Promise<{ store: SlowStore; source: FakeSource; journal: Journal; ended: Promise<JournalEnd>; warnings: string[] }> {
  const warnings: string[] = [];
  const store = new SlowStore();
  const writer = await claim(store, "a", options.format ?? (options.handover === undefined ? 1 : 2));
  const source = new FakeSource();
  const end = Promise.withResolvers<JournalEnd>();
  const journal = new Journal({
    writer,
    clock: options.clock ?? systemClock,
    wallAheadMs: options.wallAheadMs,
    handover: options.handover,
    onWarning: (text) => warnings.push(text),
    rules: allRules,
    leaseMs: options.leaseMs ?? 60_000,
    durability: options.durability ?? { kind: "strict" },
    onEnd: end.resolve,
    onRecord: () => undefined,
  });
  journal.attach(source);
  return { store, source, journal, ended: end.promise, warnings };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

const madeFlush = (fill: number) => {
  const content = Buffer.alloc(512, fill);
  const page = { number: 1, content };
  const delta = { name: "a.db", pageSize: 512, pageCount: 1, checksum: Buffer.alloc(16, fill), pages: [page] };
  const batch = { bytes: 512, partCount: 1, parts: () => [[delta]], done: () => undefined };
  return { batch, section: { kind: "rewound", isRequired: false, content: new Uint8Array(1) } };
};

describe("a flush that is not of capture", () => {
  test("comes after everything that was committed, and nothing is captured after it", async () => {
    const { journal, source, store } = await setUp({ format: 2 });
    source.commit();
    let end = 0;
    const position = await journal.rewind((at) => {
      end = at;
      return Promise.resolve(madeFlush(9));
    });
    expect([source.durable, position]).toEqual([1, end + 1]);
    source.commit();
    // A checkpoint that begins now is none, and ends nothing.
    expect(await journal.snapshot().catch((error: Error) => error.message)).toContain("nothing to take a snapshot of");
    await journal.vacate("rewind", undefined);
    const reader = await readerAtEnd(store);
    expect(reader.position).toBe(position + 1);
    expect(source.durable).toBe(1);
  });

  test("that cannot be made changes nothing: what is committed is captured as before", async () => {
    const { journal, source } = await setUp();
    const failing = journal.rewind(() => Promise.reject(new Error("no room")));
    expect(await failing.catch((error: Error) => error.message)).toBe("no room");
    source.commit();
    await journal.gate();
    expect(source.durable).toBe(1);
    journal.abort();
    expect(await journal.rewind(() => Promise.resolve(madeFlush(1))).catch(String)).toContain("GateShutError");
  });
});

describe("the gate", () => {
  test("lets a chunk pass at once when nothing was committed", async () => {
    const { journal } = await setUp();
    expect(journal.gate()).toBeUndefined();
    journal.abort();
  });

  test("holds a chunk until the commit it may show is durable", async () => {
    const { journal, source, store } = await setUp();
    store.isHolding = true;
    source.commit();
    let isReleased = false;
    const gate = Promise.resolve(journal.gate()).then(() => (isReleased = true));
    await until(() => store.held.length === 1);
    expect(isReleased).toBe(false);
    store.isHolding = false;
    store.release();
    await gate;
    expect(source.durable).toBe(1);
    journal.abort();
  });

  test("holds a chunk for a commit that came while an earlier flush was in flight until its own flush is durable", async () => {
    const { journal, source, store } = await setUp();
    store.isHolding = true;
    source.commit();
    const first = journal.gate();
    await until(() => store.held.length === 1);
    source.commit();
    let isReleased = false;
    const second = Promise.resolve(journal.gate()).then(() => (isReleased = true));
    store.release();
    await first;
    await until(() => store.held.length === 1);
    expect(isReleased).toBe(false);
    expect(source.durable).toBe(1);
    store.isHolding = false;
    store.release();
    await second;
    expect(source.durable).toBe(2);
    journal.abort();
  });

  test("lets capture keep house while a put takes its time, and not after the end", async () => {
    const { journal, source, store } = await setUp();
    store.isHolding = true;
    source.commit();
    const gate = Promise.resolve(journal.gate());
    await until(() => store.held.length === 1);
    const before = source.ticks;
    await until(() => source.ticks > before + 2);
    expect(source.durable).toBe(0);
    store.isHolding = false;
    store.release();
    await gate;
    journal.abort();
    await journal.ended();
    const after = source.ticks;
    await new Promise((resolve) => setImmediate(resolve));
    expect(source.ticks).toBe(after);
  });

  test("holds a read while the flush that it may have seen is in flight", async () => {
    const { journal, source, store } = await setUp();
    store.isHolding = true;
    source.commit();
    const write = journal.gate();
    await until(() => source.collected === 1 && store.held.length === 1);
    const read = journal.gate();
    expect(read).toBeInstanceOf(Promise);
    store.isHolding = false;
    store.release();
    await Promise.all([write, read]);
    journal.abort();
  });

  test("holds a chunk for a commit that its index does not have until it is settled, and not for later ones", async () => {
    const { journal, source } = await setUp();
    const [earlier, later] = [{ isSettled: false }, { isSettled: false }];
    source.unsettled = [earlier];
    let released = 0;
    const gate = Promise.resolve(journal.gate()).then(() => (released += 1));
    source.unsettled = [earlier, later];
    const ticks = source.ticks;
    await until(() => source.ticks > ticks + 3);
    expect(released).toBe(0);
    earlier.isSettled = true;
    await gate;
    expect(later.isSettled).toBe(false);
    journal.abort();
  });

  test("holds a chunk whose flush is durable until commits that were found beside it are settled", async () => {
    const { journal, source } = await setUp();
    const commit = { isSettled: false };
    source.unsettled = [commit];
    source.commit();
    let isReleased = false;
    const gate = Promise.resolve(journal.gate()).then(() => (isReleased = true));
    await until(() => source.collected === 1);
    // Found later: its waiters arrived before.
    source.unsettled = [commit, { isSettled: false }];
    await until(() => source.durable === 1);
    // Further flushes do not wait for it.
    source.commit();
    await until(() => source.durable === 2);
    expect(isReleased).toBe(false);
    commit.isSettled = true;
    await gate;
    journal.abort();
  });

  test("rejects what waits for a commit that its index does not have when it ends", async () => {
    const { journal, source } = await setUp();
    source.unsettled = [{ isSettled: false }];
    const gate = Promise.resolve(journal.gate());
    journal.abort();
    expect(await gate.catch((error: unknown) => error)).toBeInstanceOf(GateShutError);
  });

  test("puts commits that no answer waits for into the journal", async () => {
    const { journal, source } = await setUp();
    source.commit();
    await until(() => source.durable === 1);
    journal.abort();
  });

  test("journals commits of concurrent requests together", async () => {
    const { journal, source, store } = await setUp();
    store.isHolding = true;
    source.commit();
    const first = journal.gate();
    await until(() => store.held.length === 1);
    const before = journal.position;
    const gates = Array.from({ length: 50 }, () => {
      source.commit();
      return journal.gate();
    });
    store.isHolding = false;
    store.release();
    await Promise.all([first, ...gates]);
    expect(source.durable).toBe(51);
    expect(journal.position - before).toBe(2);
    journal.abort();
  });

  test("waits for a put when the lease is over, even when nothing was committed", async () => {
    const { journal, store } = await setUp({ leaseMs: 0 });
    store.isHolding = true;
    const gate = journal.gate();
    expect(gate).toBeInstanceOf(Promise);
    journal.abort();
    await expect(Promise.resolve(gate)).rejects.toBeInstanceOf(GateShutError);
    store.release();
  });

  test("takes the lease for over after the machine was suspended, until a put has succeeded", async () => {
    const clock = { ...systemClock, suspendedMs: 0, wallTime: () => systemClock.wallTime() + clock.suspendedMs };
    const { journal, store } = await setUp({ clock });
    expect(journal.gate()).toBeUndefined();
    clock.suspendedMs = 3_600_000;
    store.isHolding = true;
    const gate = journal.gate();
    expect(gate).toBeInstanceOf(Promise);
    await until(() => store.held.length === 1);
    store.isHolding = false;
    store.release();
    await gate;
    expect(journal.gate()).toBeUndefined();
    journal.abort();
  });

  test("after a suspension finds the claim of another, and releases nothing", async () => {
    const clock = { ...systemClock, suspendedMs: 0, wallTime: () => systemClock.wallTime() + clock.suspendedMs };
    const { journal, store, ended } = await setUp({ clock });
    await claim(store, "b");
    clock.suspendedMs = 3_600_000;
    await expect(Promise.resolve(journal.gate())).rejects.toBeInstanceOf(GateShutError);
    expect(await ended).toEqual({ kind: "fenced", epoch: 2, host: "b" });
  });

  test("counts a suspension from before the claim, not from when the journal began", async () => {
    const { journal, store } = await setUp({ wallAheadMs: systemClock.wallTime() - systemClock.now() - 3_600_000 });
    store.isHolding = true;
    const gate = Promise.resolve(journal.gate());
    journal.abort();
    await expect(gate).rejects.toBeInstanceOf(GateShutError);
    store.release();
  });

  test("says so when the vault is so slow that nothing can ever leave", async () => {
    const { journal, warnings, store } = await setUp({ leaseMs: 0 });
    store.isHolding = true;
    await until(() => store.held.length === 1);
    store.release();
    await until(() => warnings.length > 0);
    expect(warnings[0]).toContain("longer for a record than the lease of 0 ms");
    journal.abort();
  });

  test("renews the lease of an idle primary", async () => {
    const { journal } = await setUp({ leaseMs: 20 });
    await until(() => journal.position >= 3);
    journal.abort();
  });

  test("in async durability releases at once, and holds when the loss window is full", async () => {
    const { journal, source, store } = await setUp({ durability: { kind: "async", lossMaxMs: 30 } });
    store.isHolding = true;
    source.commit();
    expect(journal.gate()).toBeUndefined();
    let gate = journal.gate();
    await until(() => (gate = journal.gate()) !== undefined);
    store.isHolding = false;
    store.release();
    await gate;
    expect(source.durable).toBe(1);
    journal.abort();
  });

  test("in async durability counts the loss window from the first acknowledgement that is not durable, over slow flushes", async () => {
    let aheadMs = 0;
    const { journal, source, store } = await setUp({
      durability: { kind: "async", lossMaxMs: 1000 },
      clock: { ...systemClock, now: () => systemClock.now() + aheadMs },
    });
    store.isHolding = true;
    source.commit();
    expect(journal.gate()).toBeUndefined();
    await until(() => store.held.length === 1);
    aheadMs += 400;
    source.commit();
    expect(journal.gate()).toBeUndefined();
    aheadMs += 5000;
    const held = [journal.gate()];
    expect(held[0]).toBeInstanceOf(Promise);
    store.release();
    await until(() => source.durable === 1 && store.held.length === 1);
    source.commit();
    held.push(journal.gate());
    expect(held[1]).toBeInstanceOf(Promise);
    store.isHolding = false;
    store.release();
    await Promise.all(held);
    expect(source.durable).toBe(3);
    source.commit();
    expect(journal.gate()).toBeUndefined();
    journal.abort();
  });
});

describe("a journal", () => {
  test("that meets another's claim releases nothing more, and says who fenced it", async () => {
    const { journal, source, store, ended } = await setUp();
    await claim(store, "b");
    source.commit();
    const gate = Promise.resolve(journal.gate());
    await expect(gate).rejects.toBeInstanceOf(GateShutError);
    expect(await ended).toEqual({ kind: "fenced", epoch: 2, host: "b" });
    expect(() => journal.gate()).toThrow(GateShutError);
    expect(source.durable).toBe(0);
  });

  test("stops when capture lost continuity", async () => {
    const { journal, source, ended } = await setUp();
    source.fail(new Error("frames are gone"));
    expect((await ended).kind).toBe("must-stop");
    expect(() => journal.gate()).toThrow(GateShutError);
  });

  test("writes the vacate record after everything that was committed", async () => {
    const { journal, source, store } = await setUp();
    source.commit();
    await journal.vacate("switchover", "b");
    const reader = await readerAtEnd(store);
    expect(reader.last?.body).toEqual({ kind: "vacate", reason: "switchover", successor: "b" });
    expect(source.durable).toBe(1);
  });

  test("gives a snapshot the position of the record that holds what was committed before it", async () => {
    const { journal, source } = await setUp();
    source.commit();
    const at = await journal.snapshot();
    expect(source.durable).toBe(1);
    expect(at.position).toBeGreaterThanOrEqual(2);
    journal.abort();
  });

  test("ends with the put in flight when it is shut while the vault does not answer", async () => {
    const { journal, source, store } = await setUp();
    store.isHolding = true;
    source.commit();
    await until(() => store.held.length === 1);
    journal.abort();
    store.release();
    await journal.ended();
    expect(() => journal.gate()).toThrow(GateShutError);
  });
});

describe("capture that takes long, or leaves something out", () => {
  test("renewals are put during a long collection, and the flush follows them", async () => {
    const { source, journal, store } = await setUp({ leaseMs: 200 });
    const collecting = Promise.withResolvers<void>();
    source.collecting = collecting.promise;
    source.commit();
    const released = journal.gate();
    const before = journal.position;
    await until(() => journal.position >= before + 3);
    expect(source.durable).toBe(0);
    collecting.resolve();
    await released;
    expect(source.durable).toBe(1);
    journal.abort();
    await journal.ended();
    const kinds: string[] = [];
    const reader = new LogReader({
      log: new StoreLog(store, "notes"),
      start: { position: 0, hash: zeros },
      rules: allRules,
    });
    for (let record = await reader.next(); record !== undefined; record = await reader.next())
      kinds.push(record.body.kind);
    expect(kinds.slice(0, 4)).toEqual(["epoch", "renew", "renew", "renew"]);
    expect(kinds).toContain("commit");
  });

  test("another host's claim during a collection shuts the gate at once, before the collection ends", async () => {
    const { source, journal, store, ended } = await setUp({ leaseMs: 200 });
    const collecting = Promise.withResolvers<void>();
    source.collecting = collecting.promise;
    source.commit();
    const released = Promise.resolve(journal.gate());
    await claim(store, "b");
    expect((await ended).kind).toBe("fenced");
    await expect(released).rejects.toThrow(GateShutError);
    collecting.resolve();
    await journal.ended();
    expect(source.durable).toBe(0);
  });

  test("answers wait while a database cannot be captured; what others commit is put all the same, and so are renewals", async () => {
    const { source, journal } = await setUp({ leaseMs: 200 });
    source.left = ["new.db"];
    source.commit();
    let isReleased = false;
    const released = Promise.resolve(journal.gate()).then(() => void (isReleased = true));
    await until(() => source.durable === 1);
    const before = journal.position;
    await until(() => journal.position >= before + 2);
    expect(isReleased).toBe(false);
    source.left = [];
    await released;
    journal.abort();
    await journal.ended();
  });

  test("a snapshot that lacks what the log has is refused, and the journal continues", async () => {
    const { source, journal } = await setUp();
    source.leavesOut = true;
    await expect(journal.snapshot()).rejects.toThrow("cannot be captured now");
    source.leavesOut = false;
    await journal.snapshot();
    journal.abort();
  });

  test("a checkpoint and a last record go through while a database cannot be captured", async () => {
    const { source, journal } = await setUp();
    source.left = ["new.db"];
    const { snapshot } = await journal.snapshot();
    await snapshot.release();
    await journal.vacate("test", undefined);
  });
});

describe("a flush that may wait for its group", () => {
  /** After a flush of 20 ms that released two, one waits for the next flush, of which nothing is ahead of time. */
  async function oneWaits(suspicion: boolean) {
    const clock = new ManualClock();
    const { journal, source, store } = await setUp({ clock });
    store.isHolding = true;
    source.commit();
    const two = [journal.gate(), journal.gate()];
    await until(() => store.held.length === 1);
    clock.advance(20);
    store.isHolding = false;
    store.release();
    await Promise.all(two);
    source.suspicion = suspicion;
    source.commit();
    const isReleased = { now: false };
    const gate = Promise.resolve(journal.gate()).then(() => (isReleased.now = true));
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    return { clock, journal, gate, isReleased };
  }

  test("waits for as long as the last one took", async () => {
    const { clock, journal, gate, isReleased } = await oneWaits(false);
    expect(isReleased.now).toBe(false);
    clock.advance(20);
    await gate;
    journal.abort();
  });

  test("begins at once while something moved that no index shows", async () => {
    const { journal, gate } = await oneWaits(true);
    await gate;
    journal.abort();
  });
});

describe("names of requests", () => {
  const named = (count: number) => ({ run: "00112233445566aa", count, after: 0, isAgain: false });

  /** Of each commit in the log. */
  async function inLog<T>(store: Store, of: (sections: readonly Section[]) => T): Promise<T[]> {
    const reader = new LogReader({
      log: new StoreLog(store, "notes"),
      start: { position: 0, hash: zeros },
      rules: allRules,
    });
    const found = [];
    for (let record = await reader.next(); record !== undefined; record = await reader.next())
      if (record.body.kind === "commit") found.push(of(record.sections));
    return found;
  }
  const namesInLog = (store: Store) =>
    inLog(store, (sections) => requestNamesOf(sections)?.names.map(({ count }) => count));
  const outcomesInLog = (store: Store) =>
    inLog(store, (sections) => requestOutcomesOf(sections).map(({ name }) => name.count));

  test("that began before the end of a collection are in its flush, and the next flush has the later ones", async () => {
    const requestNames = new RequestNames();
    const { journal, source, store } = await setUp({ handover: new Handover(requestNames, systemClock) });
    const collecting = Promise.withResolvers<void>();
    source.collecting = collecting.promise;
    requestNames.begin(named(1), 1);
    source.commit();
    const gate = journal.gate();
    await until(() => source.collections > 0);
    requestNames.begin(named(2), 1);
    store.isHolding = true;
    collecting.resolve();
    await until(() => store.held.length === 1);
    requestNames.begin(named(3), 1);
    store.isHolding = false;
    store.release();
    await gate;
    source.commit();
    await journal.gate();
    source.commit();
    await journal.gate();
    journal.abort();
    expect(await namesInLog(store)).toEqual([[1, 2], [3], []]);
  });

  test("and their answers: those that were complete before a collection are in its flush, the others in the next", async () => {
    const requestNames = new RequestNames();
    const { journal, source, store } = await setUp({ handover: new Handover(requestNames, systemClock) });
    for (const count of [1, 2]) requestNames.begin(named(count), 1);
    const collecting = Promise.withResolvers<void>();
    source.collecting = collecting.promise;
    const outcome = { kind: "whole", status: 201, reason: "Created", fields: "", body: Buffer.from("ok") } as const;
    requestNames.answered(named(1), outcome);
    source.commit();
    store.isHolding = true;
    const gate = journal.gate();
    await until(() => source.collections > 0);
    requestNames.answered(named(2), outcome);
    collecting.resolve();
    await until(() => store.held.length === 1);
    store.isHolding = false;
    store.release();
    await gate;
    source.commit();
    await journal.gate();
    journal.abort();
    expect(await outcomesInLog(store)).toEqual([[1], [2]]);
    requestNames.beginTerm();
    const kindOf = (count: number) => requestNames.begin({ ...named(count), isAgain: true }, 2).kind;
    expect([1, 2].map(kindOf)).toEqual(["recorded", "recorded"]);
  });

  test("are in the log in whatever format records are, from the first one on that is a client's key", async () => {
    const requestNames = new RequestNames();
    const { journal, source, store } = await setUp({ handover: new Handover(requestNames, systemClock), format: 1 });
    const answer = { kind: "whole", status: 201, reason: "", fields: "", body: Buffer.alloc(0) } as const;
    for (const name of [named(1), { ...named(2), isKeyed: true, fingerprint: "0".repeat(32) }, named(3)]) {
      requestNames.begin(name, 1);
      requestNames.answered(name, answer);
      source.commit();
      await journal.gate();
    }
    expect(await namesInLog(store)).toEqual([undefined, [2], [3]]);
    expect(await outcomesInLog(store)).toEqual([[], [2], [3]]);
    const follower = new RequestNames();
    for (const names of await inLog(store, requestNamesOf)) follower.onFlush(2, names);
    expect([follower.isKeyed, follower.table().isKeyed]).toEqual([true, true]);
    journal.abort();
  });

  describe("answers wait for a flush that leaves nothing out, because what they confirm may be in that", () => {
    test.each([
      ["a database that cannot be captured", true],
      ["a commit that its index does not have", false],
    ])("%s; names do not wait", async (_, isDatabase) => {
      const requestNames = new RequestNames();
      const { journal, source, store } = await setUp({ handover: new Handover(requestNames, systemClock) });
      requestNames.begin(named(1), 1);
      requestNames.answered(named(1), { kind: "whole", status: 201, reason: "", fields: "", body: Buffer.alloc(0) });
      const unsettled = { isSettled: isDatabase };
      source.unsettled = [unsettled];
      source.left = isDatabase ? ["b.db"] : [];
      source.commit();
      const gate = journal.gate();
      await until(() => source.durable === 1);
      unsettled.isSettled = true;
      source.left = [];
      source.commit();
      await journal.gate();
      await gate;
      journal.abort();
      expect(await namesInLog(store)).toEqual([[1], []]);
      expect(await outcomesInLog(store)).toEqual([[], [1]]);
    });
  });

  test("wait for a flush: a renewal takes none", async () => {
    const requestNames = new RequestNames();
    const { journal, source, store } = await setUp({ handover: new Handover(requestNames, systemClock) });
    requestNames.begin(named(1), 1);
    await journal.append({ kind: "renew" });
    source.commit();
    await journal.gate();
    journal.abort();
    expect(await namesInLog(store)).toEqual([[1]]);
  });
});

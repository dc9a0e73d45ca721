import { describe, expect, test } from "bun:test";
import { lostContinuity } from "../../../src/capture/capture-error.ts";
import { WrittenMeanwhileError } from "../../../src/capture/written-meanwhile.ts";
import { allRules } from "../../../src/core/rules.ts";
import { Checkpointer, type CheckpointerOptions } from "../../../src/host/primary/checkpointer.ts";
import { Journal } from "../../../src/host/primary/journal.ts";
import { GateShutError, type JournalEnd } from "../../../src/host/primary/journal-end.ts";
import type { CaptureBatch, CaptureSnapshot } from "../../../src/host/ports/ports.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import type { WorkProgress } from "../../../src/runtime/progress-report.ts";
import { type CheckpointManifest, listCheckpoints, readManifest } from "../../../src/vault/checkpoint/checkpoint.ts";
import { chunkBytes } from "../../../src/vault/limits.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import type { LogRecord } from "../../../src/vault/record.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";
import { FaultyStore } from "../../support/vault/faulty-store.ts";
import { failureOf } from "../../support/vault/log-fixture.ts";
import { FakeSource } from "../../support/host/fake-source.ts";
import { claimAs, Pages, readerFromStart, until } from "../../support/host/log-fixture.ts";

const never = Number.MAX_SAFE_INTEGER;
const nothing = { elapsedMs: 0, bytes: 0, records: 0 };

/** A source whose snapshot reads when the test lets it. */
class SlowSnapshots extends FakeSource {
  readonly pages = new Pages("a.db");
  beforeRead: () => Promise<void> = () => Promise.resolve();
  taken = 0;
  released = 0;
  reads = 0;

  override async beginSnapshot(): Promise<{ batch: CaptureBatch | undefined; snapshot: CaptureSnapshot }> {
    this.taken += 1;
    const { batch } = await super.beginSnapshot();
    const database = this.pages.snapshot();
    const read = async (offset: number, length: number): Promise<Uint8Array> => {
      this.reads += 1;
      await this.beforeRead();
      return database.read(offset, length);
    };
    return {
      batch,
      snapshot: { databases: [{ ...database, read }], release: () => Promise.resolve(void (this.released += 1)) },
    };
  }
}

async function setUp(changes: Partial<CheckpointerOptions> = {}) {
  const store = new FaultyStore(new MemoryStore());
  const source = new SlowSnapshots();
  source.pages.change({ 1: 1, 2: 2 });
  const writer = await claimAs(store, "a");
  const ends: JournalEnd[] = [];
  const journal = new Journal({
    writer,
    clock: systemClock,
    rules: allRules,
    leaseMs: 60_000,
    durability: { kind: "strict" },
    onEnd: (end) => ends.push(end),
    onRecord: () => undefined,
  });
  journal.attach(source);
  const done: CheckpointManifest[] = [];
  const failed: string[] = [];
  const cleaned: number[] = [];
  const checkpointer = new Checkpointer({
    ...{
      journal,
      store,
      clock: systemClock,
      rules: allRules,
      log: { info: () => undefined, warn: () => undefined, error: () => undefined },
      host: "a",
      epoch: 1,
      epochPosition: writer.claimPosition,
    },
    thresholds: { intervalMs: never, journalBytes: never, restoreBudgetMs: never },
    base: undefined,
    since: nothing,
    clean: (newest) => Promise.resolve(void cleaned.push(newest.position)),
    onDone: (manifest) => done.push(manifest),
    onFailed: (reason) => failed.push(reason),
    ...changes,
  });
  checkpointer.begin();
  return { store, source, journal, checkpointer, done, failed, cleaned, ends };
}

async function records(store: FaultyStore): Promise<LogRecord[]> {
  const reader = readerFromStart(store);
  const found: LogRecord[] = [];
  for (let record = await reader.next(); record !== undefined; record = await reader.next()) found.push(record);
  return found;
}

describe("a checkpointer", () => {
  test("names older checkpoints by the rules that are in force when it makes one", async () => {
    let rules: { everyMs: number; forMs: number }[] = [];
    let wallTimeMs = 1_000;
    // Each is made in a second of its own.
    const clock = { ...systemClock, now: () => systemClock.now(), wallTime: () => (wallTimeMs += 1_000) };
    const { store, checkpointer, source, done } = await setUp({ history: () => rules, clock });
    const make = async (count: number): Promise<CheckpointManifest | undefined> => {
      source.commit();
      await checkpointer.now("a test");
      return readManifest(store, done[count - 1]?.position ?? 0);
    };
    expect((await make(1))?.history).toBeUndefined();
    rules = [{ everyMs: 1_000, forMs: 60_000 }];
    expect((await make(2))?.history?.map(({ position }) => position)).toEqual([done[0]?.position ?? 0]);
    expect((await make(3))?.history?.map(({ position }) => position)).toContain(done[1]?.position ?? 0);
    rules = [];
    expect((await make(4))?.history).toBeUndefined();
    await checkpointer.close();
  });

  test("makes none before its primary serves, however much the application writes while it starts", async () => {
    const { store, source, journal } = await setUp();
    const checkpointer = new Checkpointer({
      ...{
        journal,
        store,
        clock: systemClock,
        rules: allRules,
        log: { info: () => undefined, warn: () => undefined, error: () => undefined },
        host: "a",
        epoch: 1,
        epochPosition: 1,
      },
      ...{
        thresholds: { intervalMs: 0, journalBytes: 1, restoreBudgetMs: 0 },
        base: undefined,
        since: nothing,
        clean: () => Promise.resolve(),
      },
      ...{ onDone: () => undefined, onFailed: () => undefined },
    });
    checkpointer.onRecord({ kind: "commit", bytes: 1_000_000 });
    expect(await failureOf(checkpointer.now("an operator asks"))).toMatchObject({
      message: expect.stringContaining("R5"),
    });
    expect(source.taken).toBe(0);
    checkpointer.begin();
    checkpointer.onRecord({ kind: "commit", bytes: 1 });
    await checkpointer.now("the checkpoint in progress");
    expect(source.taken).toBe(1);
    journal.abort();
  });

  test("counts from the newest checkpoint: of many short terms each continues where the one before ended", async () => {
    const thresholds = { intervalMs: never, journalBytes: 1_000, restoreBudgetMs: never };
    const { source, journal, checkpointer } = await setUp({
      thresholds,
      since: { elapsedMs: 0, bytes: 998, records: 7 },
    });
    checkpointer.onRecord({ kind: "commit", bytes: 1 });
    expect(source.taken).toBe(0);
    checkpointer.onRecord({ kind: "commit", bytes: 1 });
    await checkpointer.now("the checkpoint in progress");
    expect(source.taken).toBe(1);
    journal.abort();
  });

  test("leaves a checkpoint that is due by its age alone until a new primary has served for a while", async () => {
    let now = 0;
    const clock = { ...systemClock, now: () => now, sleep: () => Promise.resolve() };
    const thresholds = { intervalMs: 300_000, journalBytes: never, restoreBudgetMs: never };
    const since = { elapsedMs: 900_000, bytes: 10, records: 1 };
    const { source, journal, checkpointer } = await setUp({ clock, thresholds, since });
    now = 29_999;
    checkpointer.onRecord({ kind: "commit", bytes: 1 });
    expect(source.taken).toBe(0);
    now = 30_000;
    checkpointer.onRecord({ kind: "commit", bytes: 1 });
    await checkpointer.now("the checkpoint in progress");
    expect(source.taken).toBe(1);
    journal.abort();
  });

  test("announces a checkpoint only when it is whole in the vault, and cleans after that", async () => {
    const { store, journal, checkpointer, done, cleaned } = await setUp();
    const { position } = await checkpointer.now("test");
    expect(await readManifest(store, position)).toBeDefined();
    expect((await records(store)).at(-1)?.body).toMatchObject({ kind: "checkpoint", checkpointPosition: position });
    expect([done.map((manifest) => manifest.position), cleaned]).toEqual([[position], [position]]);
    journal.abort();
  });

  test("says how far it is while it writes, at what rate and for how long, and nothing before and after", async () => {
    let now = 0;
    const clock = { ...systemClock, now: () => now, sleep: () => Promise.resolve() };
    const { source, journal, checkpointer } = await setUp({ clock });
    const pages = (3 * chunkBytes) / source.pages.snapshot().pageSize;
    source.pages.change(Object.fromEntries(Array.from({ length: pages }, (_, at) => [at + 1, 1])));
    const told: (readonly [reads: number, progress: WorkProgress | undefined])[] = [];
    source.beforeRead = () => {
      told.push([source.reads, checkpointer.progress]);
      now += 1_000;
      checkpointer.onRecord({ kind: "commit", bytes: 1 });
      return Promise.resolve();
    };
    checkpointer.onRecord({ kind: "commit", bytes: 1 });
    await checkpointer.now("test");
    expect(told[0]).toEqual([1, undefined]);
    expect(told.map(([, progress]) => progress?.done)).toEqual([undefined, chunkBytes, 2 * chunkBytes]);
    expect(told[2]?.[1]).toEqual({
      ...{ done: 2 * chunkBytes, total: 3 * chunkBytes, perSecond: chunkBytes, leftMs: 1_000 },
    });
    expect(checkpointer.progress).toBeUndefined();
    journal.abort();
  });

  test("reads one chunk at a time while commits are made, and several once there have been none for a while", async () => {
    let now = 0;
    const clock = { ...systemClock, now: () => now, sleep: () => Promise.resolve() };
    const { source, journal, checkpointer } = await setUp({ clock });
    const pages = (8 * chunkBytes) / source.pages.snapshot().pageSize;
    source.pages.change(Object.fromEntries(Array.from({ length: pages }, (_, at) => [at + 1, at % 251])));
    const waiting: (() => void)[] = [];
    source.beforeRead = () => new Promise((resolve) => void waiting.push(resolve));
    checkpointer.onRecord({ kind: "commit", bytes: 1 });
    const running = checkpointer.now("test");
    await until(() => waiting.length > 0);
    expect(waiting.length).toBe(1);
    now += 249;
    checkpointer.onRecord({ kind: "renew", bytes: 1 });
    waiting.pop()?.();
    await until(() => waiting.length > 0);
    expect([waiting.length, source.reads]).toEqual([1, 2]);
    now += 1;
    waiting.pop()?.();
    await until(() => source.reads > 2);
    expect(waiting.length).toBe(4);
    source.beforeRead = () => Promise.resolve();
    for (const begin of waiting.splice(0)) begin();
    await running;
    expect(source.reads).toBe(8);
    journal.abort();
  });

  test("writes one at a time: a caller that asks meanwhile gets the one in progress", async () => {
    const { source, journal, checkpointer } = await setUp();
    const first = checkpointer.now("one");
    const second = checkpointer.now("two");
    expect(await second).toBe(await first);
    expect([source.seals, source.released]).toEqual([1, 1]);
    journal.abort();
  });

  test("begins when long logs have started over, since none can until its snapshot is released", async () => {
    let asked = 0;
    const { source, journal, checkpointer } = await setUp({ canBegin: () => (asked += 1) > 2 });
    const running = checkpointer.now("test");
    await until(() => asked === 2);
    expect(source.taken).toBe(0);
    await running;
    expect([asked, source.taken]).toEqual([3, 1]);
    journal.abort();
  });

  test("begins after a while all the same: an application's reader may keep a log from starting over for long", async () => {
    const clock = new ManualClock();
    const { source, journal, checkpointer } = await setUp({ canBegin: () => false, clock });
    const running = checkpointer.now("test");
    for (let slept = 0; source.taken === 0; slept += 1) {
      expect(slept).toBeLessThan(1_000);
      clock.advance(50);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await running;
    expect(source.released).toBe(1);
    journal.abort();
  });

  test("begins again at once when a database that no process had open was written while it was being copied, and puts that off when it happens again and again", async () => {
    const { source, journal, checkpointer, done } = await setUp();
    const written = (): Promise<never> => Promise.reject(new WrittenMeanwhileError("b.db"));
    source.beforeRead = () => (source.taken < 3 ? written() : Promise.resolve());
    const { position } = await checkpointer.now("test");
    expect([source.taken, source.released, done.map((manifest) => manifest.position)]).toEqual([3, 3, [position]]);
    source.pages.change({ 1: 3 });
    source.beforeRead = written;
    await expect(checkpointer.now("test")).rejects.toThrow("b.db was written while the snapshot was being copied");
    expect([source.taken, source.released, done.length]).toEqual([13, 13, 1]);
    journal.abort();
  });

  test("announces nothing when a chunk cannot be stored, lets the snapshot go, and can try again", async () => {
    const { store, source, journal, checkpointer, done } = await setUp();
    store.beforePut = (key) =>
      key.startsWith("chunks/") ? Promise.reject(new Error("the vault is full")) : Promise.resolve();
    await expect(checkpointer.now("test")).rejects.toThrow("the vault is full");
    expect([done, source.released, await listCheckpoints(store)]).toEqual([[], 1, []]);
    expect((await records(store)).some(({ body }) => body.kind === "checkpoint")).toBe(false);
    store.beforePut = undefined;
    const { position } = await checkpointer.now("again");
    expect(await listCheckpoints(store)).toEqual([position]);
    journal.abort();
  });

  test("starts one by itself when so much was journaled, says when it fails, and then waits for as much again", async () => {
    let begun = 0;
    const { store, journal, checkpointer, failed, done } = await setUp({
      thresholds: { intervalMs: never, journalBytes: 1000, restoreBudgetMs: never },
      canBegin: () => ((begun += 1), true),
    });
    checkpointer.onRecord({ kind: "commit", bytes: 999 });
    expect(await listCheckpoints(store)).toEqual([]);
    store.beforePut = (key) =>
      key.startsWith("chunks/") ? Promise.reject(new Error("the vault is full")) : Promise.resolve();
    checkpointer.onRecord({ kind: "commit", bytes: 1 });
    await until(() => failed.length === 1);
    expect(failed).toEqual(["the vault is full"]);
    store.beforePut = undefined;
    checkpointer.onRecord({ kind: "commit", bytes: 999 });
    expect(begun).toBe(1);
    checkpointer.onRecord({ kind: "commit", bytes: 1 });
    await until(() => done.length === 1);
    expect(begun).toBe(2);
    journal.abort();
  });

  test("ends the term when a page is not what was captured: the application reads the same pages", async () => {
    const { store, source, journal, checkpointer, failed, ends } = await setUp({
      thresholds: { intervalMs: never, journalBytes: 1000, restoreBudgetMs: never },
    });
    source.beforeRead = () =>
      Promise.reject(
        lostContinuity("a.db", "page 2 with other content than was captured", "the content that is in the journal"),
      );
    checkpointer.onRecord({ kind: "commit", bytes: 1000 });
    await until(() => failed.length === 1);
    expect(ends).toEqual([{ kind: "must-stop", reason: expect.stringContaining("page 2") }]);
    expect(() => journal.gate()).toThrow(GateShutError);
    expect(await listCheckpoints(store)).toEqual([]);
  });

  test("stays primary when the vault refuses a checkpoint", async () => {
    const { store, journal, checkpointer, ends } = await setUp();
    store.beforePut = (key) =>
      key.startsWith("chunks/") ? Promise.reject(new Error("the vault is full")) : Promise.resolve();
    await expect(checkpointer.now("test")).rejects.toThrow("the vault is full");
    expect([ends, await journal.gate()]).toEqual([[], undefined]);
    journal.abort();
  });

  test("reads nothing of the databases any more once it is stopped, and does not announce", async () => {
    const { store, source, journal, checkpointer, failed } = await setUp();
    const gate = Promise.withResolvers<void>();
    source.beforeRead = () => gate.promise;
    const running = checkpointer.now("test").then(
      () => "written",
      () => "failed",
    );
    await until(() => source.reads === 1);
    let isStopped = false;
    const stopped = checkpointer.close().then(() => (isStopped = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isStopped).toBe(false); // A read is in progress: the databases must stay open.
    journal.abort();
    gate.resolve();
    await stopped;
    expect(await running).toBe("failed");
    expect(source.reads).toBe(1);
    checkpointer.ask("late");
    checkpointer.onRecord({ kind: "commit", bytes: never });
    expect([source.seals, failed]).toEqual([1, []]);
    expect((await records(store)).some(({ body }) => body.kind === "checkpoint")).toBe(false);
  });
});

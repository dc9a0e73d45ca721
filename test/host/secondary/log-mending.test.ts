import { expect, test } from "bun:test";
import { ReplicaError } from "../../../src/capture/replica-error.ts";
import { type AskForCheckpoint, type ClaimedBy, LogMending } from "../../../src/host/secondary/log-mending.ts";
import { UnappliableFlushError } from "../../../src/host/secondary/unappliable-flush.ts";
import { writeCheckpoint } from "../../../src/vault/checkpoint/checkpoint.ts";
import { CorruptRecordError, UnknownFormatError } from "../../../src/vault/errors.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";
import { claimAs, logIn, Pages, until, zeros } from "../../support/host/log-fixture.ts";

const never = new AbortController().signal;
const refusedFlush = new UnappliableFlushError(4, 3, new ReplicaError("a.db", "checksum 1", "checksum 2"));

/** A log of host b's epoch, and a host `instance` that stands before position 4 of it. */
async function stand(ask: AskForCheckpoint | undefined, instance = "c-1") {
  const store = new MemoryStore();
  const clock = new ManualClock();
  await claimAs(store, "b", { controlUrl: "http://10.0.0.2:7000" });
  const warnings: string[] = [];
  const mending = new LogMending({
    store,
    log: logIn(store),
    clock,
    instance,
    ask,
    onWarning: (text) => warnings.push(text),
  });
  const pages = new Pages("a.db");
  pages.change({ 1: 1 });
  const checkpoint = (position: number) =>
    writeCheckpoint({ store, position, hash: zeros, epoch: 1, wallTimeMs: 0, databases: [pages.snapshot()] });
  return { store, clock, mending, warnings, checkpoint };
}

/** Lets timers pass until the wait is over; how many milliseconds that took. */
async function over(wait: Promise<void> | undefined, clock: ManualClock): Promise<number> {
  const begun = clock.now();
  let isOver = false;
  wait?.then(
    () => (isOver = true),
    () => (isOver = true),
  );
  await until(async () => {
    await Promise.resolve();
    if (!isOver && clock.timers > 0) clock.advance(250);
    return isOver;
  });
  return clock.now() - begun;
}

test("who has the last claim is asked for a checkpoint, and the wait ends with it", async () => {
  const asked: ClaimedBy[] = [];
  const { clock, mending, warnings, checkpoint } = await stand(async (primary) => {
    asked.push(primary);
    await checkpoint(6);
    return undefined;
  });
  expect(await over(mending.after(refusedFlush, never), clock)).toBeLessThan(5_000);
  expect(asked).toEqual([{ host: "b", controlUrl: "http://10.0.0.2:7000", instance: "b-1" }]);
  expect(warnings).toEqual([
    expect.stringContaining("past position 4; host b was asked for a checkpoint behind it and made one"),
  ]);
});

test("a checkpoint before the record mends nothing, one at the record does", async () => {
  const { clock, mending, checkpoint } = await stand(undefined);
  await checkpoint(3);
  expect(await over(mending.after(refusedFlush, never), clock)).toBe(5_000);
  await checkpoint(4);
  expect(await over(mending.after(refusedFlush, never), clock)).toBe(0);
});

test("a checkpoint that does not help, because it is damaged, is not tried again at once: a later one is waited for", async () => {
  const { clock, mending, checkpoint } = await stand(undefined);
  await checkpoint(6);
  expect(await over(mending.after(refusedFlush, never), clock)).toBe(0);
  expect(await over(mending.after(refusedFlush, never), clock)).toBe(10_000);
  await checkpoint(8);
  expect(await over(mending.after(refusedFlush, never), clock)).toBe(0);
});

test("without a checkpoint the restore is tried again, later each time for the same record, and what the primary said is told", async () => {
  const { clock, mending, warnings } = await stand(() =>
    Promise.resolve("only a primary writes checkpoints; this host is restoring"),
  );
  const damaged = new CorruptRecordError(4, "log/4", "a flipped bit", "what was written");
  const waits = [];
  for (let tries = 0; tries < 6; tries += 1) waits.push(await over(mending.after(damaged, never), clock));
  expect(waits).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
  expect(warnings[0]).toContain("did not make one: only a primary writes checkpoints");
  expect(await over(mending.after(new CorruptRecordError(9, "log/9", "nothing", "a record"), never), clock)).toBe(
    5_000,
  );
});

test("for a record of an unknown format no host is asked, and a checkpoint behind it is waited for as patiently", async () => {
  const { clock, mending, checkpoint } = await stand(() => Promise.reject(new Error("asked for a checkpoint")));
  const newer = new UnknownFormatError("log/4", "version 3", "versions 1 and 2", { position: 4 });
  expect(await over(mending.after(newer, never), clock)).toBe(5_000);
  expect(await over(mending.after(newer, never), clock)).toBe(10_000);
  await checkpoint(6);
  expect(await over(mending.after(newer, never), clock)).toBe(0);
  expect(
    mending.after(new UnknownFormatError("checkpoints/0000000000000004", "version 9", "version 1"), never),
  ).toBeUndefined();
});

test("a host does not ask itself, other errors are not waited for here, and a stop ends the wait", async () => {
  const { clock, mending } = await stand(() => Promise.reject(new Error("asked itself")), "b-1");
  expect(await over(mending.after(refusedFlush, never), clock)).toBe(5_000);
  expect(mending.after(new Error("the disk is full"), never)).toBeUndefined();
  const stop = new AbortController();
  const wait = mending.after(refusedFlush, stop.signal);
  stop.abort(new Error("the host stops"));
  await expect(wait).rejects.toThrow("the host stops");
});

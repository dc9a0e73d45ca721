import { describe, expect, test } from "bun:test";
import { type NamedRequest, RequestNames } from "../../../src/core/request-names.ts";
import type { RequestOutcome } from "../../../src/core/request-outcome.ts";
import { Handover } from "../../../src/host/application/handover.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

const named = (count: number): NamedRequest => ({ run: "00112233445566aa", count, after: 0, isAgain: false });
const outcome: RequestOutcome = { kind: "whole", status: 201, reason: "Created", fields: "", body: Buffer.from("ok") };

const setUp = () => {
  const clock = new ManualClock();
  return { clock, handover: new Handover(new RequestNames(), clock) };
};

async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  void promise.then(() => (settled = true));
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  return settled;
}

describe("the hand-over of named requests", () => {
  test("is paused for a flush, which waits for none while none executes, nor for those without a name", async () => {
    const { handover } = setUp();
    handover.begin({}, undefined, 1);
    expect(await isSettled(handover.pause(2))).toBe(true);
    expect(handover.isOpen).toBe(false);
    handover.release();
    expect(handover.isOpen).toBe(true);
  });

  test("pauses until those that have begun are answered, and hands over again after the collection", async () => {
    const { handover } = setUp();
    const [one, other] = [{}, {}];
    handover.begin(one, named(1), 1);
    handover.begin(other, named(2), 1);
    const pause = handover.pause(2);
    handover.answered(one, outcome);
    expect([await isSettled(pause), handover.isOpen]).toEqual([false, false]);
    handover.over(other);
    expect([await isSettled(pause), handover.isOpen]).toEqual([true, false]);
    const next = handover.whenOpen();
    expect(await isSettled(next)).toBe(false);
    handover.release();
    expect([await isSettled(next), handover.isOpen]).toEqual([true, true]);
  });

  test("waits no longer than it may, and not at all for what executes for longer already", async () => {
    const { clock, handover } = setUp();
    const [one, other] = [{}, {}];
    handover.begin(one, named(1), 1);
    handover.begin(other, named(2), 1);
    const pause = handover.pause(8);
    expect(await isSettled(pause)).toBe(false);
    clock.advance(63);
    expect(await isSettled(pause)).toBe(false);
    clock.advance(1);
    expect(await isSettled(pause)).toBe(true);
    handover.release();
    expect(await isSettled(handover.pause(8))).toBe(true);
  });

  test("gives the application no more than the window at a time, in order, and one for each that is answered", async () => {
    const { clock, handover } = setUp();
    const begun: number[] = [];
    const requests = Array.from({ length: 8 }, () => ({}));
    const handOver = async (count: number): Promise<void> => {
      await handover.whenOpen();
      begun.push(count);
      handover.begin(requests[count] as object, named(count), 1);
    };
    const all = Promise.all(requests.map((_, count) => handOver(count)));
    expect([await isSettled(all), begun]).toEqual([false, [0, 1]]);
    handover.answered(requests[0] as object, outcome);
    await isSettled(all);
    expect(begun).toEqual([0, 1, 2]);
    // What executes for longer than a flush would wait counts no more.
    clock.advance(20);
    await isSettled(all);
    expect(begun).toEqual([0, 1, 2, 3, 4]);
  });

  test("learns at each flush how many are in flight: half of them is the window, and both halves take turns", async () => {
    const { handover } = setUp();
    const requests = Array.from({ length: 16 }, () => ({}));
    const begun: number[] = [];
    for (const [count, request] of requests.entries())
      void handover.whenOpen().then(() => {
        begun.push(count);
        handover.begin(request, named(count), 1);
      });
    const flush = async (): Promise<void> => {
      const pause = handover.pause(2);
      await isSettled(pause);
      for (const count of begun.splice(0)) handover.answered(requests[count] as object, outcome);
      await pause;
      handover.release();
    };
    await isSettled(Promise.resolve());
    expect([begun.length, handover.isTakingTurns]).toEqual([2, false]);
    await flush();
    await isSettled(Promise.resolve());
    expect([begun.length, handover.isTakingTurns]).toEqual([2, true]);
    await flush();
    await isSettled(Promise.resolve());
    expect(begun.length).toBe(4);
  });

  test("holds nothing back where no outcomes are kept: those that were answered are in doubt all the same", async () => {
    const { outcomeLimitsDefault } = await import("../../../src/core/request-outcome.ts");
    const names = new RequestNames(undefined, { ...outcomeLimitsDefault, keepMs: 0 });
    const handover = new Handover(names, new ManualClock());
    for (let count = 1; count <= 20; count++) handover.begin({}, named(count), 1);
    expect([await isSettled(handover.pause(2)), handover.isOpen, handover.isTakingTurns]).toEqual([true, true, false]);
  });

  test("passes the place on of one that does not begin", async () => {
    const { handover } = setUp();
    const executing = [{}, {}];
    for (const [count, request] of executing.entries()) handover.begin(request, named(count), 1);
    const [first, next, last] = [handover.whenOpen(), handover.whenOpen(), handover.whenOpen()];
    handover.over(executing[0] as object);
    expect([await isSettled(first), await isSettled(next), await isSettled(last)]).toEqual([true, false, false]);
    handover.decline();
    expect([await isSettled(next), await isSettled(last)]).toEqual([true, false]);
  });

  test("gives no place twice: one that found room at once has taken that of one that is declined after it", async () => {
    const { handover } = setUp();
    await handover.whenOpen();
    handover.begin({}, named(1), 1);
    handover.decline();
    expect(handover.isOpen).toBe(true);
    handover.begin({}, named(2), 1);
    expect(handover.isOpen).toBe(false);
  });

  test("notes an answer once, of a request that it handed over and that is not given up", () => {
    const { handover } = setUp();
    const [one, other] = [{}, {}];
    handover.begin(one, named(1), 1);
    handover.begin(other, named(2), 1);
    handover.over(other);
    for (const request of [one, one, other, {}]) handover.answered(request, outcome);
    expect(handover.names.takeOutcomes().map(({ name }) => name.count)).toEqual([1]);
    expect([one, other].map((request) => handover.isExecuting(request))).toEqual([false, false]);
  });
});

import { describe, expect, test } from "bun:test";
import { type NamedRequest, RequestNames } from "../../../src/core/request-names.ts";
import type { RequestOutcome } from "../../../src/core/request-outcome.ts";
import { Handover } from "../../../src/host/application/handover.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

const named = (count: number): NamedRequest => ({ run: "00112233445566aa", count, after: 0, isAgain: false });
const outcome: RequestOutcome = { kind: "whole", status: 201, reason: "Created", fields: [], body: Buffer.from("ok") };

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
    clock.advance(16);
    expect(await isSettled(pause)).toBe(true);
    handover.release();
    expect(await isSettled(handover.pause(8))).toBe(true);
  });

  test("gives the application no more than the window at a time, in order, and one more for each that is answered", async () => {
    const { clock, handover } = setUp();
    const begun: number[] = [];
    const requests = Array.from({ length: 10 }, () => ({}));
    const handOver = async (count: number): Promise<void> => {
      await handover.whenOpen();
      begun.push(count);
      handover.begin(requests[count] as object, named(count), 1);
    };
    const all = Promise.all(requests.map((_, count) => handOver(count)));
    expect([await isSettled(all), begun]).toEqual([false, [0, 1, 2, 3]]);
    handover.answered(requests[0] as object, outcome);
    await isSettled(all);
    // One for the answer, and one because the window has grown.
    expect(begun).toEqual([0, 1, 2, 3, 4, 5]);
    // What executes for longer than a flush would wait counts no more.
    clock.advance(10);
    expect([await isSettled(all), begun.length]).toEqual([true, 10]);
  });

  test("passes the place on of one that does not begin", async () => {
    const { handover } = setUp();
    const executing = Array.from({ length: 4 }, () => ({}));
    for (const [count, request] of executing.entries()) handover.begin(request, named(count), 1);
    const [first, next, last] = [handover.whenOpen(), handover.whenOpen(), handover.whenOpen()];
    handover.over(executing[0] as object);
    expect([await isSettled(first), await isSettled(next), await isSettled(last)]).toEqual([true, true, false]);
    handover.decline();
    expect(await isSettled(last)).toBe(true);
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

import { expect, test } from "bun:test";
import { Hold, type HoldOptions } from "../../../src/http/proxy/hold.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

const never = new AbortController().signal;

function make(changes: Partial<HoldOptions> = {}): { hold: Hold; clock: ManualClock } {
  const clock = new ManualClock();
  return {
    hold: new Hold({ requestsMax: 100, bytesMax: 1_000, waitMsMax: 1_000, releaseConcurrency: 2, clock, ...changes }),
    clock,
  };
}

test("an open hold releases every request at once", async () => {
  const { hold } = make();
  hold.open();
  expect(await hold.wait(10, never)).toBe("released");
  expect(hold.waiting).toBe(0);
});

test("requests are released in the order of their arrival, no more at a time than stated", async () => {
  const { hold } = make();
  const order: number[] = [];
  const all = [0, 1, 2, 3, 4].map(async (i) => {
    expect(await hold.wait(1, never)).toBe("released");
    order.push(i);
  });
  expect(hold.waiting).toBe(5);
  hold.open();
  await Promise.all(all.slice(0, 2));
  expect(order).toEqual([0, 1]);
  expect(hold.waiting).toBe(3);
  hold.done();
  await all[2];
  expect(order).toEqual([0, 1, 2]);
  hold.done();
  hold.done();
  await Promise.all(all);
  expect(order).toEqual([0, 1, 2, 3, 4]);
});

test("a request that arrives while others wait queues behind them", async () => {
  const { hold } = make({ releaseConcurrency: 1 });
  const order: string[] = [];
  const first = hold.wait(1, never).then(() => order.push("first"));
  const second = hold.wait(1, never).then(() => order.push("second"));
  hold.open();
  await first;
  expect(hold.isPassable).toBe(false);
  const late = hold.wait(1, never).then(() => order.push("late"));
  hold.done();
  await second;
  hold.done();
  await late;
  expect(order).toEqual(["first", "second", "late"]);
});

test("a request beyond the bounds in number or bytes is refused", async () => {
  const { hold } = make({ requestsMax: 2, bytesMax: 100 });
  const first = hold.wait(60, never);
  expect(await hold.wait(41, never)).toEqual({ refused: "full" });
  const second = hold.wait(40, never);
  expect(await hold.wait(0, never)).toEqual({ refused: "full" });
  expect(hold.waitingBytes).toBe(100);
  hold.open();
  expect(await first).toBe("released");
  expect(await second).toBe("released");
  expect(hold.waitingBytes).toBe(0);
});

test("no request waits longer than its own time limit", async () => {
  const { hold, clock } = make();
  const results: string[] = [];
  const early = hold.wait(1, never).then((r) => results.push(`early ${JSON.stringify(r)}`));
  clock.advance(600);
  const late = hold.wait(1, never).then((r) => results.push(`late ${JSON.stringify(r)}`));
  clock.advance(400);
  await early;
  expect(results).toEqual(['early {"refused":"timeout"}']);
  expect(hold.waiting).toBe(1);
  clock.advance(600);
  await late;
  expect(results[1]).toBe('late {"refused":"timeout"}');
  expect(clock.timers).toBe(0);
});

test("a client that goes away leaves the queue", async () => {
  const { hold, clock } = make();
  const gone = new AbortController();
  const waiting = hold.wait(5, gone.signal);
  gone.abort();
  expect(await waiting).toEqual({ refused: "gone" });
  expect(hold.waiting).toBe(0);
  expect(hold.waitingBytes).toBe(0);
  expect(clock.timers).toBe(0);
});

test("a hold that is closed again while it releases keeps the rest", async () => {
  const { hold } = make({ releaseConcurrency: 1 });
  const first = hold.wait(1, never);
  const second = hold.wait(1, never);
  hold.open();
  await first;
  hold.close();
  hold.done();
  expect(hold.waiting).toBe(1);
  hold.open();
  expect(await second).toBe("released");
});

test("done without a release is a programming error", () => {
  expect(() => make().hold.done()).toThrow();
});

test("a hold in maintenance refuses waiting and new requests, and opens or closes behind it", async () => {
  const { hold } = make();
  const waiting = hold.wait(1, never);
  hold.setMaintenance(true);
  expect(await waiting).toEqual({ refused: "maintenance" });
  hold.open();
  expect(hold.isPassable).toBe(false);
  expect(await hold.wait(1, never)).toEqual({ refused: "maintenance" });
  hold.setMaintenance(false);
  expect(await hold.wait(1, never)).toBe("released");
});

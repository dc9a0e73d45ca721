import { expect, test } from "bun:test";
import { Hold } from "../../../src/http/proxy/hold.ts";
import { isReplaced } from "../../../src/http/proxy/replacement.ts";
import type { Route } from "../../../src/http/proxy/route.ts";
import { Upstream } from "../../../src/http/upstream/upstream.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

const patienceMs = 30_000;

/** A request was lost with the primary of epoch 4, whose route stays and whose hold is open. */
function lostInEpoch4(change: Partial<Pick<Route, "isDoubted">> = {}) {
  const clock = new ManualClock();
  const upstreamOf = (epoch: number): Upstream => new Upstream({ host: "127.0.0.1", port: 1, epoch, clock });
  const hold = new Hold({ requestsMax: 1, bytesMax: 1, waitMsMax: patienceMs, releaseConcurrency: 1, clock }, "open");
  const lostOn = upstreamOf(4);
  const gone = new AbortController();
  const route = { current: lostOn as Upstream | undefined, isDoubted: change.isDoubted ?? false };
  let found: boolean | undefined;
  const port: Route = {
    current: () => route.current,
    whenServing: () => hold,
    get isDoubted() {
      return route.isDoubted;
    },
  };
  void isReplaced(port, clock, lostOn, { clientGone: gone.signal }, patienceMs).then((is) => (found = is));
  return {
    route,
    hold,
    gone,
    upstreamOf,
    /** What is known after `ms` more. */
    async after(ms: number): Promise<boolean | undefined> {
      for (let step = 0; step < ms; step += 20) {
        clock.advance(20);
        await Promise.resolve();
        await Promise.resolve();
      }
      return found;
    },
  };
}

test("a request is not kept waiting by a primary that is seen serving", async () => {
  const lost = lostInEpoch4();
  expect(await lost.after(2_900)).toBeUndefined();
  expect(await lost.after(200)).toBe(false);
});

test("a request waits for the next epoch while its primary is doubted, however long the replacement is delayed", async () => {
  const lost = lostInEpoch4({ isDoubted: true });
  expect(await lost.after(10_000)).toBeUndefined();
  lost.route.current = lost.upstreamOf(5);
  expect(await lost.after(20)).toBe(true);
});

test("a primary that was doubted and is seen serving again has to be so for as long as any other", async () => {
  const lost = lostInEpoch4({ isDoubted: true });
  await lost.after(10_000);
  lost.route.isDoubted = false;
  expect(await lost.after(2_900)).toBeUndefined();
  expect(await lost.after(200)).toBe(false);
});

test("the end of a request's time ends its wait, doubted or not", async () => {
  const lost = lostInEpoch4({ isDoubted: true });
  expect(await lost.after(patienceMs - 100)).toBeUndefined();
  expect(await lost.after(200)).toBe(false);
});

test("a client that is gone is not waited for", async () => {
  const lost = lostInEpoch4({ isDoubted: true });
  lost.gone.abort();
  expect(await lost.after(40)).toBe(false);
});

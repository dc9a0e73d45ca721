import { expect, test } from "bun:test";
import type { Clock } from "../../src/runtime/clock.ts";
import { ConnectionPool } from "../../src/runtime/connection-pool.ts";

class FakeConnection {
  aborted: string | undefined;
  get isOpen(): boolean {
    return this.aborted === undefined;
  }
  abort(reason: string): void {
    this.aborted ??= reason;
  }
}

function poolOf(connectionsMax: number) {
  let now = 0;
  const clock = { now: () => now } as Clock;
  const pool = new ConnectionPool<FakeConnection>({ clock, connectionsMax, unusedMsMax: 1_000 });
  return { pool, pass: (ms: number) => void (now += ms) };
}

test("calls beyond the bound wait in the order of arrival", async () => {
  const { pool } = poolOf(1);
  const begun: string[] = [];
  await pool.enter();
  const waiting = ["first", "second"].map((name) => pool.enter().then(() => void begun.push(name)));
  await Promise.resolve();
  expect(begun).toEqual([]);
  pool.release(undefined);
  await waiting[0];
  expect(begun).toEqual(["first"]);
  pool.release(undefined);
  await waiting[1];
  expect(begun).toEqual(["first", "second"]);
});

test("a connection is used again while it is open, young and usable, and closed otherwise", () => {
  const { pool, pass } = poolOf(4);
  const [old, closed, strange, good] = [1, 2, 3, 4].map(() => pool.add(new FakeConnection()));
  if (old === undefined || closed === undefined || strange === undefined || good === undefined) throw new Error("four");
  pool.keep(old);
  pass(1_001);
  closed.abort("by its server");
  pool.keep(closed);
  pool.keep(good);
  pool.keep(strange);
  expect(pool.takeUnused((connection) => connection !== strange)).toBe(good);
  expect([strange.isOpen, good.isOpen]).toEqual([false, true]);
  expect(pool.takeUnused()).toBeUndefined();
  expect(old.isOpen).toBe(false);
});

test("closing ends the calls in progress, and says why", () => {
  const { pool } = poolOf(1);
  const used = pool.add(new FakeConnection());
  const ended = pool.add(new FakeConnection());
  ended.abort("by its server");
  pool.release(ended);
  pool.close("the vault is closed");
  expect([used.aborted, ended.aborted, pool.isClosed]).toEqual(["the vault is closed", "by its server", true]);
});

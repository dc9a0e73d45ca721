/** A gateway whose clock was once more than a day ahead is taken by its peers as soon as the clock is right. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rowAnswer, rowRequest, takeAnswer, unknownPeer } from "../../../src/core/replication/exchange.ts";
import { decodeRows, encodeRows } from "../../../src/gateway/peers/wire.ts";
import { fileDisk } from "../../../src/gateway/state/replication-disk.ts";
import { putHost } from "../../../src/gateway/state/rows.ts";
import { StateStore } from "../../../src/gateway/state/store.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { systemRandom } from "../../../src/runtime/random.ts";

const dayMs = 24 * 3600 * 1_000;
let folder: string;
const opened: StateStore[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-clock-"));
});
afterEach(async () => {
  await Promise.all(opened.splice(0).map((store) => store.close()));
  rmSync(folder, { recursive: true, force: true });
});

async function storeOf(gateway: string, skew: { ms: number }): Promise<StateStore> {
  const clock = { ...systemClock, wallTime: () => systemClock.wallTime() + skew.ms };
  const store = new StateStore({ disk: fileDisk(join(folder, `${gateway}.db`)), gateway, clock, random: systemRandom });
  opened.push(store);
  await store.open();
  return store;
}

const host = (id: string, priority: number) =>
  putHost({
    service: "notes",
    id,
    controlUrl: `http://${id}`,
    priority,
    nofailover: null,
    source: "operator",
    deleted: false,
  });
const priorityOf = (store: StateStore, id: string) =>
  store.replica.get("hosts", `notes\n${id}`)?.values["priority"] ?? null;

/** What two gateways do: each asks the other for all that it lacks. Answers whether both took the other's rows. */
function exchange(a: StateStore, b: StateStore): boolean {
  return [pull(a, b), pull(b, a)].every((taken) => taken);
}

function pull(into: StateStore, from: StateStore): boolean {
  const { answer } = rowAnswer(from.replica, rowRequest(into.replica, unknownPeer, true));
  const decoded = decodeRows(encodeRows(answer.rows), systemClock.wallTime());
  if (decoded.kind !== "ok") return false;
  // As peers.ts: what is incomplete is applied, and claims nothing.
  const vector = decoded.isWhole ? answer.vector : new Map<string, number>();
  into.applied(takeAnswer(into.replica, { ...answer, vector, rows: decoded.rows }, unknownPeer).applied);
  return decoded.isWhole;
}

const content = (store: StateStore): string[] =>
  [...store.replica.rows()]
    .map(({ key, values, deleted, origin, seq, hlc }) => JSON.stringify([key, values, deleted, origin, seq, hlc]))
    .sort();

test("after a restart with a corrected clock: what it writes is the newest again, and what others said meanwhile wins over what it said then", async () => {
  const g1 = await storeOf("g1", { ms: 0 });
  const wrong = await storeOf("g2", { ms: 2 * dayMs });
  wrong.write(host("a", 1));
  wrong.write(host("b", 1));
  g1.write(host("a", 7));
  expect(pull(g1, wrong)).toBe(false);
  await wrong.close();

  const right = await storeOf("g2", { ms: 0 });
  expect(right.warnings.join()).toContain("2 rows have false stamps, up to");
  expect(exchange(g1, right)).toBe(true);
  expect([g1, right].map((store) => [priorityOf(store, "a"), priorityOf(store, "b")])).toEqual([
    [7, 1],
    [7, 1],
  ]);
  right.write(host("a", 9));
  expect(exchange(g1, right)).toBe(true);
  expect(priorityOf(g1, "a")).toBe(9);
  expect(content(g1)).toEqual(content(right));
  await right.close();
  // Once and for all: the database has no such stamp any more.
  expect((await storeOf("g2", { ms: 0 })).warnings).toEqual([]);
});

test("without a restart, from its next write on", async () => {
  const skew = { ms: 2 * dayMs };
  const g1 = await storeOf("g1", { ms: 0 });
  const g2 = await storeOf("g2", skew);
  g2.write(host("a", 1));
  expect(pull(g1, g2)).toBe(false);
  skew.ms = 0;
  g2.write(host("b", 2));
  expect(exchange(g1, g2)).toBe(true);
  expect([priorityOf(g1, "a"), priorityOf(g1, "b")]).toEqual([1, 2]);
  g2.write(host("a", 3));
  expect(exchange(g1, g2)).toBe(true);
  expect(priorityOf(g1, "a")).toBe(3);
  expect(content(g1)).toEqual(content(g2));
});

test("gateways whose clocks were wrong together agree on what they wrote then", async () => {
  const skew = { ms: 2 * dayMs };
  const stores = await Promise.all(["g1", "g2"].map((id) => storeOf(id, skew)));
  for (const [at, store] of stores.entries()) store.write(host("a", at));
  await Promise.all(stores.map((store) => store.close()));
  skew.ms = 0;
  const [g1, g2] = await Promise.all([storeOf("g1", skew), storeOf("g2", skew)]);
  if (g1 === undefined || g2 === undefined) throw new Error("two were opened");
  expect(exchange(g1, g2)).toBe(true);
  expect(exchange(g1, g2)).toBe(true);
  expect(content(g1)).toEqual(content(g2));
});

test("one whose clock is behind for a while, and takes all rows for such, has them back under their stamps when it is right", async () => {
  const skew = { ms: 0 };
  const g1 = await storeOf("g1", { ms: 0 });
  const before = await storeOf("g2", skew);
  g1.write(host("a", 1));
  before.write(host("b", 1));
  expect(exchange(g1, before)).toBe(true);
  await before.close();
  skew.ms = -400 * dayMs;
  const behind = await storeOf("g2", skew);
  behind.write(host("a", 5));
  skew.ms = 0;
  expect(exchange(g1, behind)).toBe(true);
  expect(exchange(g1, behind)).toBe(true);
  expect(content(behind)).toEqual(content(g1));
  expect(priorityOf(g1, "a")).toBe(1);
});

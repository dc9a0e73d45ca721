import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InterruptedFailovers, silentMsMax } from "../../../src/gateway/service/interrupted-failovers.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { fileDisk } from "../../../src/gateway/state/replication-disk.ts";
import { putEpoch, putFailover, type FailoverRow } from "../../../src/gateway/state/rows.ts";
import { StateStore } from "../../../src/gateway/state/store.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

const folders: string[] = [];
const stores: StateStore[] = [];
afterEach(async () => {
  await Promise.all(stores.splice(0).map((store) => store.close()));
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

async function storeOf(gateway: string, clock: ManualClock): Promise<StateStore> {
  const folder = mkdtempSync(join(tmpdir(), "stead-interrupted-"));
  folders.push(folder);
  const store = new StateStore({ disk: fileDisk(join(folder, "gateway.db")), gateway, clock, random: systemRandom });
  stores.push(store);
  await store.open();
  return store;
}

const failover = (change: Partial<FailoverRow> = {}) =>
  putFailover({
    id: "g1.notes.1.1",
    service: "notes",
    gateway: "g1",
    kind: "kill",
    outcome: "running",
    fromHost: "a",
    toHost: "b",
    epochFrom: 1,
    attempts: 1,
    decidedAtMs: 5,
    detectMs: 12,
    ...change,
  });
const rowsOf = (store: StateStore) => [...store.replica.rowsOf("failovers")].map(({ values }) => values);
/** Brings the rows that a peer has written to another store. */
const exchange = (from: StateStore, to: StateStore): void => to.applied(to.replica.merge([...from.replica.rows()]));

function lookOf(
  store: StateStore,
  gateway: string,
  clock: ManualClock,
  heardMsAgo: () => number | undefined = () => undefined,
): InterruptedFailovers {
  return new InterruptedFailovers({ gateway, store, clock, heardMsAgo });
}

describe("a failover whose gateway ended in the middle", () => {
  test("is concluded by the next run of that gateway, with the host that took the next epoch", async () => {
    const clock = new ManualClock();
    const first = await storeOf("g1", clock);
    first.write(failover());
    for (const [epoch, host] of [
      [1, "a"],
      [2, "c"],
      [3, "d"],
    ] as const)
      first.write(putEpoch({ service: "notes", epoch, host, dataUrl: null, firstSeenAtMs: 1 }));
    const second = await storeOf("g1", clock);
    exchange(first, second);
    lookOf(second, "g1", clock).look();
    expect(rowsOf(second)).toMatchObject([
      { outcome: "interrupted", from_host: "a", to_host: "c", epoch_to: 2, detect_ms: 12 },
    ]);
    exchange(second, first);
    expect(rowsOf(first)).toMatchObject([{ outcome: "interrupted" }]);
  });

  test("is left alone in the run that continues it, and keeps the candidate that it had asked while no host has claimed", async () => {
    const clock = new ManualClock();
    const store = await storeOf("g1", clock);
    store.write(failover());
    lookOf(store, "g1", clock).look();
    expect(rowsOf(store)).toMatchObject([{ outcome: "running" }]);
    const next = await storeOf("g1", clock);
    exchange(store, next);
    lookOf(next, "g1", clock).look();
    expect(rowsOf(next)).toMatchObject([{ outcome: "interrupted", to_host: "b", epoch_to: null }]);
  });

  test("is concluded by a peer that has not heard that gateway for a minute, and not before", async () => {
    const clock = new ManualClock();
    const [g1, g2] = [await storeOf("g1", clock), await storeOf("g2", clock)];
    g1.write(failover());
    exchange(g1, g2);
    let heard: number | undefined = silentMsMax;
    const look = lookOf(g2, "g2", clock, () => heard);
    look.look();
    expect(rowsOf(g2)).toMatchObject([{ outcome: "running" }]);
    heard = silentMsMax + 1;
    look.look();
    expect(rowsOf(g2)).toMatchObject([{ outcome: "interrupted" }]);
  });

  test("of a gateway that this run has never heard from is concluded a minute after this run began", async () => {
    const clock = new ManualClock();
    const [g1, g2] = [await storeOf("g1", clock), await storeOf("g2", clock)];
    g1.write(failover());
    exchange(g1, g2);
    const look = lookOf(g2, "g2", clock);
    look.begin();
    clock.advance(silentMsMax);
    expect(rowsOf(g2)).toMatchObject([{ outcome: "running" }]);
    clock.advance(10_000);
    expect(rowsOf(g2)).toMatchObject([{ outcome: "interrupted" }]);
    look.close();
  });

  test("gets its real outcome when the gateway was only cut off", async () => {
    const clock = new ManualClock();
    const [g1, g2] = [await storeOf("g1", clock), await storeOf("g2", clock)];
    g1.write(failover());
    exchange(g1, g2);
    lookOf(g2, "g2", clock, () => silentMsMax + 1).look();
    exchange(g2, g1);
    g1.write(failover({ outcome: "done", toHost: "b", epochTo: 2 }));
    exchange(g1, g2);
    expect(rowsOf(g2)).toMatchObject([{ outcome: "done", to_host: "b", epoch_to: 2 }]);
  });
});

import { describe, expect, test } from "bun:test";
import { boundaryKey, logKey } from "../../../src/vault/log/log-key.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { type Store, StoreError } from "../../../src/vault/store/store.ts";
import { type Fault, FaultyStore } from "../../support/vault/faulty-store.ts";
import { describeLogContract, type Fate, type LogUnderTest } from "../../support/vault/log-contract.ts";
import { commit, failureOf, logIn, makeHost } from "../../support/vault/log-fixture.ts";
import { makeTemporaryVault } from "../../support/vault/temporary-vault.ts";

const faults: Readonly<Record<Fate, Fault>> = { done: "lost-reply", lost: "lost-request", late: "late" };
const damaged = new TextEncoder().encode("damaged");

/** Both handles are over stores of their own, as those of two hosts are. */
function over(store: Store, other: Store, dispose: () => Promise<void>): LogUnderTest {
  const faulty = new FaultyStore(store);
  const damage = async (position: number): Promise<void> => {
    await store.delete(logKey(position));
    await store.putIfAbsent(logKey(position), damaged);
  };
  return {
    log: logIn(faulty),
    other: logIn(other),
    loseAnswer: (fate) => faulty.failPuts(faults[fate]),
    arrive: async () => void (await faulty.deliverLate()),
    damage,
    dispose,
  };
}

describeLogContract("a log over a store in memory", () => {
  const store = new MemoryStore();
  return Promise.resolve(over(store, store, () => Promise.resolve()));
});

describeLogContract("a log over a folder", async () => {
  const vault = await makeTemporaryVault();
  return over(vault.store, await vault.open(), () => vault.dispose());
});

describe("a log over a store", () => {
  /** A claim and `count` commits after it. */
  async function filled(count: number): Promise<FaultyStore> {
    const store = new FaultyStore(new MemoryStore());
    const writer = await makeHost("a", store).lead();
    for (let fill = 1; fill <= count; fill += 1) await writer.append(commit(fill));
    return store;
  }

  test("removes exactly the records up to the position, but for claims", async () => {
    const store = await filled(6);
    expect(await logIn(store).removeUpTo(4)).toEqual({ names: [logKey(2), logKey(3), logKey(4)], kept: 1 });
    expect(await store.list("log/")).toEqual([1, 5, 6, 7].map(logKey));
    expect(await logIn(store).boundary()).toBe(4);
  });

  test("does not read records that are known to be no claims", async () => {
    const store = await filled(6);
    const read: string[] = [];
    store.beforeGet = (key) => Promise.resolve(void read.push(key));
    await logIn(store).removeUpTo(4, { noEpochAfter: 1 });
    expect(read).toEqual([logKey(1)]);
  });

  test("leaves the boundary where it is when there is nothing to remove", async () => {
    const store = await filled(0);
    expect(await logIn(store).removeUpTo(1)).toEqual({ names: [], kept: 1 });
    expect(await store.list("boundary/")).toEqual([]);
  });

  test("R4: removes no record before the boundary is durable", async () => {
    const store = await filled(4);
    store.failPuts("full");
    expect(await failureOf(logIn(store).removeUpTo(3))).toBeInstanceOf(StoreError);
    expect(await store.list("log/")).toEqual([1, 2, 3, 4, 5].map(logKey));
    expect(store.puts.at(-1)).toBe(boundaryKey(3));
  });

  test("continues where a removal was interrupted", async () => {
    const store = await filled(20);
    const stop = new AbortController();
    const remove = store.delete.bind(store);
    store.delete = (key) => (stop.abort(new Error("stopped")), remove(key));
    expect(await failureOf(logIn(store).removeUpTo(18, { signal: stop.signal }))).toEqual(new Error("stopped"));
    expect((await store.list("log/")).length).toBeGreaterThan(4);
    await logIn(store).removeUpTo(18);
    expect(await store.list("log/")).toEqual([1, 19, 20, 21].map(logKey));
    expect(await store.list("boundary/")).toEqual([boundaryKey(18)]);
  });

  test("reports objects that are not records, and reads past them", async () => {
    const store = await filled(1);
    await store.putIfAbsent("log/notes.txt", damaged);
    await store.putIfAbsent(logKey(0), damaged);
    expect(await logIn(store).strangeNames()).toEqual([logKey(0), "log/notes.txt"]);
    expect(await logIn(store).positions()).toEqual([1, 2]);
  });

  test("is not empty with a boundary and no record: retention has deleted its records", async () => {
    const store = new MemoryStore();
    await store.putIfAbsent(boundaryKey(7), new Uint8Array());
    expect(await logIn(store).isEmpty()).toBe(false);
  });
});

test("a removal that is called off changes nothing, not even the boundary", async () => {
  const store = new MemoryStore();
  const log = logIn(store);
  const writer = await makeHost("a", store).lead();
  for (let fill = 1; fill <= 3; fill += 1) await writer.append(commit(fill));
  const before = await log.positions();
  await expect(log.removeUpTo(3, { signal: AbortSignal.abort(new Error("called off")) })).rejects.toThrow("called off");
  expect([await log.positions(), await log.boundary()]).toEqual([before, 0]);
});

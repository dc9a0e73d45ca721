import { expect, test } from "bun:test";
import { ObservedStore } from "../../../src/host/machine/observed-store.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { StoreError } from "../../../src/vault/store/store.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";
import { FaultyStore } from "../../support/vault/faulty-store.ts";
import { describeStoreContract } from "../../support/vault/store-contract.ts";

const ignore = { onPut: () => undefined, onPutFailed: () => undefined };

describeStoreContract("a store whose puts are observed", () => {
  const inner = new MemoryStore();
  const store = new ObservedStore(inner, new ManualClock(), ignore);
  return Promise.resolve({ store, other: inner, dispose: () => Promise.resolve() });
});

test("tells each put that wrote and each that failed, and nothing of one that only found what is there", async () => {
  const told: unknown[] = [];
  const inner = new FaultyStore(new MemoryStore());
  const store = new ObservedStore(inner, new ManualClock(), {
    onPut: (ms) => void told.push(ms),
    onPutFailed: (error) => void told.push((error as StoreError).kind),
  });
  const bytes = new Uint8Array([1]);
  await store.putIfAbsent("log/1", bytes);
  await store.putIfAbsent("log/1", bytes);
  expect(told).toEqual([0]);
  inner.failPuts("full");
  expect(await store.putIfAbsent("log/2", bytes).catch((error: unknown) => error)).toBeInstanceOf(StoreError);
  await store.get("log/1");
  await store.list("log/");
  await store.delete("log/1");
  expect(told).toEqual([0, "full"]);
});

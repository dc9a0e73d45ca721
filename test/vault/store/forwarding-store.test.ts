import { expect, test } from "bun:test";
import { ForwardingStore, type StoreOperation } from "../../../src/vault/store/forwarding-store.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { describeStoreContract } from "../../support/vault/store-contract.ts";

describeStoreContract("a store that forwards", () => {
  const inner = new MemoryStore();
  return Promise.resolve({ store: new ForwardingStore(inner), other: inner, dispose: () => Promise.resolve() });
});

test("every operation but the hint is wrapped, with its key, and the address is that of the inner store", async () => {
  const surrounded: string[] = [];
  class Surrounding extends ForwardingStore {
    protected override perform<T>(operation: StoreOperation, key: string, run: () => Promise<T>): Promise<T> {
      surrounded.push(`${operation} ${key}`);
      return run();
    }
  }
  const prepared: string[] = [];
  class Prepared extends MemoryStore {
    override prepare(key = ""): void {
      prepared.push(key);
    }
  }
  const inner = new Prepared();
  const store = new Surrounding(inner);
  const bytes = new Uint8Array([1, 2]);
  store.prepare("log/1", bytes);
  await store.putIfAbsent("log/1", bytes);
  await store.get("log/1");
  await store.list("log/");
  await store.delete("log/1");
  expect([surrounded, prepared, store.url]).toEqual([
    ["put log/1", "get log/1", "list log/", "delete log/1"],
    ["log/1"],
    inner.url,
  ]);
});

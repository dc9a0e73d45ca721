import { MemoryStore } from "../../src/vault/memory-store.ts";
import { describeStoreContract } from "./store-contract.ts";

describeStoreContract("the memory store", () => {
  const store = new MemoryStore();
  return Promise.resolve({ store, other: store, dispose: () => Promise.resolve() });
});

import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { describeStoreContract } from "../../support/vault/store-contract.ts";

describeStoreContract("the memory store", () => {
  const store = new MemoryStore();
  return Promise.resolve({ store, other: store, dispose: () => Promise.resolve() });
});

import { describe, expect, test } from "bun:test";
import { bootstrap, CheckpointsMissingError } from "../../../src/host/secondary/bootstrap.ts";
import { allRules } from "../../../src/core/rules.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { listCheckpoints } from "../../../src/vault/checkpoint/checkpoint.ts";
import { boundaryKey } from "../../../src/vault/log/log-key.ts";
import { LogReader } from "../../../src/vault/log/log-reader.ts";
import { LogWriter } from "../../../src/vault/log/log-writer.ts";
import { StoreLog } from "../../../src/vault/log/store-log.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import type { Store } from "../../../src/vault/store/store.ts";
import { FakeSource } from "../../support/host/fake-source.ts";

const begin = (store: Store): Promise<boolean> =>
  bootstrap({
    store,
    log: new StoreLog(store, "notes"),
    clock: systemClock,
    openSource: () => Promise.resolve(new FakeSource()),
  });

describe("a bootstrap", () => {
  test("writes the first checkpoint of an empty vault, once", async () => {
    const store = new MemoryStore();
    expect(await begin(store)).toBe(true);
    expect(await begin(store)).toBe(false);
    expect(await listCheckpoints(store)).toEqual([0]);
  });

  test("is refused where a log says that the checkpoints were lost", async () => {
    const store = new MemoryStore();
    const reader = new LogReader({
      log: new StoreLog(store, "notes"),
      start: { position: 0, hash: "0".repeat(64) },
      rules: allRules,
    });
    await reader.next();
    await LogWriter.claim({
      reader,
      clock: systemClock,
      random: systemRandom,
      rules: allRules,
      host: "a",
      leaseMs: 1000,
      controlUrl: "http://127.0.0.1:9",
      instance: "a-1",
    });
    await expect(begin(store)).rejects.toBeInstanceOf(CheckpointsMissingError);
    expect(await listCheckpoints(store)).toEqual([]);
  });

  test("is refused where retention had deleted a log", async () => {
    const store = new MemoryStore();
    await store.putIfAbsent(boundaryKey(7), new Uint8Array());
    await expect(begin(store)).rejects.toBeInstanceOf(CheckpointsMissingError);
  });
});

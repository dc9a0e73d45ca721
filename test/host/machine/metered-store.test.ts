import { expect, test } from "bun:test";
import { MeteredStore } from "../../../src/host/machine/metered-store.ts";
import { hostMetrics } from "../../../src/metrics/host-metrics.ts";
import { PrometheusMetrics } from "../../../src/metrics/prometheus.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { type Store, StoreError } from "../../../src/vault/store/store.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";
import { sampleOf } from "../../support/metrics/promtool.ts";
import { describeStoreContract } from "../../support/vault/store-contract.ts";

function metered(inner: Store, clock = new ManualClock()) {
  const metrics = new PrometheusMetrics(hostMetrics);
  const sample = async (what: string, operation: string, result: string): Promise<number | undefined> =>
    sampleOf(
      await metrics.text(),
      `stead_vault_operation_seconds_${what}{operation="${operation}",result="${result}"}`,
    );
  return { store: new MeteredStore(inner, clock, metrics), sample };
}

describeStoreContract("a store that is timed", () => {
  const inner = new MemoryStore();
  return Promise.resolve({ store: metered(inner).store, other: inner, dispose: () => Promise.resolve() });
});

test("each operation is timed by its kind, from its call to its end", async () => {
  const clock = new ManualClock();
  const release = Promise.withResolvers<void>();
  const inner = new MemoryStore();
  const slow: Store = {
    url: "slow:",
    files: undefined,
    prepare: () => undefined,
    stage: async () => undefined,
    putIfAbsent: (...put) => release.promise.then(() => inner.putIfAbsent(...put)),
    get: (key) => inner.get(key),
    list: (prefix) => inner.list(prefix),
    delete: (key) => inner.delete(key),
  };
  const { store, sample } = metered(slow, clock);
  const put = store.putIfAbsent("log/1", new Uint8Array(3));
  clock.advance(250);
  release.resolve();
  expect(await put).toEqual({ kind: "created" });
  expect(await store.get("log/1")).toEqual(new Uint8Array(3));
  expect(await store.list("log/")).toEqual(["log/1"]);
  await store.delete("log/1");
  expect(await sample("sum", "put", "ok")).toBe(0.25);
  for (const operation of ["put", "get", "list", "delete"])
    expect([operation, await sample("count", operation, "ok"), await sample("count", operation, "failed")]).toEqual([
      operation,
      1,
      undefined,
    ]);
});

test("one that fails is timed apart, and its error is the caller's", async () => {
  const broken = (): Promise<never> => Promise.reject(new StoreError("unavailable", "gone", "wait"));
  const { store, sample } = metered({
    url: "broken:",
    files: undefined,
    prepare: () => undefined,
    stage: async () => undefined,
    putIfAbsent: broken,
    get: broken,
    list: broken,
    delete: broken,
  });
  expect(await store.get("log/1").catch((error: unknown) => (error as StoreError).kind)).toBe("unavailable");
  expect([await sample("count", "get", "failed"), await sample("count", "get", "ok")]).toEqual([1, undefined]);
});

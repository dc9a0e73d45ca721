import { expect, test } from "bun:test";
import { Partition, PartitionedStore } from "../../../src/host/machine/partition.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

test("what is asked of the vault in a partition is done when it is over, and it ends by itself", async () => {
  const clock = new ManualClock();
  const partition = new Partition(clock);
  const inner = new MemoryStore();
  const store = new PartitionedStore(inner, partition);
  partition.begin(1_000);
  partition.begin(9_000);
  const put = store.putIfAbsent("log/1", new Uint8Array([1]));
  expect(await inner.get("log/1")).toBeUndefined();
  clock.advance(1_000);
  expect(partition.over).toBeUndefined();
  await put;
  expect(await inner.get("log/1")).toEqual(new Uint8Array([1]));
});

test("a put that waited does not replace what another host wrote meanwhile", async () => {
  const clock = new ManualClock();
  const partition = new Partition(clock);
  const inner = new MemoryStore();
  const store = new PartitionedStore(inner, partition);
  partition.begin(1_000);
  const late = store.putIfAbsent("log/1", new Uint8Array([1]));
  await inner.putIfAbsent("log/1", new Uint8Array([2]));
  clock.advance(1_000);
  expect(await late).not.toBe("created");
  expect(await inner.get("log/1")).toEqual(new Uint8Array([2]));
});

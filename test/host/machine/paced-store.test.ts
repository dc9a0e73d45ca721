import { expect, test } from "bun:test";
import { PacedStore } from "../../../src/host/machine/paced-store.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { ManualClock } from "../../support/http/manual-clock.ts";

const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 30; turn++) await Promise.resolve();
};

test("what was read is handed out when it would have been read at the rate, and the signal ends the wait", async () => {
  const clock = new ManualClock();
  const inner = new MemoryStore();
  await inner.putIfAbsent("chunks/a", new Uint8Array(500));
  const cut = new AbortController();
  const store = new PacedStore(inner, { clock, bytesPerSecond: 1_000, signal: cut.signal });
  let reads = 0;
  const read = () => store.get("chunks/a").then(() => void reads++);
  const both = Promise.all([read(), read()]);
  await settle();
  clock.advance(499);
  await settle();
  expect(reads).toBe(0);
  clock.advance(1);
  await settle();
  expect(reads).toBe(1);
  clock.advance(500);
  await both;
  const third = read();
  await settle();
  cut.abort(new Error("the host is needed"));
  expect(third).rejects.toThrow("the host is needed");
});

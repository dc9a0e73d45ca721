import { expect, test } from "bun:test";
import type { DatabaseDelta } from "../../../src/core/delta.ts";
import { putParts } from "../../../src/host/primary/flush-parts.ts";
import type { CaptureBatch } from "../../../src/host/ports/ports.ts";
import { delta, failureOf } from "../../support/vault/log-fixture.ts";

/** A batch of so many parts that notes when each is read; `failsAt`: that part cannot be. */
function batchOf(count: number, events: string[], failsAt = Infinity): CaptureBatch {
  function* parts(): Generator<readonly DatabaseDelta[]> {
    for (let part = 1; part <= count; part += 1) {
      events.push(`read ${part}`);
      if (part === failsAt) throw new Error("a page is gone");
      yield [delta(part, { pages: [1, 2] })];
    }
  }
  return { bytes: 1024 * count, partCount: count, parts, done: () => void events.push("done") };
}

test("while a part is put the next one is read and prepared, and it is put only when that one is durable", async () => {
  const events: string[] = [];
  let bytesPut = 0;
  const puts = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
  const all = putParts(batchOf(3, events), {
    put: ({ body, bytes }) => {
      events.push(`put ${body.part} of ${body.parts}`);
      bytesPut += bytes;
      return puts[body.part - 1]?.promise ?? Promise.resolve();
    },
    prepare: ({ body }) => void events.push(`prepare ${body.part}`),
  });
  for (const [at, put] of puts.entries()) {
    for (let i = 0; i < 5; i += 1) await Promise.resolve();
    expect(events.at(-1)).toBe(at < 2 ? `prepare ${at + 2}` : "put 3 of 3");
    put.resolve();
  }
  await all;
  expect(events).toEqual([
    "read 1",
    "put 1 of 3",
    "read 2",
    "prepare 2",
    "put 2 of 3",
    "read 3",
    "prepare 3",
    "put 3 of 3",
  ]);
  expect(bytesPut).toBe(3 * 1024);
});

test("a part that cannot be read ends it when the one before is durable, and is not put", async () => {
  const events: string[] = [];
  const put = Promise.withResolvers<void>();
  let isOver = false;
  const failure = failureOf(
    putParts(batchOf(3, events, 2), { put: () => put.promise, prepare: () => void events.push("prepare") }),
  ).finally(() => (isOver = true));
  for (let i = 0; i < 5; i += 1) await Promise.resolve();
  expect(isOver).toBe(false);
  put.resolve();
  expect(await failure).toEqual(new Error("a page is gone"));
  expect(events).toEqual(["read 1", "read 2"]);
});

test("a put that fails ends it, and not before the part that was being read is read", async () => {
  const events: string[] = [];
  const reading = Promise.withResolvers<void>();
  const batch = { ...batchOf(3, events), readAhead: () => reading.promise };
  let isOver = false;
  const failure = failureOf(
    putParts(batch, { put: () => Promise.reject(new Error("fenced")), prepare: () => undefined }),
  ).finally(() => (isOver = true));
  for (let i = 0; i < 5; i += 1) await Promise.resolve();
  expect(isOver).toBe(false);
  reading.resolve();
  expect(await failure).toEqual(new Error("fenced"));
});

import { expect, test } from "bun:test";
import { RecordMemory } from "../../../src/vault/log/record-memory.ts";
import type { LogWriter } from "../../../src/vault/log/log-writer.ts";
import type { Log } from "../../../src/vault/log/log.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { commit, logIn, makeHost, readerOf, readToEnd } from "../../support/vault/log-fixture.ts";
import { SteppedVault } from "../../support/vault/stepped-segments.ts";

test("is the same for records that fit, grows with them, and is none for larger ones", () => {
  const memory = new RecordMemory(5_000);
  const first = memory.take(1_000);
  expect(first.length).toBe(1_000);
  expect(memory.take(1_024).buffer).toBe(first.buffer);
  const larger = memory.take(4_900);
  expect([larger.length, larger.buffer === first.buffer]).toEqual([4_900, false]);
  expect(memory.take(10).buffer).toBe(larger.buffer);
  const own = [memory.take(5_001), memory.take(5_001)];
  expect(own.map(({ length }) => length)).toEqual([5_001, 5_001]);
  expect(new Set([...own, larger].map(({ buffer }) => buffer)).size).toBe(3);
});

/** Notes the memory of each record that is put. */
function noting(log: Log): { readonly log: Log; readonly memories: ArrayBufferLike[] } {
  const memories: ArrayBufferLike[] = [];
  const put: Log["put"] = (position, bytes) => {
    memories.push(bytes.buffer);
    return log.put(position, bytes);
  };
  const noted = new Proxy(log, {
    get(target, name) {
      if (name === "put") return put;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value as () => unknown).bind(target) : value;
    },
  });
  return { log: noted, memories };
}

async function writeSome(writer: LogWriter): Promise<void> {
  for (let fill = 1; fill <= 20; fill += 1) {
    const next = commit(fill);
    // While the one before is put, this one may be encoded already.
    if (fill % 3 === 0) writer.prepare(next);
    await writer.append(next);
  }
}

const fills = async (log: Log): Promise<(number | undefined)[]> =>
  (await readToEnd(readerOf(log))).flatMap(({ body }) =>
    body.kind === "commit" ? [body.databases[0]?.pages[0]?.content[0]] : [],
  );

test("records are encoded where the one before was, in a log that is done with it, and all are whole", async () => {
  const { log, memories } = noting(new SteppedVault().open());
  await writeSome(await makeHost("a", log).lead());
  // The claim, 6 that were prepared, and the place of the rest.
  expect(new Set(memories).size).toBe(8);
  expect(await fills(log)).toEqual(Array.from({ length: 20 }, (_, at) => at + 1));
});

test("a log that may still be sending a record has each in memory of its own", async () => {
  const { log, memories } = noting(logIn(new MemoryStore()));
  await writeSome(await makeHost("a", log).lead());
  expect(new Set(memories).size).toBe(21);
  expect(await fills(log)).toEqual(Array.from({ length: 20 }, (_, at) => at + 1));
});

import { describe, expect, test } from "bun:test";
import { sha256 } from "../../../src/runtime/sha256.ts";
import { encodeChunk, noCompression, zstdCompression } from "../../../src/vault/checkpoint/chunk-codec.ts";
import { readChunkOf, writeChunkOf } from "../../../src/vault/checkpoint/stored-chunk.ts";
import { DamagedChunkError } from "../../../src/vault/errors.ts";
import { chunkKey, parseChunkKey } from "../../../src/vault/keys.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { failureOf } from "../../support/vault/log-fixture.ts";

const content = Buffer.from("a line of a log, as often as it takes\n".repeat(5_000));
const noise = Uint8Array.from({ length: 100_000 }, (_, at) => sha256(Buffer.from(String(at >> 5)))[at & 31] ?? 0);
const nameOf = (bytes: Uint8Array): string => sha256(bytes).toString("hex");

describe("a chunk", () => {
  for (const [what, bytes] of [
    ["that can be compressed", content],
    ["that cannot", noise],
    ["of one byte", Uint8Array.of(7)],
  ] as const)
    for (const [how, compression] of [
      ["compressed", zstdCompression],
      ["as it is", noCompression],
    ] as const)
      test(`${what} comes back, stored ${how}`, async () => {
        const store = new MemoryStore();
        const key = await writeChunkOf(store, 3, bytes, { owner: "a", compression });
        expect(key).toBe(chunkKey(3, nameOf(bytes)));
        expect(Buffer.from(await readChunkOf(store, key, "a", bytes.length))).toEqual(Buffer.from(bytes));
      });

  test("is called by the hash that its writer has found", async () => {
    const key = await writeChunkOf(new MemoryStore(), 3, content, {
      ...{ owner: "a", compression: noCompression },
      sha256: "ab".repeat(32),
    });
    expect(parseChunkKey(key)?.name).toBe("ab".repeat(32));
  });

  test("is not written if what is read back is another content of the same length", async () => {
    const other = Buffer.from(content);
    other[17] = 0;
    for (const compression of [zstdCompression, noCompression]) {
      const store = new MemoryStore();
      // Under the same name by an earlier attempt, or by a store that damages what it takes.
      await store.putIfAbsent(chunkKey(3, nameOf(content)), await encodeChunk(other, compression));
      const failure = await failureOf(writeChunkOf(store, 3, content, { owner: "a", compression }));
      expect(failure).toBeInstanceOf(DamagedChunkError);
      expect(String(failure)).toContain(nameOf(other));
    }
  });
});

import { expect, test } from "bun:test";
import { decodeManifest, encodeManifest } from "../../../src/vault/checkpoint/checkpoint-manifest.ts";
import { DamagedManifestError } from "../../../src/vault/errors.ts";
import { chunkKey } from "../../../src/vault/keys.ts";

const database = {
  ...{ name: "a.db", pageSize: 4096, pageCount: 1, checksum: new Uint8Array(16) },
  chunks: [chunkKey(3, "ab".repeat(32))],
};
const whole = {
  ...{ position: 3, hash: "0".repeat(64), epoch: 1, epochPosition: 1, wallTimeMs: 0, previous: null },
  ...{ scrubbedTo: "", databases: [database] },
};

test("a manifest comes back as it was written", () => {
  const { bytes, manifestHash } = encodeManifest(whole);
  expect(decodeManifest(3, bytes)).toEqual({ ...whole, manifestHash });
});

test("a count that is none is refused wherever one stands", () => {
  const wrong = [-1, 1.5, 2 ** 53, "1"] as unknown as readonly number[];
  for (const count of wrong) {
    const previous = { position: count, manifestHash: "x" };
    for (const change of [
      { epoch: count },
      { epochPosition: count },
      { previous },
      { databases: [{ ...database, pageCount: count }] },
      { files: { checksum: new Uint8Array(16), count, bytes: 0, chunks: [] } },
      { files: { checksum: new Uint8Array(16), count: 0, bytes: count, chunks: [] } },
    ])
      expect(() => decodeManifest(3, encodeManifest({ ...whole, ...change }).bytes)).toThrow(DamagedManifestError);
  }
});

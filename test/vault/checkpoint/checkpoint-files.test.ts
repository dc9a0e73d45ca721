import { describe, expect, test } from "bun:test";
import { allRules } from "../../../src/core/rules.ts";
import { keysOfPieces, readTree } from "../../../src/vault/checkpoint/checkpoint-files.ts";
import { PieceReader } from "../../../src/vault/checkpoint/piece-reader.ts";
import { type CheckpointManifest, readManifest, writeCheckpoint } from "../../../src/vault/checkpoint/checkpoint.ts";
import { putFileChunk } from "../../../src/vault/checkpoint/file-chunks.ts";
import { decodeManifest, encodeManifest } from "../../../src/vault/checkpoint/checkpoint-manifest.ts";
import { noCompression } from "../../../src/vault/checkpoint/chunk-codec.ts";
import { collectGarbage, listChunks } from "../../../src/vault/checkpoint/retention.ts";
import { decodeTree, encodeTree, joinEntries, type NamedEntry } from "../../../src/vault/checkpoint/tree-codec.ts";
import { filePieceBytes } from "../../../src/core/files/file-entry.ts";
import { chunkBytes } from "../../../src/vault/limits.ts";
import { MalformedBytes } from "../../../src/vault/log/bytes.ts";
import { DamagedChunkError } from "../../../src/vault/errors.ts";
import { checkpointKey, parseChunkKey } from "../../../src/vault/keys.ts";
import { MemoryStore } from "../../../src/vault/store/memory-store.ts";
import { StoreLog } from "../../../src/vault/log/store-log.ts";
import { verifyCheckpoints } from "../../../src/vault/verify/verify-checkpoints.ts";
import { ports } from "../../support/host/log-fixture.ts";
import { hexHash, MemoryFiles } from "../../support/vault/files-fixture.ts";
import { failureOf } from "../../support/vault/log-fixture.ts";

const write = (store: MemoryStore, position: number, files: MemoryFiles) =>
  writeCheckpoint({
    ...{ store, position, hash: "ab".repeat(32), epoch: 1, wallTimeMs: 1000 + position, databases: [] },
    ...{ files, compression: noCompression },
  });

const manifestAt = async (store: MemoryStore, position: number): Promise<CheckpointManifest> => {
  const manifest = await readManifest(store, position);
  if (manifest === undefined) throw new Error(`no checkpoint ${position}`);
  return manifest;
};

function someFiles(): MemoryFiles {
  const files = new MemoryFiles();
  files.put("uploads/large.bin", new Uint8Array(600_000).fill(7), 1);
  files.put("uploads/empty", "", 1);
  files.put(".migrate", "{}", 1);
  files.tree.apply([{ kind: "put-link", path: "uploads/link", target: "/etc/passwd" }], 2);
  files.tree.apply([{ kind: "put-folder", path: "uploads/none", mode: 0o2750, uid: 1, gid: 2 }], 2);
  return files;
}

describe("files of a checkpoint", () => {
  test("come back as they were, with every content", async () => {
    const store = new MemoryStore();
    const files = someFiles();
    await write(store, 5, files);
    const tree = await readTree(store, await manifestAt(store, 5));
    expect(Buffer.compare(tree?.checksum ?? Buffer.alloc(1), files.tree.checksum)).toBe(0);
    expect(tree?.get("uploads/none")).toEqual({ kind: "folder", mode: 0o2750, uid: 1, gid: 2 });
    expect(tree?.get("uploads/link")).toEqual({ kind: "link", target: "/etc/passwd" });
    const large = tree?.get("uploads/large.bin");
    if (large?.kind !== "file") throw new Error("no file");
    const contents: Uint8Array[] = [];
    for (const [index, { hash, place }] of large.pieces.entries()) {
      const length = index < 2 ? 262_144 : 600_000 - 2 * 262_144;
      contents.push(await new PieceReader({ store }).read({ place, hash, length, path: "x" }));
    }
    expect(Buffer.concat(contents).equals(Buffer.alloc(600_000, 7))).toBe(true);
  });

  test("equal contents are written once, and what the checkpoint before has is not read again", async () => {
    const store = new MemoryStore();
    const files = someFiles();
    files.put("copy.bin", new Uint8Array(600_000).fill(7), 1);
    await write(store, 5, files);
    // Two of 256 KiB that are the same, the rest of the file, and the one of .migrate.
    expect(files.reads).toBe(3);
    files.put("new", "new", 6);
    const { tree } = await write(store, 7, files);
    expect(files.reads).toBe(4);
    const before = await readTree(store, await manifestAt(store, 5));
    expect(tree?.get("copy.bin")).toEqual(before?.get("copy.bin") as never);
  });

  test("small contents share chunks, come back one by one, and are named again by the next checkpoint", async () => {
    const store = new MemoryStore();
    const files = new MemoryFiles();
    for (let at = 0; at < 3000; at++) files.put(`uploads/${at}`, `content ${at} `.repeat(60), 1);
    const { chunksWritten, tree } = await write(store, 5, files);
    // 2.3 MB in chunks of 1 MiB, and the tree.
    expect(chunksWritten).toBeLessThan(25);
    const reader = new PieceReader({ store });
    for (const [path, entry] of tree?.entries() ?? [])
      for (const { hash, place } of entry.kind === "file" ? entry.pieces : []) {
        const length = files.contents.get(path)?.length ?? 0;
        expect(
          Buffer.from(await reader.read({ place, hash, length, path })).equals(
            files.contents.get(path) ?? new Uint8Array(0),
          ),
        ).toBe(true);
      }
    files.put("uploads/7", "another", 6);
    expect((await write(store, 7, files)).chunksWritten).toBeLessThanOrEqual(2);
    expect(files.reads).toBe(3001);
    // One of them is damaged: what shares it is written again.
    const piece = tree?.get("uploads/8");
    const key = piece?.kind === "file" && piece.pieces[0]?.place.kind === "chunk" ? piece.pieces[0].place.key : "";
    store.overwrite(key, Buffer.from("nonsense that is not a chunk"));
    expect((await verifyCheckpoints(store)).findings.map(({ key: where }) => where)).toEqual([key]);
    await write(store, 9, files);
    expect((await verifyCheckpoints(store)).checkpoints.map(({ whole }) => whole)).toEqual([false, false, true]);
  });

  test("chunks of which little is used are written again once there are many", async () => {
    const store = new MemoryStore();
    const files = new MemoryFiles();
    for (let at = 1; at <= 66; at++) {
      files.put(`uploads/${at}`, `content ${at}`, at);
      await write(store, at, files);
    }
    const reads = files.reads;
    expect(reads).toBe(66 + 65);
    const { tree } = await write(store, 100, files);
    expect(files.reads).toBe(reads);
    expect((await keysOfPieces(tree)).size).toBe(1);
  });

  test("a chunk that the one before does not name is not named, although it is there: clean-up may be removing it", async () => {
    const store = new MemoryStore();
    await write(store, 2, new MemoryFiles());
    const content = new Uint8Array(200_000).fill(7);
    // Equal contents of two flushes.
    const keys: string[] = [];
    for (const position of [3, 4]) keys.push(await putFileChunk({ store, position, ...ports }, content));
    const [first = "", second = ""] = keys;
    const filesIn = (...places: readonly string[]): MemoryFiles => {
      const files = new MemoryFiles();
      for (const [at, key] of places.entries()) files.putIn(`uploads/${at}`, content, key);
      return files;
    };
    // As a host has it that began with a checkpoint, and one that followed the journal.
    const [one, other] = [filesIn(first, first), filesIn(first, second)];
    expect(await keysOfPieces((await write(store, 5, one)).tree)).toEqual(new Set([first]));
    expect(await keysOfPieces((await write(store, 9, other)).tree)).toEqual(new Set([first]));
    expect([one.reads, other.reads]).toEqual([0, 0]);
    // A later flush has it again: no plan for a checkpoint that is there has this chunk.
    const third = await putFileChunk({ store, position: 10, ...ports }, new Uint8Array(200_000).fill(8));
    other.putIn("uploads/new", new Uint8Array(200_000).fill(8), third);
    expect(await keysOfPieces((await write(store, 11, other)).tree)).toEqual(new Set([first, third]));
    // If the one before is damaged it names nothing.
    store.overwrite(checkpointKey(11), new Uint8Array([1, 2, 3]));
    const positions = [...(await keysOfPieces((await write(store, 13, other)).tree))].map(
      (key) => parseChunkKey(key)?.position,
    );
    expect(positions).toEqual([13, 13]);
  });

  test("the entry of a file whose pieces do not fit into one chunk continues in the next", () => {
    const place = { kind: "chunk", key: `chunks/0000000000000005/${"ab".repeat(32)}` } as const;
    const pieces = Array.from({ length: 20_000 }, (_, at) => ({ hash: hexHash(Buffer.from([at])), place }));
    const attributes = { mode: 0o600, uid: 1, gid: 2 };
    const entries: NamedEntry[] = [
      ["a", { kind: "folder", ...attributes }],
      ["large", { kind: "file", ...attributes, mtimeMs: 5, size: 20_000 * filePieceBytes - 1, pieces }],
      ["z", { kind: "link", target: "a" }],
    ];
    const parts = [...encodeTree(entries)];
    expect(parts.length).toBeGreaterThan(1);
    for (const part of parts) expect(part.length).toBeLessThanOrEqual(chunkBytes);
    expect(joinEntries(parts.flatMap(decodeTree))).toEqual(entries);
    expect(() => joinEntries(parts.slice(0, 1).flatMap(decodeTree))).toThrow(MalformedBytes);
  });

  test("a content that differs from the tree is refused", async () => {
    const files = someFiles();
    files.contents.set(".migrate", Buffer.from("[]"));
    expect(String(await failureOf(write(new MemoryStore(), 5, files)))).toContain("piece 0 of .migrate");
  });

  test("a damaged chunk is found by verification, and written again by the next checkpoint", async () => {
    const store = new MemoryStore();
    const files = someFiles();
    const { tree } = await write(store, 5, files);
    const entry = tree?.get(".migrate");
    const key = entry?.kind === "file" && entry.pieces[0]?.place.kind === "chunk" ? entry.pieces[0].place.key : "";
    store.overwrite(key, Buffer.from("nonsense that is not a chunk"));
    const report = await verifyCheckpoints(store);
    expect(report.findings.map(({ kind, key: where }) => [kind, where])).toEqual([["damaged-chunk", key]]);
    expect(report.checkpoints.map(({ whole }) => whole)).toEqual([false]);
    await write(store, 7, files);
    expect((await verifyCheckpoints(store)).checkpoints.map(({ whole }) => whole)).toEqual([false, true]);
  });

  test("a manifest with files is of a version that earlier programs refuse, and without them it is as before", () => {
    const manifest = {
      ...{ position: 0, hash: "00".repeat(32), epoch: 0, epochPosition: 0, wallTimeMs: 1, previous: null },
      ...{ scrubbedTo: "", databases: [] },
    };
    expect(Buffer.from(encodeManifest(manifest).bytes).toString()).toContain('"version":1');
    const files = { checksum: new Uint8Array(16), count: 0, bytes: 0, chunks: [] };
    const { bytes } = encodeManifest({ ...manifest, files });
    expect(Buffer.from(bytes).toString()).toContain('"version":2');
    expect(decodeManifest(0, bytes).files).toEqual(files);
  });

  test("most chunks of a large tree are those of the one before, whatever was added in its middle", () => {
    const names = Array.from({ length: 20_000 }, (_, index) => `uploads/${index}`).sort();
    const entries = names.map((name): NamedEntry => [name, { kind: "link", target: "x" }]);
    const before = new Set([...encodeTree(entries)].map((part) => Bun.hash(part)));
    const middle = names.indexOf("uploads/10000") + 1;
    const after = [...encodeTree(entries.toSpliced(middle, 0, ["uploads/10000a", { kind: "link", target: "y" }]))];
    expect(before.size).toBeGreaterThan(20);
    expect(after.filter((part) => !before.has(Bun.hash(part))).length).toBeLessThanOrEqual(2);
  });
});

describe("clean-up", () => {
  async function clean(store: MemoryStore, newest: CheckpointManifest, checkpointsMin = 1) {
    return collectGarbage({
      ...{ store, log: new StoreLog(store, "notes"), newest, logPosition: newest.position },
      ...{ policy: { checkpointsMin, windowMs: 0 }, nowMs: 1e12, rules: allRules },
    });
  }

  test("keeps every chunk that a kept checkpoint's files need, and removes those of removed ones", async () => {
    const store = new MemoryStore();
    const files = someFiles();
    await write(store, 5, files);
    files.put(".migrate", "{1}", 6);
    await write(store, 7, files);
    await clean(store, await manifestAt(store, 7));
    const left = await verifyCheckpoints(store);
    expect(left.checkpoints).toMatchObject([{ position: 7, whole: true }]);
    expect(left.unreferencedChunks).toEqual([]);
  });

  test("keeps chunks behind the oldest kept checkpoint, which the journal may name", async () => {
    const store = new MemoryStore();
    const files = someFiles();
    await write(store, 5, files);
    files.put("x", "x", 6);
    await write(store, 7, files);
    files.put("x", "y", 8);
    await write(store, 9, files);
    await clean(store, await manifestAt(store, 9), 2);
    const positions = (await listChunks(store)).map((key) => parseChunkKey(key)?.position ?? 0);
    expect(Math.min(...positions)).toBe(5);
    expect((await verifyCheckpoints(store)).checkpoints).toMatchObject([{ whole: true }, { whole: true }]);
  });

  test("removes nothing if a file of the newest checkpoint is gone", async () => {
    const store = new MemoryStore();
    const files = someFiles();
    const { tree } = await write(store, 5, files);
    const entry = tree?.get(".migrate");
    if (entry?.kind !== "file" || entry.pieces[0]?.place.kind !== "chunk") throw new Error("no chunk");
    await store.delete(entry.pieces[0].place.key);
    expect(await failureOf(clean(store, await manifestAt(store, 5)))).toBeInstanceOf(DamagedChunkError);
  });
});

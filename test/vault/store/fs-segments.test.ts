import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdir, readdir, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemCalls } from "../../../src/vault/store/fs-calls.ts";
import { FsSegments } from "../../../src/vault/store/fs-segments.ts";
import { type Append, blockBytes } from "../../../src/vault/store/segment-files.ts";
import { makeTemporaryVault, type TemporaryVault } from "../../support/vault/temporary-vault.ts";

/** So many appends that the thread makes the last ones: the pool makes the first, while it starts. */
const many = 300;
const key = "segments/first";
const block = (fill: number): Uint8Array => new Uint8Array(blockBytes).fill(fill % 256);
const appendOf = (nth: number): Append => ({
  key,
  offset: nth * blockBytes,
  parts: [block(nth + 1)],
  rival: "claims/next",
  mark: { key: "marks/own", position: nth },
});

describe("segment files in a folder", () => {
  let vault: TemporaryVault;
  let files: FsSegments;
  beforeEach(async () => {
    vault = await makeTemporaryVault();
    files = new FsSegments({ folder: vault.folder, store: vault.store });
    await vault.store.putIfAbsent("claims/own", new Uint8Array());
    await files.create(key, (many + 8) * blockBytes);
  });
  afterEach(async () => {
    await files.close();
    await vault.dispose();
  });

  async function append(count: number): Promise<void> {
    for (let nth = 0; nth < count; nth += 1) expect(await files.append(appendOf(nth))).toEqual({ kind: "counts" });
  }

  test("have what was appended at its offset, and the last mark, whether the pool or the thread wrote it", async () => {
    await append(many);
    for (let nth = 0; nth < many; nth += 1)
      expect(await files.read(key, nth * blockBytes, blockBytes)).toEqual(block(nth + 1));
    expect(await files.read(key, many * blockBytes, blockBytes)).toEqual(block(0));
    expect(await files.readMark("marks/own")).toBe(many - 1);
  });

  test("have it also where a rival is there, and then no mark", async () => {
    for (const count of [3, many]) {
      await rm(join(vault.folder, "claims/next"), { force: true });
      await append(count);
      await vault.store.putIfAbsent("claims/next", new Uint8Array());
      expect(await files.append(appendOf(many + 1))).toEqual({ kind: "rival" });
      expect(await files.read(key, (many + 1) * blockBytes, blockBytes)).toEqual(block(many + 2));
      expect(await files.readMark("marks/own")).toBe(count - 1);
    }
  });

  test("take appends of every length around what the thread takes at once", async () => {
    await append(many);
    await files.create("segments/large", 4 * 1024 * 1024);
    for (const length of [-1, 0, 1].map((blocks) => 1024 * 1024 + (4 + blocks) * blockBytes)) {
      const bytes = new Uint8Array(length).fill(7);
      const large = { ...appendOf(many), key: "segments/large", offset: 0, parts: [bytes] };
      expect([length, await files.append(large)]).toEqual([length, { kind: "counts" }]);
      expect(await files.read("segments/large", 0, length)).toEqual(bytes);
    }
  });

  test("do not let a vault that was moved away count as one without a rival", async () => {
    await append(many);
    await rename(vault.folder, `${vault.folder}.away`);
    expect(await files.append(appendOf(many + 1))).toMatchObject({ kind: "failed", isFileLost: false });
    await rename(`${vault.folder}.away`, vault.folder);
    expect(await files.append(appendOf(many + 2))).toEqual({ kind: "counts" });
  });

  test("count an append whose mark cannot be written: a mark is a hint", async () => {
    await writeFile(join(vault.folder, "marks"), "in the way of the folder");
    await append(many);
    expect(await files.readMark("marks/own").catch(() => undefined)).toBeUndefined();
  });

  test("leave a mark that is cut off unread", async () => {
    await mkdir(join(vault.folder, "marks"), { recursive: true });
    await writeFile(join(vault.folder, "marks/own"), "12345678");
    expect(await files.readMark("marks/own")).toBeUndefined();
  });

  test("are created once, whole, and from what was written ahead", async () => {
    files.prepare(8 * blockBytes);
    await files.create("segments/second", 8 * blockBytes);
    expect((await stat(join(vault.folder, "segments/second"))).size).toBe(8 * blockBytes);
    await files.append({ ...appendOf(0), key: "segments/second" });
    await files.create("segments/second", 8 * blockBytes);
    expect(await files.read("segments/second", 0, blockBytes)).toEqual(block(1));
    expect(await files.read("segments/none", 0, blockBytes)).toBeUndefined();
    await files.close();
    await vault.store.close();
    expect(await readdir(join(vault.folder, "tmp"))).toEqual([]);
  });
});

test("a file whose sync failed is lost, and nothing was looked for", async () => {
  const vault = await makeTemporaryVault();
  let isFailing = false;
  const fdatasync = (fd: number): Promise<void> =>
    isFailing ? Promise.reject(Object.assign(new Error("EIO"), { code: "EIO" })) : systemCalls.fdatasync(fd);
  const files = new FsSegments({ folder: vault.folder, store: vault.store, calls: { ...systemCalls, fdatasync } });
  await vault.store.putIfAbsent("claims/next", new Uint8Array());
  await files.create(key, 4 * blockBytes);
  isFailing = true;
  expect(await files.append(appendOf(0))).toMatchObject({ kind: "failed", isFileLost: true });
  await files.close();
  await vault.dispose();
});

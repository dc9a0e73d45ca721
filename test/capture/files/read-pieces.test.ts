import { expect, test } from "bun:test";
import { readdirSync, rmSync, writeFileSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { readPieceAt, readPieces } from "../../../src/capture/files/read-pieces.ts";
import { filePieceBytes } from "../../../src/core/files/file-entry.ts";
import { temporaryFolder } from "../../support/capture/pair.ts";

const openDescriptors = (): number => readdirSync("/proc/self/fd").length;

test("pieces come in their order with their bytes, and the last one is what is left", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "file");
  const bytes = Buffer.alloc(2 * filePieceBytes + 5, 1);
  bytes[filePieceBytes] = 2;
  writeFileSync(path, bytes);
  const pieces: [number, Buffer][] = [];
  const read = await readPieces(path, (index, _hash, piece) => void pieces.push([index, Buffer.from(piece)]));
  expect(read?.size).toBe(bytes.length);
  expect(pieces.map(([index]) => index)).toEqual([0, 1, 2]);
  expect(Buffer.concat(pieces.map(([, piece]) => piece)).equals(bytes)).toBe(true);
  expect((await readPieceAt(path, 2, filePieceBytes))?.length).toBe(5);
});

test("whatever is there, no descriptor stays open", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "file");
  writeFileSync(path, "x");
  mkdirSync(join(folder.path, "folder"));
  const before = openDescriptors();
  for (let turn = 0; turn < 20; turn++) {
    expect((await readPieces(path, () => undefined))?.size).toBe(1);
    expect((await readPieceAt(path, 0, 1))?.length).toBe(1);
    expect(await readPieces(join(folder.path, "folder"), () => undefined)).toBeUndefined();
    const failing = readPieces(path, () => Promise.reject(new Error("no room")));
    await expect(failing).rejects.toThrow("no room");
  }
  expect(openDescriptors()).toBeLessThan(before + 20);
  rmSync(path);
  expect(await readPieces(path, () => undefined)).toBeUndefined();
});

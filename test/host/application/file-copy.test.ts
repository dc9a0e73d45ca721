import { afterEach, beforeEach, expect, test } from "bun:test";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FileChange } from "../../../src/core/files/file-change.ts";
import { FileTree } from "../../../src/core/files/file-tree.ts";
import { completeFiles, pathsOfFiles } from "../../../src/host/application/file-copy.ts";
import { sha256 } from "../../../src/runtime/sha256.ts";
import { putOf } from "../../support/vault/files-fixture.ts";

let folder: string;
let data: string;
let copy: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "stead-file-copy-"));
  [data, copy] = [join(folder, "data"), join(folder, "copy")];
  mkdirSync(data);
  mkdirSync(copy);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const folderAt = (path: string, mode: number): FileChange => ({ kind: "put-folder", path, mode, uid: 0, gid: 0 });
const modeOf = (path: string): number => lstatSync(join(copy, path)).mode & 0o7777;

test("a copy gets the folders, links and modes of the files, also in a folder that is closed to its owner", async () => {
  const tree = new FileTree(sha256);
  tree.apply([folderAt("up", 0o750), folderAt("up/empty", 0o700), folderAt("closed", 0o500)], 1);
  tree.apply([putOf("up/a", "a", 0o604), { kind: "put-link", path: "up/link", target: "a" }], 2);
  tree.apply([putOf("closed/b", "b", 0o400), { kind: "put-link", path: "links/only", target: "../up/a" }], 3);
  for (const name of ["up", "up/empty", "closed", "links"]) mkdirSync(join(data, name));
  for (const name of ["up/a", "closed/b"]) writeFileSync(join(data, name), "");
  for (const name of ["up/link", "links/only"]) symlinkSync("anything", join(data, name));
  expect(pathsOfFiles(tree, data).toSorted()).toEqual(["closed/b", "up/a"]);
  for (const name of ["up", "closed"]) mkdirSync(join(copy, name));
  for (const name of ["up/a", "closed/b"]) writeFileSync(join(copy, name), "");
  await completeFiles(tree, data, copy);
  expect([readlinkSync(join(copy, "up/link")), readlinkSync(join(copy, "links/only"))]).toEqual(["a", "../up/a"]);
  expect(["up", "up/empty", "up/a", "closed", "closed/b"].map(modeOf)).toEqual([0o750, 0o700, 0o604, 0o500, 0o400]);
  chmodSync(join(copy, "closed"), 0o700);
});

test("what this host has not written, since its patterns leave it out, is not in the copy", async () => {
  const tree = new FileTree(sha256);
  tree.apply([folderAt("other", 0o750), putOf("other/a", "a"), { kind: "put-link", path: "link", target: "x" }], 1);
  expect(pathsOfFiles(tree, data)).toEqual([]);
  expect(pathsOfFiles(undefined, data)).toEqual([]);
  await completeFiles(tree, data, copy);
  expect(() => lstatSync(join(copy, "other"))).toThrow("ENOENT");
  expect(() => lstatSync(join(copy, "link"))).toThrow("ENOENT");
});

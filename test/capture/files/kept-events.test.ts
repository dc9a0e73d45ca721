import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, renameSync, rmSync, rmdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { FileEvents } from "../../../src/capture/files/file-events.ts";
import { KeptEvents } from "../../../src/capture/files/kept-events.ts";
import { fileMatcher } from "../../../src/core/files/file-pattern.ts";
import { FileTree } from "../../../src/core/files/file-tree.ts";
import { sha256 } from "../../../src/runtime/sha256.ts";

const matcher = fileMatcher({ files: ["up/**"], except: ["up/tmp"], databases: ["*.db"], reserved: [] });
let root: string;
let kept: KeptEvents;
let taken: FileEvents | undefined;

/** A tree with these folders, which are on the disk too. */
function treeOf(...folders: string[]): FileTree {
  const tree = new FileTree(sha256);
  for (const path of folders) {
    mkdirSync(join(root, path), { recursive: true });
    tree.apply([{ kind: "put-folder", path, mode: 0o755, uid: 0, gid: 0 }], 1);
  }
  return tree;
}

/** Paths of which the kernel tells after the hand-over when a file is written in each of these folders. */
function toldOf(...folders: string[]): string[] {
  const told = new Set<string>();
  for (const folder of folders) writeFileSync(join(root, folder, "file"), "x");
  taken?.hear((path) => void told.add(path));
  return [...told].sort();
}

describe("folders of a secondary", () => {
  beforeEach(async () => {
    root = mkdtempSync(join(tmpdir(), "stead-kept-"));
    kept = new KeptEvents(root);
    await kept.begin();
  });
  afterEach(() => {
    taken?.close();
    taken = undefined;
    rmSync(root, { recursive: true, force: true });
  });

  test("are watched when they are handed over, those of the service and no others, without what happened before", () => {
    const tree = treeOf("up", "up/a", "up/tmp");
    kept.look(tree, matcher);
    writeFileSync(join(root, "up/a/before"), "x");
    taken = kept.take();
    expect(["", "up", "up/a", "up/tmp"].map((folder) => taken?.watches(folder))).toEqual([true, true, true, false]);
    expect(toldOf("up/a", "up/tmp")).toEqual(["up/a/file"]);
    expect(kept.take()).toBeUndefined();
  });

  test("are watched a few at each look, also those that come later", () => {
    const folders = ["up", ...Array.from({ length: 70 }, (_, at) => `up/${at}`)];
    const tree = treeOf(...folders);
    for (let looks = 0; looks < 4; looks++) kept.look(tree, matcher);
    tree.apply([{ kind: "put-folder", path: "up/later", mode: 0o755, uid: 0, gid: 0 }], 2);
    mkdirSync(join(root, "up/later"));
    for (let looks = 0; looks < 8; looks++) kept.look(tree, matcher);
    taken = kept.take();
    expect(folders.filter((folder) => taken?.watches(folder) !== true)).toEqual([]);
    expect(toldOf("up/later")).toEqual(["up/later/file"]);
  });

  test("a folder that took the place of another is watched itself, at the next look or at the hand-over", () => {
    const tree = treeOf("up", "up/a", "up/a/b", "up/c");
    kept.look(tree, matcher);
    renameSync(join(root, "up/a"), join(root, "away"));
    mkdirSync(join(root, "up/a/b"), { recursive: true });
    rmdirSync(join(root, "up/c"));
    mkdirSync(join(root, "up/c"));
    kept.look(tree, matcher);
    taken = kept.take();
    expect(toldOf("away", "away/b", "up/a", "up/a/b", "up/c")).toEqual(["up/a/b/file", "up/a/file", "up/c/file"]);
  });

  test("that were renamed just before the hand-over are not handed over", () => {
    const tree = treeOf("up", "up/a", "up/a/b");
    kept.look(tree, matcher);
    renameSync(join(root, "up/a"), join(root, "away"));
    mkdirSync(join(root, "up/a/b"), { recursive: true });
    taken = kept.take();
    expect(["up", "up/a", "up/a/b"].map((folder) => taken?.watches(folder))).toEqual([true, false, false]);
    expect(toldOf("away/b")).toEqual([]);
  });

  test("that the kernel may have told of in events that were lost are not handed over", () => {
    const tree = treeOf("up", "up/a");
    kept.look(tree, matcher);
    // More different events than the kernel keeps.
    for (let at = 0; at < 9000; at++) {
      writeFileSync(join(root, "up", String(at)), "");
      rmSync(join(root, "up", String(at)));
    }
    renameSync(join(root, "up/a"), join(root, "away"));
    mkdirSync(join(root, "up/a"));
    taken = kept.take();
    expect(["up", "up/a"].map((folder) => taken?.watches(folder))).toEqual([false, false]);
  });

  test("of a replica before the present one are not watched", async () => {
    const tree = treeOf("up");
    kept.look(tree, matcher);
    await kept.begin();
    taken = kept.take();
    expect(taken?.watched).toBe(0);
  });
});

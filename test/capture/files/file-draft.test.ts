import { describe, expect, test } from "bun:test";
import { FlushDraft } from "../../../src/capture/files/file-draft.ts";
import type { FileChange } from "../../../src/core/files/file-change.ts";
import { FileTree } from "../../../src/core/files/file-tree.ts";
import { sha256 } from "../../../src/runtime/sha256.ts";

const owner = { mode: 0o644, uid: 0, gid: 0 };
const put = (path: string): FileChange => ({ kind: "put-file", path, ...owner, mtimeMs: 1, size: 0, pieces: [] });
const folder = (path: string): FileChange => ({ kind: "put-folder", path, ...owner });
const link = (path: string): FileChange => ({ kind: "put-link", path, target: "x" });
const treeOf = (...changes: FileChange[]): FileTree => {
  const tree = new FileTree(sha256);
  tree.apply(changes, 1);
  return tree;
};
const shown = (changes: readonly FileChange[]): string[] => changes.map(({ kind, path }) => `${kind} ${path}`);

describe("the draft of a flush", () => {
  test("has the last change of each path, and is empty once it was taken", () => {
    const draft = new FlushDraft();
    expect(draft.set(put("a"))).toBeUndefined();
    expect(draft.set(link("a"))).toEqual(put("a"));
    draft.set(put("b"));
    expect(draft.delete("b")).toEqual(put("b"));
    expect(shown(draft.take())).toEqual(["put-link a"]);
    expect(draft.take()).toEqual([]);
  });

  test("has removals first, then folders from the top down, then files and links", () => {
    const draft = new FlushDraft();
    const tree = treeOf(put("gone"));
    for (const change of [link("l"), put("f/a"), folder("f/g"), folder("f")]) draft.set(change);
    draft.remove("gone", tree);
    expect(shown(draft.take())).toEqual([
      "remove gone",
      "put-folder f",
      "put-folder f/g",
      "put-file f/a",
      "put-link l",
    ]);
  });

  test("removes nothing that the tree does not have", () => {
    const draft = new FlushDraft();
    draft.set(put("a"));
    expect(draft.remove("a", treeOf())).toEqual([put("a")]);
    expect(draft.take()).toEqual([]);
  });

  test("drops what was to be put below a folder that is removed, known to the tree or not", () => {
    for (const tree of [treeOf(), treeOf(folder("f")), treeOf(put("f/old"))]) {
      const draft = new FlushDraft();
      for (const change of [folder("f"), put("f/a"), put("fa")]) draft.set(change);
      expect(shown(draft.remove("f", tree))).toEqual(["put-folder f", "put-file f/a"]);
      expect(shown(draft.take())).toEqual([...(tree.size === 0 ? [] : ["remove f"]), "put-file fa"]);
    }
    // Of a folder that only its files tell of.
    const draft = new FlushDraft();
    draft.set(put("f/a"));
    expect(shown(draft.remove("f", treeOf(put("f/old"))))).toEqual(["put-file f/a"]);
    expect(shown(draft.take())).toEqual(["remove f"]);
  });

  test("removes a folder once, and not again what is in it", () => {
    const draft = new FlushDraft();
    const tree = treeOf(folder("f"), folder("f/g"), put("f/g/a"), put("fa"));
    for (const path of ["f/g/a", "f/g", "f", "fa"]) draft.remove(path, tree);
    expect(shown(draft.take())).toEqual(["remove f", "remove fa"]);
  });

  test("knows what it puts directly below a folder, until it does not put it or was taken", () => {
    const draft = new FlushDraft();
    for (const change of [folder("f"), put("f/a"), put("f/g/b"), link("f/l"), put("a")]) draft.set(change);
    expect([...draft.putBelow("")].sort()).toEqual(["a", "f"]);
    expect([...draft.putBelow("f")].sort()).toEqual(["f/a", "f/l"]);
    draft.delete("f/l");
    draft.remove("f/a", treeOf(put("f/a")));
    expect([...draft.putBelow("f")]).toEqual([]);
    draft.remove("f", treeOf());
    expect([...draft.putBelow("f/g"), ...draft.putBelow("f")]).toEqual([]);
    draft.take();
    expect([...draft.putBelow("")]).toEqual([]);
  });
});

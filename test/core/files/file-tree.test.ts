import { describe, expect, test } from "bun:test";
import type { FileChange } from "../../../src/core/files/file-change.ts";
import { FileTree, ForeignChange } from "../../../src/core/files/file-tree.ts";
import { sha256 } from "../../../src/runtime/sha256.ts";

const owner = { mode: 0o644, uid: 0, gid: 0 };
const hash = (text: string): string => sha256(Buffer.from(text)).toString("hex");
const put = (path: string, text: string): FileChange => ({
  kind: "put-file",
  path,
  ...owner,
  mtimeMs: 1,
  size: text.length,
  pieces: [{ hash: hash(text), source: { kind: "inline", bytes: Buffer.from(text) } }],
});
const same = (path: string, base: string, text: string): FileChange => ({
  kind: "put-file",
  path,
  ...owner,
  mtimeMs: 2,
  size: text.length,
  base,
  pieces: [{ hash: hash(text), source: { kind: "same", index: 0 } }],
});
const folder = (path: string, mode = 0o755): FileChange => ({ kind: "put-folder", path, ...owner, mode });
const remove = (path: string): FileChange => ({ kind: "remove", path });

function treeOf(...changes: FileChange[]): FileTree {
  const tree = new FileTree(sha256);
  tree.apply(changes, 1);
  return tree;
}
const names = (tree: FileTree): string[] => [...tree.entries()].map(([path]) => path).sort();
const contentAt = (tree: FileTree, path: string): string | undefined => {
  const entry = tree.get(path);
  return entry?.kind === "file" ? entry.pieces[0]?.hash : undefined;
};

describe("a tree of files", () => {
  test("has the first half of one SHA-256 as its checksum, combined by XOR for each further entry", () => {
    const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
    const halfOf = (...fields: (string | number)[]): Uint8Array =>
      sha256(Buffer.from([...fields, ""].join("\0"))).subarray(0, 16);
    const file = halfOf("a", "file", 0o644, 0, 0, 1, hash("x"));
    expect(hexOf(treeOf(put("a", "x")).checksum)).toBe(hexOf(file));
    const link = halfOf("l", "link", "../x");
    const both = treeOf(put("a", "x"), { kind: "put-link", path: "l", target: "../x" });
    expect(hexOf(both.checksum)).toBe(hexOf(file.map((byte, at) => byte ^ (link[at] ?? 0))));
  });

  test("has a link in place of whatever was there, and no byte of that", () => {
    const link: FileChange = { kind: "put-link", path: "a", target: "elsewhere" };
    const before: FileChange[][] = [
      [put("a", "a file")],
      [{ ...link, target: "somewhere" }],
      [folder("a"), folder("a/b"), put("a/b/c", "below")],
      [put("a/b", "below a folder without an entry")],
    ];
    for (const changes of before) {
      const tree = treeOf(...changes);
      tree.apply([link], 2);
      expect([names(tree), tree.bytes, [...tree.below("a")]]).toEqual([["a"], 0, []]);
      expect(tree.checksum).toEqual(treeOf(link).checksum);
    }
  });

  test("has the same checksum whatever way led to it, and wherever its pieces are", () => {
    const direct = treeOf(folder("u"), put("u/a", "one"), put("u/b", "two"));
    const detour = treeOf(put("x", "one"), folder("u"));
    detour.apply([put("u/b", "2"), same("u/a", "x", "one"), remove("x")], 2);
    detour.apply([put("u/b", "two"), folder("u", 0o700)], 3);
    expect(detour.checksum).not.toEqual(direct.checksum);
    detour.apply([folder("u")], 4);
    expect(detour.checksum).toEqual(direct.checksum);
    expect(direct.copy().checksum).toEqual(direct.checksum);
    expect(detour.bytes).toBe(6);
    detour.apply([remove("u")], 5);
    expect([detour.size, detour.bytes, detour.checksum]).toEqual([0, 0, new Uint8Array(16)]);
  });

  test("takes contents from the state before the flush, so that two files can exchange their names", () => {
    const tree = treeOf(put("a", "one"), put("b", "two"));
    tree.apply([same("a", "b", "two"), same("b", "a", "one")], 2);
    expect([contentAt(tree, "a"), contentAt(tree, "b")]).toEqual([hash("two"), hash("one")]);
  });

  test("keeps what is in a folder when its mode changes, and loses it when a file takes its place", () => {
    const tree = treeOf(folder("u"), put("u/a", "one"), folder("u/deep"), put("u/deep/b", "two"));
    tree.apply([folder("u", 0o700)], 2);
    expect(names(tree)).toEqual(["u", "u/a", "u/deep", "u/deep/b"]);
    tree.apply([put("u", "file")], 3);
    expect(names(tree)).toEqual(["u"]);
  });

  test("removes what is below a folder that has no entry of its own", () => {
    const tree = treeOf(put("a/b/c", "one"), put("a/b/d", "two"), put("a/e", "three"));
    tree.apply([remove("a/b/c"), remove("a/b/d")], 2);
    tree.apply([put("a/b/c", "again")], 3);
    tree.apply([remove("a/b")], 4);
    expect(names(tree)).toEqual(["a/e"]);
    tree.apply([remove("a"), remove("not/there")], 5);
    expect([tree.size, [...tree.below("")]]).toEqual([0, []]);
  });

  test("refuses content that the state before does not have, and has then changed nothing", () => {
    const tree = treeOf(put("a", "one"));
    const before = tree.checksum;
    expect(() => tree.apply([remove("a"), same("b", "a", "other")], 2)).toThrow(ForeignChange);
    expect(() => tree.apply([remove("a"), same("b", "nowhere", "one")], 2)).toThrow(ForeignChange);
    expect(tree.checksum).toEqual(before);
  });
});

import { describe, expect, test } from "bun:test";
import type { FileStamp } from "../../../src/capture/files/file-look.ts";
import { MovedFiles } from "../../../src/capture/files/moved-files.ts";
import type { FileEntry } from "../../../src/core/files/file-entry.ts";
import { FileTree } from "../../../src/core/files/file-tree.ts";
import { sha256 } from "../../../src/runtime/sha256.ts";

const owner = { mode: 0o644, uid: 0, gid: 0 };
const file = (hash: string, size: number): FileEntry => ({
  ...{ kind: "file", ...owner, mtimeMs: 0, size },
  pieces: hash === "" ? [] : [{ hash, place: { kind: "record", position: 1 } }],
});
const stampOf = (inode: bigint): FileStamp => ({ inode, size: 3n, mtimeNs: 5n, ctimeNs: 7n });
const tree = new FileTree(sha256, [
  ["d", { kind: "folder", ...owner }],
  ["d/a", file("ha", 3)],
  ["d/e/b", file("hb", 4)],
  ["empty", file("", 0)],
]);
const stamps = new Map([
  ["d/a", stampOf(1n)],
  ["d/e/b", stampOf(2n)],
]);

function moved(isWritten: (path: string) => boolean = () => false): MovedFiles {
  const files = new MovedFiles();
  for (const path of ["d", "empty"]) files.add(path, tree, stamps, isWritten);
  return files;
}

describe("files that are gone from their paths", () => {
  test("are found by their inode, with all that were in a folder, also after a rename, which changes the inode's time", () => {
    const files = moved();
    expect(files.unwritten({ ...stampOf(1n), ctimeNs: 8n })).toBe("d/a");
    expect(files.unwritten(stampOf(2n))).toBe("d/e/b");
    expect(files.unwritten(stampOf(3n))).toBeUndefined();
  });

  test("are not if they were written since they were read, by what the kernel tells or by their stamp", () => {
    expect(moved((path) => path === "d/a").unwritten(stampOf(1n))).toBeUndefined();
    expect(moved((path) => path === "d/a").unwritten(stampOf(2n))).toBe("d/e/b");
    expect(moved().unwritten({ ...stampOf(1n), mtimeNs: 6n })).toBeUndefined();
    expect(moved().unwritten({ ...stampOf(1n), size: 4n })).toBeUndefined();
  });

  test("may be known by their content: the first piece and the size", () => {
    const files = moved(() => true);
    expect([files.like("ha", 3), files.like("hb", 4), files.like("ha", 4), files.like("", 0)]).toEqual([
      ...["d/a", "d/e/b"],
      ...[undefined, undefined],
    ]);
  });

  test("are forgotten with the flush: an inode is used again, and a path too", () => {
    const files = moved();
    files.clear();
    expect([files.unwritten(stampOf(1n)), files.like("ha", 3)]).toEqual([undefined, undefined]);
  });
});

import { expect, test } from "bun:test";
import { FileStamps } from "../../../src/capture/files/file-stamps.ts";

test("a stamp is given back to the nanosecond, until it is deleted", () => {
  const stamps = new FileStamps();
  const stamp = { inode: 2n ** 63n + 1n, size: 2n ** 53n + 1n, mtimeNs: -1n, ctimeNs: 1_700_000_000_123_456_789n };
  stamps.set("a b", stamp);
  stamps.set("c", { ...stamp, size: 0n });
  expect([stamps.get("a b"), stamps.get("c")?.size, stamps.get("a")]).toEqual([stamp, 0n, undefined]);
  stamps.delete("a b");
  expect(stamps.get("a b")).toBeUndefined();
});

import { describe, expect, test } from "bun:test";
import { removableSetAsides, type SetAside, setAsidesForRoom } from "../../../src/core/host/set-aside-bounds.ts";

const folder = (name: string, bytes = 1, content: string | undefined = name): SetAside => ({ name, bytes, content });
const removed = (all: readonly SetAside[], bounds: Partial<{ keep: number; bytesMax: number }> = {}): string[] =>
  removableSetAsides(all, { keep: 20, bytesMax: 1_000, ...bounds }).map(({ name }) => name);

describe("set-aside folders", () => {
  test("stay as long as they are few and small", () => {
    expect(removed([])).toEqual([]);
    expect(removed([folder("1"), folder("2")], { keep: 2, bytesMax: 2 })).toEqual([]);
  });

  test("go oldest first when they are too many, or too many bytes", () => {
    const all = ["1", "2", "3", "4"].map((name) => folder(name, 10));
    expect(removed(all, { keep: 2 })).toEqual(["1", "2"]);
    expect(removed(all, { bytesMax: 35 })).toEqual(["1"]);
    // A folder older than a removed one is removed too, although it would fit.
    expect(removed([folder("1", 1), folder("2", 50), folder("3", 10)], { bytesMax: 30 })).toEqual(["1", "2"]);
  });

  test("go before that when a restore lacks room, oldest first, if it is enough, and never the newest", () => {
    const all = ["1", "2", "3"].map((name) => folder(name, 10));
    expect(setAsidesForRoom(all, 10)).toEqual(["1"]);
    expect(setAsidesForRoom(all, 11)).toEqual(["1", "2"]);
    expect(setAsidesForRoom(all, 21)).toEqual([]);
    expect(setAsidesForRoom([folder("1", 100)], 1)).toEqual([]);
    expect(setAsidesForRoom([], 1)).toEqual([]);
  });

  test("never lose the newest, whatever its size", () => {
    expect(removed([folder("1", 9e12)], { bytesMax: 0 })).toEqual([]);
    expect(removed([folder("1"), folder("2", 9e12)], { bytesMax: 0 })).toEqual(["1"]);
  });

  test("with the same content are kept once, the newest of them, and do not count", () => {
    const all = [folder("1", 5, "x"), folder("2", 5, "y"), folder("3", 5, "x"), folder("4", 5, "x")];
    expect(removed(all, { keep: 2 })).toEqual(["1", "3"]);
    expect(removableSetAsides(all, { keep: 2, bytesMax: 1_000 })[0]?.why).toBe("it has the same content as 4");
  });

  test("that cannot be read equal no other folder", () => {
    expect(removed([folder("1", 1, undefined), { name: "2", bytes: 1, content: undefined }])).toEqual([]);
  });
});

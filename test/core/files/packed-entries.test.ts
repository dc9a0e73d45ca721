import { describe, expect, test } from "bun:test";
import type { FileEntry, PiecePlace } from "../../../src/core/files/file-entry.ts";
import { ownersOwn } from "../../../src/core/files/file-owner.ts";
import { PackedEntries } from "../../../src/core/files/packed-entries.ts";
import { sha256 } from "../../../src/runtime/sha256.ts";

const hash = (text: string): string => sha256(Buffer.from(text)).toString("hex");
const owner = { mode: 0o4755, uid: ownersOwn, gid: 100 };
const file = (...places: PiecePlace[]): FileEntry => ({
  ...{ kind: "file", ...owner, mtimeMs: 1_700_000_000_123, size: 2 ** 40 + 1 },
  pieces: places.map((place, index) => ({ hash: hash(String(index)), place })),
});
const inRecord = (position: number): PiecePlace => ({ kind: "record", position });

describe("entries in little memory", () => {
  test("are given back as they were, of every kind", () => {
    const all: [string, FileEntry][] = [
      ["empty", file()],
      ["a file\n", file({ kind: "chunk", key: "chunks/ab/cd" }, inRecord(7))],
      ["offsets", file({ kind: "chunk", key: "k", offset: 0 }, { kind: "chunk", key: "k", offset: 2 ** 33 })],
      ["many pieces", file(...Array.from({ length: 9 }, (_, at) => inRecord(at + 1)))],
      ["link", { kind: "link", target: "../../etc/\\x00 1,2" }],
      ["a link to nothing", { kind: "link", target: "" }],
      ["folder", { kind: "folder", ...owner }],
    ];
    const entries = new PackedEntries();
    for (const [path, entry] of all) entries.set(path, entry, true);
    expect([...entries]).toEqual(all);
    expect([...new PackedEntries(entries)]).toEqual(all);
    expect(all.map(([path]) => entries.get(path))).toEqual(all.map(([, entry]) => entry));
    expect(entries.get("nothing")).toBeUndefined();
  });

  test("have the position that their place gets later, whenever they are packed", () => {
    const entries = new PackedEntries();
    const [early, late] = [
      { kind: "record" as const, position: 0 },
      { kind: "record" as const, position: 0 },
    ];
    entries.set("early", file(early), false);
    entries.set("late", file(late), false);
    early.position = 5;
    for (const path of ["early", "late", "nothing"]) entries.pack(path);
    late.position = 6;
    expect([entries.get("early"), entries.get("late")]).toEqual([file(inRecord(5)), file(inRecord(6))]);
  });

  test("know the folders among them, also when another kind takes their place", () => {
    const entries = new PackedEntries();
    const folder: FileEntry = { kind: "folder", ...owner };
    for (const path of ["a", "b", "c"]) entries.set(path, folder, true);
    entries.set("d", file(), true);
    entries.delete("a");
    entries.set("b", file(), true);
    expect([...entries.folders]).toEqual(["c"]);
    expect([...new PackedEntries(entries).folders]).toEqual(["c"]);
  });

  test("of a copy are not those of the original", () => {
    const entries = new PackedEntries();
    entries.set("a", file(), true);
    const copy = new PackedEntries(entries);
    copy.delete("a");
    copy.set("b", file(), true);
    expect([entries.has("a"), entries.has("b"), entries.size]).toEqual([true, false, 1]);
  });
});

import { describe, expect, test } from "bun:test";
import type { ChangePiece, FileChange, PutFile } from "../../../src/core/files/file-change.ts";
import { filePieceBytes } from "../../../src/core/files/file-entry.ts";
import { sha256 } from "../../../src/runtime/sha256.ts";
import { chunkKey } from "../../../src/vault/keys.ts";
import { MalformedBytes } from "../../../src/vault/log/bytes.ts";
import type { Section } from "../../../src/core/flush.ts";
import { filesChecksumIn, filesOf, type FilesPart, filesSection } from "../../../src/vault/log/files-section.ts";
import { joinedSection } from "../../../src/vault/log/section-codec.ts";

const owner = { mode: 0o4755, uid: 1000, gid: 0xffff_fffe };
const bytes = Buffer.alloc(filePieceBytes, 7);
const hash = sha256(bytes).toString("hex");
const end = Buffer.from("end");
const file: PutFile = {
  kind: "put-file",
  path: "uploads/caf\u00e9 \\xff.bin",
  ...owner,
  mtimeMs: 1_790_000_000_123,
  size: 2 * filePieceBytes + 3,
  base: "uploads/old",
  pieces: [
    { hash, source: { kind: "same", index: 1 } },
    { hash, source: { kind: "chunk", key: chunkKey(17, hash) } },
    { hash: sha256(end).toString("hex"), source: { kind: "inline", bytes: end } },
  ],
};
const changes: readonly FileChange[] = [
  { kind: "remove", path: "uploads/old" },
  { kind: "put-folder", path: "uploads/empty", ...owner },
  file,
  { kind: "put-file", path: "nothing", ...owner, mtimeMs: 0, size: 0, pieces: [] },
  { kind: "put-link", path: "link", target: "../outside" },
];
const checksum = Uint8Array.from({ length: 16 }, (_, at) => at);

const sectionOf = (part: FilesPart): Section => joinedSection(filesSection(part));

describe("the section files", () => {
  test("comes back as it was written, a flush's parts in their order with the last checksum", () => {
    const parts = [
      sectionOf({ changes: changes.slice(0, 2), checksum: new Uint8Array(16) }),
      { kind: "requests", isRequired: false, content: new Uint8Array(3) },
      sectionOf({ changes: changes.slice(2), checksum }),
    ];
    expect(parts[0]?.isRequired).toBe(true);
    const found = filesOf(parts);
    expect(found?.changes.map(plain)).toEqual(changes.map(plain));
    expect(found?.checksum).toEqual(checksum);
    expect(filesOf([])).toBeUndefined();
  });

  test("refuses what no host could apply", () => {
    const [same, chunk, inline] = file.pieces as [ChangePiece, ChangePiece, ChangePiece];
    const short: ChangePiece = { hash, source: { kind: "inline", bytes: end } };
    const bad: FileChange[] = [
      { kind: "remove", path: "../x" },
      { kind: "remove", path: "/etc/passwd" },
      { kind: "put-link", path: "l", target: "" },
      { kind: "put-folder", path: "f", ...owner, mode: 0o10000 },
      { ...file, pieces: file.pieces.slice(1) },
      { ...file, base: undefined },
      { ...file, base: "a/../../b" },
      { ...file, size: -1 },
      { ...file, pieces: [inline, chunk, inline] },
    ];
    for (const change of bad) expect(() => filesSection({ changes: [change], checksum })).toThrow(RangeError);
    const foreign = sectionOf({ changes: [{ ...file, pieces: [same, chunk, short] }], checksum });
    expect(() => filesOf([foreign])).toThrow(MalformedBytes);
  });

  test("is refused with any byte of a path, size, hash or content changed, or with fewer or more bytes", () => {
    const { content } = sectionOf({ changes: [{ ...file, pieces: file.pieces }], checksum });
    const read = (changed: Uint8Array): unknown => filesOf([{ kind: "files", isRequired: true, content: changed }]);
    expect(() => read(content.subarray(0, -1))).toThrow(MalformedBytes);
    expect(() => read(Buffer.concat([content, Buffer.of(0)]))).toThrow(MalformedBytes);
    const flipped = (at: number): Uint8Array => {
      const copy = Buffer.from(content);
      copy[at] = (copy[at] ?? 0) ^ 0xff;
      return copy;
    };
    // The kind of the change, the last byte of the content, and a byte of the count.
    for (const at of [20, content.length - 1, 17]) expect(() => read(flipped(at))).toThrow(MalformedBytes);
  });
});

/** Bytes of whatever kind as text. */
const plain = (change: FileChange): unknown =>
  change.kind !== "put-file"
    ? change
    : {
        ...change,
        pieces: change.pieces.map(({ hash: of, source }) => ({
          of,
          source: source.kind === "inline" ? Buffer.from(source.bytes).toString("hex") : source,
        })),
      };

test("the checksum is read without the rest", () => {
  const section = sectionOf({ changes, checksum });
  const other = { kind: "requests", isRequired: false, content: new Uint8Array(3) };
  expect(filesChecksumIn([other, section])).toEqual(checksum);
  expect(filesChecksumIn([other])).toBeUndefined();
});

/**
 * Which files the simulated application must have for its rows, and what is in them.
 *
 * Some requests upload a file and commit a row that refers to it: of an append the row is its id in the list, of a put
 * its id in the register. Contents, modes and kinds follow from the id, so that anyone can tell whether a file is the
 * right one. Beside them each key has ledgers, files that grow line by line, with a line for each append; and one entry
 * for what its register refers to: a link to the upload, a copy of it, or a folder with the copy.
 */
import { type FileEntry, filePieceBytes, pieceCountOf } from "../../src/core/files/file-entry.ts";
import type { FileTree } from "../../src/core/files/file-tree.ts";
import { sha256 } from "../../src/runtime/sha256.ts";
import type { SimDatabase } from "./sim-database.ts";

/** Of files in the simulation (`withPiecesOf`): small ones have several. */
export const simPieceBytes = 64;

export const [uploads, incoming, current, ledgers] = ["uploads", "incoming", "current", "ledgers"];

/** What is covered in half of the seeds, so that a rename leads from there or not; in the others everything is. */
export const patternsOf = (coversIncoming: boolean): readonly string[] =>
  coversIncoming ? ["**"] : [`${uploads}/**`, `${current}/**`, `${ledgers}/**`];

/** `every`: one request of so many has a file; 0: none has. */
export const hasFile = (id: number, every: number): boolean => every > 0 && id > 0 && id % every === 0;

/** It is a folder with the file in it, renamed whole. */
export const isFolderUpload = (id: number): boolean => id % 4 === 3;
export const partName = "part";

/** Of a row. */
export const uploadOf = (id: number): string =>
  isFolderUpload(id) ? `${uploads}/${id}/${partName}` : `${uploads}/${id}`;
export const modeOf = (id: number): number => [0o644, 0o600, 0o640][id % 3] ?? 0o644;

/** Begins many of them: equal contents are in one chunk. */
const letterhead = new TextEncoder().encode("what was uploaded begins like this ".padEnd(simPieceBytes, "."));

export function contentOf(id: number): Uint8Array {
  const text = new TextEncoder().encode(`what was uploaded with request ${id}; `.repeat(1 + (id % 6)));
  return id % 2 === 0 ? text : Buffer.concat([letterhead, text]);
}

/** What stands for the register's upload. */
export type Standing = "link" | "copy" | "folder";
export const standingOf = (id: number): Standing => (["link", "copy", "folder"] as const)[id % 3] ?? "link";
export const linkTo = (id: number): string => `../${uploadOf(id)}`;

const hashes = new WeakMap<Uint8Array, readonly string[]>();

/** Of each piece. Contents are never changed in place. */
export function hashesOf(content: Uint8Array): readonly string[] {
  const known = hashes.get(content);
  if (known !== undefined) return known;
  const found = Array.from({ length: pieceCountOf(content.length) }, (_, index) =>
    sha256(content.subarray(index * filePieceBytes, (index + 1) * filePieceBytes)).toString("hex"),
  );
  hashes.set(content, found);
  return found;
}

const expected = new Map<number, string>();

/** What a row's file is, in one word. */
function wordOf(id: number): string {
  let word = expected.get(id);
  if (word === undefined) expected.set(id, (word = `${modeOf(id)} ${hashesOf(contentOf(id)).join(" ")}`));
  return word;
}

type Files = Pick<FileTree, "get">;

const hashesIn = (entry: FileEntry & { readonly kind: "file" }): string =>
  entry.pieces.map(({ hash }) => hash).join(" ");

/** Returns what is wrong with the file of a row. */
export function wrongFileOf(id: number, files: Files): string | undefined {
  const path = uploadOf(id);
  const entry = files.get(path);
  if (entry?.kind === "file" && `${entry.mode} ${hashesIn(entry)}` === wordOf(id)) return undefined;
  const found = entry === undefined ? "is not there" : `is a ${entry.kind} with another content or mode`;
  return `row ${id} refers to ${path}, which ${found}`;
}

/** Returns which key's entry is wrong: the upload that it links to, or has a copy of, must be there, whole. */
export function wrongStanding(keys: number, files: Files): string | undefined {
  for (let key = 0; key < keys; key++) {
    const path = `${current}/${key}`;
    const entry = files.get(path);
    if (entry?.kind === "link" && files.get(entry.target.replace("../", "")) === undefined)
      return `${path} is a link to ${entry.target}, which is not there`;
    if (entry?.kind === "folder" && files.get(`${path}/${partName}`) === undefined) return `${path} is an empty folder`;
  }
  return undefined;
}

/** Looks for the file of each row of a database. `lines`: ids in the ledgers of a key. */
export function wrongFile(
  database: SimDatabase,
  every: number,
  files: Files,
  lines?: (key: number) => ReadonlySet<number>,
): string | undefined {
  if (every === 0) return undefined;
  for (let key = 0; key < database.keys; key++) {
    const appended = database.ids(key).filter((id) => hasFile(id, every));
    const written = lines?.(key);
    const missing = written === undefined ? undefined : appended.find((id) => !written.has(id));
    if (missing !== undefined) return `row ${missing} has no line in the ledgers of key ${key}`;
    const { value } = database.register(key);
    for (const id of hasFile(value, every) ? [...appended, value] : appended) {
      const wrong = wrongFileOf(id, files);
      if (wrong !== undefined) return wrong;
    }
  }
  return wrongStanding(database.keys, files);
}

/** A file of a tree, in one word: its path and what is in it. */
export const contentWord = (path: string, entry: FileEntry): string =>
  entry.kind === "file" ? `${path} ${hashesIn(entry)}` : `${path} ${entry.kind === "link" ? entry.target : ""}`;

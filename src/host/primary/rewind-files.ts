/**
 * The changes that make a later state of the files beside the databases an earlier one again. Contents that the later
 * state has at the same place of the same file are named; others are read from the files of the earlier state, each
 * proven by its hash, and put into the vault if they do not fit into the flush.
 */
import { type FileHandle, open } from "node:fs/promises";
import { pathOf } from "../../capture/data-path.ts";
import { FlushDraft } from "../../capture/files/file-draft.ts";
import { PieceContents, type StorePiece } from "../../capture/files/piece-contents.ts";
import type { ChangePiece, FileChange, PutFile } from "../../core/files/file-change.ts";
import { type FileEntry, filePieceBytes, pieceLength } from "../../core/files/file-entry.ts";
import { FileTree, folderOfPath } from "../../core/files/file-tree.ts";
import { sha256 } from "../../runtime/sha256.ts";
import type { FilesOfBatch } from "../ports/ports.ts";

export interface RewindFilesOptions {
  /** The folder with the files of the earlier state. */
  readonly root: string;
  /** Undefined: that state has no files. */
  readonly earlier: FileTree | undefined;
  readonly later: FileTree | undefined;
  readonly store: StorePiece;
}

/** Undefined: nothing is changed. */
export async function rewindFiles(options: RewindFilesOptions): Promise<FilesOfBatch | undefined> {
  const earlier = options.earlier ?? new FileTree(sha256);
  const later = options.later ?? new FileTree(sha256);
  if (Buffer.compare(earlier.checksum, later.checksum) === 0) return undefined;
  const draft = new FlushDraft();
  const contents = new PieceContents(options.store);
  const cleared = new Set<string>();
  for (const path of later.paths()) {
    if (earlier.get(path) !== undefined) continue;
    cleared.add(path);
    draft.remove(path, later);
  }
  // Also one that takes the place of a folder without an entry (core/files/file-tree.ts).
  for (const path of earlier.folders()) if (later.get(path)?.kind !== "folder") cleared.add(path);
  for (const [path, entry] of earlier.entries()) {
    const before = later.get(path);
    // With what is there, everything below it goes.
    if (before !== undefined && isSame(entry, before) && !isBelow(path, cleared)) continue;
    if (entry.kind === "link") draft.set({ kind: "put-link", path, target: entry.target });
    else if (entry.kind === "file") draft.set(await putOf(path, entry, before, { root: options.root, contents }));
    else {
      const { mode, uid, gid } = entry;
      draft.set({ kind: "put-folder", path, mode, uid, gid });
    }
  }
  await contents.stored();
  const changes = draft.take();
  assertExact(later, changes, earlier.checksum);
  return { changes, checksum: earlier.checksum, done: () => undefined };
}

/** A flush that no host could apply would stop all of them. */
function assertExact(later: FileTree, changes: readonly FileChange[], wanted: Uint8Array): void {
  const tree = later.copy();
  tree.apply(changes, 0);
  if (Buffer.compare(tree.checksum, wanted) !== 0)
    throw new Error("the files of that state cannot be made of those of now: this is a defect of the host");
}

function isBelow(path: string, others: ReadonlySet<string>): boolean {
  for (let at = folderOfPath(path); at !== ""; at = folderOfPath(at)) if (others.has(at)) return true;
  return false;
}

function isSame(entry: FileEntry, other: FileEntry): boolean {
  if (entry.kind === "link") return other.kind === "link" && other.target === entry.target;
  if (other.kind !== entry.kind || other.mode !== entry.mode || other.uid !== entry.uid || other.gid !== entry.gid)
    return false;
  if (entry.kind === "folder" || other.kind === "folder") return true;
  return entry.size === other.size && entry.pieces.every(({ hash }, index) => other.pieces[index]?.hash === hash);
}

async function putOf(
  path: string,
  entry: FileEntry & { readonly kind: "file" },
  before: FileEntry | undefined,
  { root, contents }: { readonly root: string; readonly contents: PieceContents },
): Promise<PutFile> {
  const { mode, uid, gid, mtimeMs, size } = entry;
  const pieces: ChangePiece[] = [];
  let file: FileHandle | undefined;
  let isBased = false;
  try {
    for (const [index, { hash }] of entry.pieces.entries()) {
      if (before?.kind === "file" && before.pieces[index]?.hash === hash) {
        pieces[index] = { hash, source: { kind: "same", index } };
        isBased = true;
        continue;
      }
      file ??= await open(pathOf(root, path), "r");
      const bytes = Buffer.alloc(pieceLength(size, index));
      await file.read(bytes, 0, bytes.length, index * filePieceBytes);
      if (sha256(bytes).toString("hex") !== hash)
        throw new Error(`piece ${index} of ${path} is not as it was restored`);
      await contents.add(pieces, index, hash, bytes);
    }
  } finally {
    await file?.close();
  }
  return { kind: "put-file", path, mode, uid, gid, mtimeMs, size, ...(isBased ? { base: path } : {}), pieces };
}

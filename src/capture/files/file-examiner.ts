/**
 * Compares what is on the disk with the tree, path by path, and drafts what the next flush changes.
 *
 * The tree is the state of the last flush. A path is examined after the kernel told of it, after a folder appeared that
 * contains it, or after a comparison found it to differ. What the last look found is what counts, however often a path
 * changed in between: the application answers after its own last write, and that one was told before the look.
 */
import type { ChangePiece, FileChange, PutFile } from "../../core/files/file-change.ts";
import type { FileAttributes, FileEntry } from "../../core/files/file-entry.ts";
import { type FileUser, journaledAttributes } from "../../core/files/file-owner.ts";
import type { FileMatcher } from "../../core/files/file-pattern.ts";
import type { FileTree } from "../../core/files/file-tree.ts";
import type { FileSystem } from "../../runtime/file-system.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import { type FilePath, pathOf } from "../data-path.ts";
import { EventLoopBudget } from "../../runtime/event-loop-budget.ts";
import { namesIn } from "./file-auditor.ts";
import { FlushDraft } from "./file-draft.ts";
import type { FileEvents } from "./file-events.ts";
import { type Found, findAt, mtimeMsOf, sameStamp } from "./file-look.ts";
import { FileStamps } from "./file-stamps.ts";
import { MovedFiles } from "./moved-files.ts";
import type { PendingPath, PendingPaths } from "./pending-paths.ts";
import type { PieceContents } from "./piece-contents.ts";
import { readPieces } from "./read-pieces.ts";
import type { UncoveredFiles } from "./uncovered-files.ts";

export interface FileExaminerParts {
  readonly root: string;
  readonly fs: FileSystem;
  readonly matcher: FileMatcher;
  readonly user: FileUser;
  readonly tree: FileTree;
  readonly events: FileEvents;
  readonly pending: PendingPaths;
  readonly contents: PieceContents;
  readonly uncovered: UncoveredFiles;
  readonly bounds: FileLimits;
  /** Beyond a bound, files that are not in the tree yet are left out of it. */
  readonly leavesOut: boolean;
}

export interface FileLimits {
  /** Files, links and folders. */
  readonly filesMax: number;
  /** Of all files together. */
  readonly bytesMax: number;
  /** Of one file. */
  readonly fileBytesMax: number;
}

/** One path with what was told of it, and what is there. */
interface Looked {
  readonly path: string;
  readonly told: PendingPath;
  readonly found: Found | undefined;
}

export class FileExaminer {
  readonly #parts: FileExaminerParts;
  readonly draft = new FlushDraft();
  /** How files were when they were read last. */
  readonly stamps = new FileStamps();
  readonly #moved = new MovedFiles();
  /** Gone, by a removal that is later than the cut. */
  readonly #deferred = new Map<string, PendingPath>();
  /** Cannot be read now. */
  readonly #retried = new Map<string, PendingPath>();
  #hasLost = false;
  #mayDefer = false;
  /** Entries of folders that are entered in this look. */
  readonly #entered = new Map<string, PendingPath>();
  /** Events were lost: that none tells of a write means nothing. */
  #isDoubtful = false;

  constructor(parts: FileExaminerParts) {
    this.#parts = parts;
  }

  /** True if folders were entered since the last look. */
  get hasEntered(): boolean {
    return this.#entered.size > 0;
  }

  /** True if removals wait for a later cut. */
  get isDeferring(): boolean {
    return this.#deferred.size > 0;
  }

  /** True from when a removal is examined that may be later than the cut, until the flush is taken. */
  get mayDefer(): boolean {
    return this.#mayDefer;
  }

  /** True if one of them is a rename, whose other name is in the draft. */
  get isRenaming(): boolean {
    return [...this.#deferred.values()].some(({ isMovedAway }) => isMovedAway);
  }

  /** A content may have been removed after the cut before it was read: a row of the cut may refer to it. */
  get hasLost(): boolean {
    return this.#hasLost;
  }

  /** Examines everything pending. Of removals only those up to this number are drafted; later ones are deferred. */
  async examine(removalsUpTo: number): Promise<void> {
    const { pending, contents } = this.#parts;
    this.#hasLost = false;
    this.#isDoubtful = pending.takeDoubt();
    if (this.#isDoubtful) this.enter("", true);
    for (const waiting of [this.#deferred, this.#retried]) {
      for (const [path, told] of waiting) pending.giveBack(path, told);
      waiting.clear();
    }
    this.#mayDefer = false;
    const budget = new EventLoopBudget();
    // What is told from here on is for the next look: under an application that never rests this one would not end.
    for (let told = this.#withEntered(pending.take()); told.size > 0; told = this.#withEntered(new Map())) {
      const looked: Looked[] = [];
      // Before the first turn of anything else, which may ask whether something is ahead.
      for (const [path, each] of told) this.#mayDefer ||= this.#mayBeDeferred(path, each, removalsUpTo);
      for (const [path, each] of told) {
        try {
          const found = this.#isSurelyGone(path, each) ? undefined : this.#look(path);
          looked.push({ path, told: each, found });
        } catch (error) {
          this.#noteUnreadable(path, each, error);
        }
        await budget.yieldIfDue();
      }
      const isWritten = (path: string): boolean => told.get(path)?.isWritten === true;
      for (const each of looked) if (each.found === undefined) this.#gone(each, removalsUpTo, isWritten);
      for (const each of looked) {
        if (each.found !== undefined) await this.#there(each.path, each.told, each.found);
        await budget.yieldIfDue();
      }
    }
    await contents.stored();
  }

  /** Returns what the flush changes; what is deferred is for the next one. */
  take(): FileChange[] {
    const { pending, contents } = this.#parts;
    for (const [path, told] of this.#deferred) pending.giveBack(path, told);
    this.#deferred.clear();
    this.#mayDefer = false;
    this.#moved.clear();
    contents.begin();
    return this.draft.take();
  }

  /** Has the kernel tell of a folder from here on; false: it is not there. */
  watch(folder: string): boolean {
    const { events, uncovered } = this.#parts;
    if (events.watch(folder, this.#pathOf(folder))) return true;
    if (this.#look(folder)?.kind === "folder") uncovered.note(folder, notWatched(folder));
    return false;
  }

  /**
   * Watches a folder, and has everything in it examined. `isMoved`: it appeared whole, so its files are what they were
   * under another name unless the kernel tells otherwise. False: it is not watched.
   */
  enter(folder: string, isMoved = false): boolean {
    const { fs, matcher, tree } = this.#parts;
    // Before it is listed: what appears after the listing is told.
    if (!this.watch(folder)) return false;
    // A file may have come and gone before: nothing tells of it.
    this.#hasLost = true;
    const found: PendingPath = {
      ...{ isWritten: !isMoved, isNew: true, removal: 0, isMovedAway: false, presence: "unknown" },
    };
    const present = new Set<string>();
    for (const name of namesIn(this.#pathOf(folder), fs)) {
      const entry = folder === "" ? name : `${folder}/${name}`;
      if (!matcher.visits(entry)) continue;
      present.add(entry);
      this.#entered.set(entry, found);
    }
    for (const known of [...tree.below(folder), ...this.draft.putBelow(folder)])
      if (!present.has(known)) this.#enterGone(known);
    return true;
  }

  /** Known to the tree, or to the draft alone, and not in its folder: no event of its removal may follow. */
  #enterGone(path: string): void {
    const removal = this.#parts.pending.countRemoval();
    const told = { isWritten: false, isNew: false, removal, isMovedAway: false };
    this.#entered.set(path, { ...told, presence: "unknown" });
  }

  /** The same, and the folder itself is examined. */
  enterAlso(folder: string): void {
    this.enter(folder);
    const told = { isWritten: true, isNew: false, removal: 0, isMovedAway: false };
    this.#entered.set(folder, { ...told, presence: "unknown" });
  }

  /** Adds what folders had that were entered since. */
  #withEntered(told: Map<string, PendingPath>): Map<string, PendingPath> {
    for (const [path, entered] of this.#entered) {
      const known = told.get(path);
      const isWritten = entered.isWritten || known?.isWritten === true;
      const { isNew, presence } = entered;
      told.set(path, known === undefined ? entered : { ...known, isWritten, isNew, presence });
    }
    this.#entered.clear();
    return told;
  }

  #pathOf(path: string): FilePath {
    return path === "" ? this.#parts.root : pathOf(this.#parts.root, path);
  }

  /** True if it need not be looked at: nothing is there, and neither the tree nor the draft has anything there. */
  #isSurelyGone(path: string, { presence }: PendingPath): boolean {
    return presence === "surely-gone" && !this.#isDoubtful && !this.#isKnown(path);
  }

  /** True if its removal, or one below it that the look at a folder finds, may be later than the cut. */
  #mayBeDeferred(path: string, { removal, isNew }: PendingPath, removalsUpTo: number): boolean {
    return (removal > removalsUpTo && this.#isKnown(path)) || (isNew && this.#hasBelow(path));
  }

  #isKnown(path: string): boolean {
    return this.draft.get(path) !== undefined || this.#parts.tree.get(path) !== undefined || this.#hasBelow(path);
  }

  #hasBelow(path: string): boolean {
    for (const paths of [this.#parts.tree.below(path), this.draft.putBelow(path)]) for (const _ of paths) return true;
    return false;
  }

  /** Undefined also for what is there and no file of the service. */
  #look(path: string): Found | undefined {
    const { fs, matcher } = this.#parts;
    const found = findAt(this.#pathOf(path), fs);
    if (found === undefined) return undefined;
    if (found.kind === "folder") return path === "" || matcher.coversFolder(path) ? found : undefined;
    return found.kind !== "other" && matcher.covers(path) ? found : undefined;
  }

  #noteUnreadable(path: string, told: PendingPath, error: unknown): void {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error;
    this.#parts.uncovered.note(path, {
      found: `${path}: it cannot be read (${messageOf(error)})`,
      accepted: "files and folders that this host can read",
      advice: "Let this host read it, or leave it out with files_except.",
    });
    this.#retried.set(path, told);
  }

  #gone({ path, told }: Looked, removalsUpTo: number, isWritten: (path: string) => boolean): void {
    const { tree, events, contents, uncovered } = this.#parts;
    uncovered.clear(path);
    if (told.removal === 0) return this.#vanished(path, told);
    if (told.removal > removalsUpTo) this.#noteLost(told);
    if (!this.#isKnown(path)) return;
    this.#moved.add(path, tree, this.stamps, isWritten);
    if (told.removal > removalsUpTo) {
      this.#deferred.set(path, told);
      return;
    }
    if (tree.get(path)?.kind !== "file") events.forget(path);
    this.stamps.delete(path);
    for (const change of this.draft.remove(path, tree)) if (change.kind === "put-file") contents.forget(change.pieces);
  }

  /** Its removal is in the queue, or that of a folder above it: it is for the next look. */
  #vanished(path: string, told: PendingPath): void {
    this.#noteLost(this.#parts.pending.noteVanished(path, told));
  }

  /** Removed after the cut. A content that nothing told of is what the tree has. */
  #noteLost({ isWritten, isNew, isMovedAway }: PendingPath): void {
    this.#hasLost ||= (isWritten || isNew) && !isMovedAway;
  }

  async #there(path: string, told: PendingPath, found: Found): Promise<void> {
    const { tree, uncovered, bounds, leavesOut } = this.#parts;
    const known = tree.get(path);
    const isFull = tree.size >= bounds.filesMax || tree.bytes >= bounds.bytesMax;
    if (known === undefined && isFull && leavesOut) return uncovered.note(path, noRoomFor(path, bounds));
    if (found.kind === "folder") {
      const isEntered = !(told.isNew || known?.kind !== "folder") || this.enter(path, !told.isWritten);
      // Gone while the contents of others were read: put empty, it would lack what a row of the cut may refer to.
      if (!isEntered && this.#look(path)?.kind !== "folder") return this.#vanished(path, told);
      const attributes = journaledAttributes(found, this.#parts.user);
      const isSame = known?.kind === "folder" && sameAttributes(known, attributes);
      this.#draft(isSame ? undefined : { kind: "put-folder", path, ...attributes }, path);
    } else if (found.kind === "link") {
      const isSame = known?.kind === "link" && known.target === found.target;
      this.#draft(isSame ? undefined : { kind: "put-link", path, target: found.target }, path);
    } else if (found.kind === "file") {
      if (Number(found.stamp.size) > bounds.fileBytesMax) return this.#tooLarge(path, Number(found.stamp.size));
      uncovered.clear(path);
      await this.#file(path, told, found);
    }
  }

  async #file(path: string, told: PendingPath, found: Found & { kind: "file" }): Promise<void> {
    const { tree } = this.#parts;
    const known = tree.get(path);
    const stamp = this.stamps.get(path);
    if (!told.isWritten && known !== undefined && stamp !== undefined && sameStamp(stamp, found.stamp)) return;
    const moved = told.isWritten || this.#isDoubtful ? undefined : this.#moved.unwritten(found.stamp);
    const from = moved === undefined ? undefined : tree.get(moved);
    if (moved !== undefined && from?.kind === "file") {
      const pieces = from.pieces.map(({ hash }, index): ChangePiece => ({ hash, source: { kind: "same", index } }));
      this.stamps.set(path, found.stamp);
      const { size } = from;
      const put = {
        ...journaledAttributes(found, this.#parts.user),
        mtimeMs: mtimeMsOf(found.stamp),
        size,
        base: moved,
        pieces,
      };
      this.#draft({ kind: "put-file", path, ...put }, path);
      return;
    }
    try {
      const put = await this.#read(path, known, Number(found.stamp.size));
      if (put === undefined) return this.#vanished(path, told);
      // All pieces of one that is the same are: none of them was added to the contents of the flush.
      const isSame = known?.kind === "file" && sameFileAs(known, put);
      this.#draft(isSame ? undefined : put, path);
    } catch (error) {
      this.#noteUnreadable(path, told, error);
    }
  }

  /** Reads the file, and has what is new in it stored. Undefined: it is not there any more. */
  async #read(path: string, known: FileEntry | undefined, size: number): Promise<PutFile | undefined> {
    const { fs, contents, tree } = this.#parts;
    const pieces: ChangePiece[] = [];
    let base = path;
    let before = known;
    const read = await readPieces(
      this.#pathOf(path),
      async (index, hash, bytes) => {
        if (index === 0 && !(before?.kind === "file" && before.pieces[0]?.hash === hash)) {
          const like = this.#moved.like(hash, size);
          if (like !== undefined) [base, before] = [like, tree.get(like)];
        }
        const isSame = before?.kind === "file" && before.pieces[index]?.hash === hash;
        if (!isSame) return contents.add(pieces, index, hash, bytes);
        pieces[index] = { hash, source: { kind: "same", index } };
        contents.memory.give(bytes);
      },
      contents.memory,
      fs,
    );
    if (read === undefined) return undefined;
    await contents.stored();
    this.stamps.set(path, read.stamp);
    const isBased = pieces.some(({ source }) => source.kind === "same");
    return {
      kind: "put-file",
      path,
      ...journaledAttributes(read, this.#parts.user),
      mtimeMs: mtimeMsOf(read.stamp),
      size: read.size,
      ...(isBased ? { base } : {}),
      pieces,
    };
  }

  /** Undefined: the path is as the tree has it. */
  #draft(change: FileChange | undefined, path: string): void {
    const before = change === undefined ? this.draft.delete(path) : this.draft.set(change);
    if (before?.kind === "put-file") this.#parts.contents.forget(before.pieces);
  }

  /** It is not part of the tree: a shortened or old content would be taken for the file. */
  #tooLarge(path: string, size: number): void {
    const { tree, uncovered, bounds, contents } = this.#parts;
    uncovered.note(path, {
      found: `${path}: a file of ${size} bytes`,
      accepted: `files of at most ${bounds.fileBytesMax} bytes (file_bytes_max)`,
      advice: "Raise file_bytes_max in [host], or leave it out with files_except.",
    });
    for (const change of this.draft.remove(path, tree)) if (change.kind === "put-file") contents.forget(change.pieces);
  }
}

const noRoomFor = (path: string, { filesMax, bytesMax }: FileLimits): ReturnType<typeof notWatched> => ({
  found: `${path}: one more file`,
  accepted: `at most ${filesMax} files, links and folders (files_max), and ${bytesMax} bytes (files_bytes_max)`,
  advice: "Raise that bound in [host], or leave files out with files_except.",
});

const notWatched = (folder: string): { found: string; accepted: string; advice: string } => ({
  found: `${folder === "" ? "the data folder" : folder}: a folder that the kernel does not watch for this host`,
  accepted: "a watch for each folder with files of the service",
  advice: "Raise fs.inotify.max_user_watches (sysctl), or leave folders out with files_except.",
});

const sameAttributes = (a: FileAttributes, b: FileAttributes): boolean =>
  a.mode === b.mode && a.uid === b.uid && a.gid === b.gid;

const sameFileAs = (known: FileEntry & { kind: "file" }, put: PutFile): boolean =>
  sameAttributes(known, put) &&
  known.size === put.size &&
  known.mtimeMs === put.mtimeMs &&
  known.pieces.every(({ hash }, index) => put.pieces[index]?.hash === hash);

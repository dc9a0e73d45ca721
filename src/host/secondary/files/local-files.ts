/**
 * The files of an earlier run of this host, and where they are while a restore looks for what it can use of them.
 *
 * As with databases, all that the patterns cover is moved out of the data folder, and comes back only as content that
 * the journal has, proven by its hash (file-replica.ts). What is left behind then is what the journal does not have at
 * its end.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  closeSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  type Stats,
} from "node:fs";
import { EventLoopBudget } from "../../../runtime/event-loop-budget.ts";
import { type FilePath, pathOf } from "../../../capture/data-path.ts";
import { nameOfBytes } from "../../../core/database-name.ts";
import {
  filePieceBytes,
  type FileEntry,
  type FilePiece,
  pieceCountOf,
  pieceLength,
} from "../../../core/files/file-entry.ts";
import { type FileUser, journaledAttributes } from "../../../core/files/file-owner.ts";
import { incomingFolderName, type FileMatcher } from "../../../core/files/file-pattern.ts";
import { FileTree } from "../../../core/files/file-tree.ts";
import { readFully } from "../../../capture/wal-reader.ts";
import { sha256 } from "../../../runtime/sha256.ts";
import { matcherOf } from "./matcher-of.ts";
import { moveFileIfThere } from "../move-path.ts";

interface FoundEntry {
  readonly path: string;
  readonly stats: Stats;
}

/** A file or link that is covered. */
export interface MovedFile {
  readonly path: string;
  readonly size: number;
}

export class LocalFiles {
  readonly #matcher: FileMatcher;
  readonly #user: FileUser;

  /** `user`: whose files are the journal's own (core/files/file-owner.ts). */
  constructor(matcher: FileMatcher, user: FileUser) {
    this.#matcher = matcher;
    this.#user = user;
  }

  /** Moves all covered entries from one folder to another. After a crash it continues. */
  async moveAway(from: string, to: string): Promise<void> {
    const budget = new EventLoopBudget();
    rmSync(`${from}/${incomingFolderName}`, { recursive: true, force: true });
    const entries = await this.#entries(from);
    for (const { path, stats } of entries) {
      if (stats.isDirectory()) {
        mkdirSync(pathOf(to, path), { recursive: true, mode: 0o700 });
        makeOwnable(pathOf(from, path), stats);
      } else await moveOne(from, to, path, stats);
      await budget.yieldIfDue();
    }
    const folders = entries.filter(({ stats }) => stats.isDirectory()).toReversed();
    for (const { path, stats } of folders) {
      const target = pathOf(to, path);
      if (process.geteuid?.() === 0) chownSync(target, stats.uid, stats.gid);
      chmodSync(target, stats.mode & 0o7777);
      removeIfEmpty(pathOf(from, path), stats);
    }
  }

  /** Removes all covered entries of a folder. */
  async clear(folder: string): Promise<void> {
    const budget = new EventLoopBudget();
    rmSync(`${folder}/${incomingFolderName}`, { recursive: true, force: true });
    const entries = await this.#entries(folder);
    for (const { path, stats } of entries) if (stats.isDirectory()) makeOwnable(pathOf(folder, path), stats);
    for (const { path, stats } of entries.toReversed()) {
      if (stats.isDirectory()) removeIfEmpty(pathOf(folder, path), stats);
      else unlinkSync(pathOf(folder, path));
      await budget.yieldIfDue();
    }
  }

  /** Lets this host move and remove what is in a folder that is its own, whatever modes the application gave. */
  async makeOwnable(folder: string): Promise<void> {
    if (process.geteuid?.() === 0) return;
    for (const { path, stats } of await this.#entries(folder))
      if (stats.isDirectory()) makeOwnable(pathOf(folder, path), stats);
  }

  /** True if no file and no link is covered there. */
  isEmpty(folder: string): boolean {
    for (const { stats } of this.#entriesIn(folder)) if (!stats.isDirectory()) return false;
    return true;
  }

  /** Covered files and links. */
  async files(folder: string): Promise<MovedFile[]> {
    const entries = await this.#entries(folder);
    return entries.flatMap(({ path, stats }) => (stats.isDirectory() ? [] : [{ path, size: stats.size }]));
  }

  /** Returns the checksum of the files in a folder, as the journal would have it; reads all of them. */
  async checksum(folder: string): Promise<Uint8Array> {
    const budget = new EventLoopBudget();
    const tree: [string, FileEntry][] = [];
    for (const entry of this.#entriesIn(folder)) {
      tree.push([entry.path, await entryOf(folder, entry, this.#user, budget)]);
      await budget.yieldIfDue();
    }
    return new FileTree(sha256, tree).checksum;
  }

  /** There may be a hundred thousand: others get their turns meanwhile. */
  async #entries(root: string): Promise<FoundEntry[]> {
    const budget = new EventLoopBudget();
    const entries: FoundEntry[] = [];
    for (const entry of this.#entriesIn(root)) {
      entries.push(entry);
      await budget.yieldIfDue();
    }
    return entries;
  }

  /** Folders before what is in them. */
  *#entriesIn(root: string, folder = ""): Generator<FoundEntry> {
    const at = folder === "" ? root : pathOf(root, folder);
    if (!existsSync(at)) return;
    for (const name of readdirSync(at, { encoding: "buffer" }).map(nameOfBytes)) {
      const path = folder === "" ? name : `${folder}/${name}`;
      const stats = lstatSync(pathOf(root, path), { throwIfNoEntry: false });
      if (stats === undefined) continue;
      if (stats.isDirectory()) {
        if (!this.#matcher.visits(path)) continue;
        if (this.#matcher.coversFolder(path)) yield { path, stats };
        makeOwnable(pathOf(root, path), stats);
        try {
          yield* this.#entriesIn(root, path);
        } finally {
          restoreMode(pathOf(root, path), stats);
        }
      } else if ((stats.isFile() || stats.isSymbolicLink()) && this.#matcher.covers(path)) yield { path, stats };
    }
  }
}

/** Returns undefined if this host has no files beside its databases. */
export function localFilesOf(config: Parameters<typeof matcherOf>[0], user: FileUser): LocalFiles | undefined {
  const matcher = matcherOf(config);
  return matcher === undefined ? undefined : new LocalFiles(matcher, user);
}

async function moveOne(from: string, to: string, path: string, stats: Stats): Promise<void> {
  const [source, target] = [pathOf(from, path), pathOf(to, path)];
  if (!stats.isSymbolicLink()) return moveFileIfThere(source, target);
  rmSync(target, { force: true });
  symlinkSync(readlinkSync(source, { encoding: "buffer" }), target);
  unlinkSync(source);
}

/** Something that is not covered may be in it: then it stays, with the mode that it had. */
function removeIfEmpty(folder: FilePath, stats: Stats): void {
  try {
    rmdirSync(folder);
  } catch (error) {
    if (!["ENOTEMPTY", "EEXIST", "ENOENT", "EBUSY"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    restoreMode(folder, stats);
  }
}

const ownerMay = 0o700;
const needsMode = (mode: number): boolean => process.geteuid?.() !== 0 && (mode & ownerMay) !== ownerMay;

/** An application may close a folder even to its owner; only root does not mind. */
function makeOwnable(folder: FilePath, { mode }: Stats): void {
  if (needsMode(mode)) chmodSync(folder, (mode & 0o7777) | ownerMay);
}

function restoreMode(folder: FilePath, { mode }: Stats): void {
  if (needsMode(mode) && existsSync(folder)) chmodSync(folder, mode & 0o7777);
}

async function entryOf(
  root: string,
  { path, stats }: FoundEntry,
  user: FileUser,
  budget: EventLoopBudget,
): Promise<FileEntry> {
  const attributes = journaledAttributes({ mode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid }, user);
  if (stats.isDirectory()) return { kind: "folder", ...attributes };
  if (stats.isSymbolicLink())
    return { kind: "link", target: nameOfBytes(readlinkSync(pathOf(root, path), { encoding: "buffer" })) };
  const fd = openSync(pathOf(root, path), "r");
  try {
    const { size, mtimeMs } = fstatSync(fd);
    const pieces: FilePiece[] = [];
    for (let index = 0; index < pieceCountOf(size); index++) {
      const bytes = new Uint8Array(pieceLength(size, index));
      readFully(fd, bytes, index * filePieceBytes);
      pieces.push({ hash: sha256(bytes).toString("hex"), place: { kind: "record", position: 0 } });
      await budget.yieldIfDue();
    }
    return { kind: "file", ...attributes, mtimeMs: Math.floor(mtimeMs), size, pieces };
  } finally {
    closeSync(fd);
  }
}

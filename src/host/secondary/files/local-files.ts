/**
 * The files of an earlier run of this host, and where they are while a restore looks for what it can use of them.
 *
 * As with databases, all that the patterns cover is moved out of the data folder, and comes back only as content that
 * the journal has, proven by its hash (file-replica.ts). What is left behind then is what the journal does not have at
 * its end.
 */
import type { BigIntStats, Stats } from "node:fs";
import { EventLoopBudget } from "../../../runtime/event-loop-budget.ts";
import { type FilePath, pathOf } from "../../../capture/data-path.ts";
import { nameOfBytes } from "../../../core/database-name.ts";
import { filePieceBytes, type FilePiece, pieceCountOf, pieceLength } from "../../../core/files/file-entry.ts";
import { type FileUser, journaledAttributes } from "../../../core/files/file-owner.ts";
import { incomingFolderName, type FileMatcher } from "../../../core/files/file-pattern.ts";
import { allRules, type Rules } from "../../../core/rules.ts";
import { type FileSystem, systemFiles } from "../../../runtime/file-system.ts";
import { sha256 } from "../../../runtime/sha256.ts";
import { HashedFiles } from "./hashed-files.ts";
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

export interface LocalFilesParts {
  /** Default: that of this machine. */
  readonly fs?: FileSystem | undefined;
  /** Moves a file, also to another file system. */
  readonly move?: (from: FilePath, to: FilePath) => Promise<void>;
  /** Default: all are in force. */
  readonly rules?: Rules | undefined;
}

export class LocalFiles {
  readonly #matcher: FileMatcher;
  readonly #user: FileUser;
  readonly #fs: FileSystem;
  readonly #modes: FolderModes;
  readonly #move: (from: FilePath, to: FilePath) => Promise<void>;
  readonly #rules: Rules;

  /** `user`: whose files are the journal's own (core/files/file-owner.ts). */
  constructor(
    matcher: FileMatcher,
    user: FileUser,
    { fs = systemFiles, move = moveFileIfThere, rules = allRules }: LocalFilesParts = {},
  ) {
    this.#matcher = matcher;
    this.#user = user;
    this.#fs = fs;
    this.#modes = new FolderModes(fs);
    this.#move = move;
    this.#rules = rules;
  }

  /** Moves all covered entries from one folder to another. After a crash it continues. */
  async moveAway(from: string, to: string): Promise<void> {
    if (!this.#rules.has("files-moved-away")) return;
    const fs = this.#fs;
    const budget = new EventLoopBudget();
    fs.rmSync(`${from}/${incomingFolderName}`, { recursive: true, force: true });
    const entries = await this.#entries(from);
    for (const { path, stats } of entries) {
      if (stats.isDirectory()) {
        fs.mkdirSync(pathOf(to, path), { recursive: true, mode: 0o700 });
        this.#modes.makeOwnable(pathOf(from, path), stats);
      } else await this.#moveOne(pathOf(from, path), pathOf(to, path), stats);
      await budget.yieldIfDue();
    }
    const folders = entries.filter(({ stats }) => stats.isDirectory()).toReversed();
    for (const { path, stats } of folders) {
      const target = pathOf(to, path);
      if (process.geteuid?.() === 0) fs.chownSync(target, stats.uid, stats.gid);
      fs.chmodSync(target, stats.mode & 0o7777);
      this.#modes.removeIfEmpty(pathOf(from, path), stats);
    }
  }

  /** Removes all covered entries of a folder. */
  async clear(folder: string): Promise<void> {
    const budget = new EventLoopBudget();
    this.#fs.rmSync(`${folder}/${incomingFolderName}`, { recursive: true, force: true });
    const entries = await this.#entries(folder);
    for (const { path, stats } of entries)
      if (stats.isDirectory()) this.#modes.makeOwnable(pathOf(folder, path), stats);
    for (const { path, stats } of entries.toReversed()) {
      if (stats.isDirectory()) this.#modes.removeIfEmpty(pathOf(folder, path), stats);
      else this.#fs.unlinkSync(pathOf(folder, path));
      await budget.yieldIfDue();
    }
  }

  /** Lets this host move and remove what is in a folder that is its own, whatever modes the application gave. */
  async makeOwnable(folder: string): Promise<void> {
    if (process.geteuid?.() === 0) return;
    for (const { path, stats } of await this.#entries(folder))
      if (stats.isDirectory()) this.#modes.makeOwnable(pathOf(folder, path), stats);
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

  /**
   * Of the covered files and links in a folder, removes those that the journal knows; true: it does not know all of
   * them, and those are there still.
   */
  async removeKnown(folder: string, isKnown: (path: string) => boolean): Promise<boolean> {
    const files = await this.files(folder);
    const unknown = this.#rules.has("files-unknown-kept") ? files.filter(({ path }) => !isKnown(path)) : [];
    if (unknown.length === 0) return false;
    for (const { path } of files) if (isKnown(path)) this.#fs.rmSync(pathOf(folder, path), { force: true });
    return true;
  }

  /** Reads all files of a folder. */
  async hash(folder: string): Promise<HashedFiles> {
    const budget = new EventLoopBudget();
    const hashed = new HashedFiles();
    for (const entry of this.#entriesIn(folder)) {
      await this.#hashOne(hashed, folder, entry, budget);
      await budget.yieldIfDue();
    }
    return hashed;
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
    const fs = this.#fs;
    if (!fs.existsSync(at)) return;
    for (const name of fs.readdirSync(at, { encoding: "buffer" }).map(nameOfBytes)) {
      const path = folder === "" ? name : `${folder}/${name}`;
      const stats = fs.lstatSync(pathOf(root, path), { throwIfNoEntry: false });
      if (stats === undefined) continue;
      if (stats.isDirectory()) {
        if (!this.#matcher.visits(path)) continue;
        if (this.#matcher.coversFolder(path)) yield { path, stats };
        this.#modes.makeOwnable(pathOf(root, path), stats);
        try {
          yield* this.#entriesIn(root, path);
        } finally {
          this.#modes.restore(pathOf(root, path), stats);
        }
      } else if ((stats.isFile() || stats.isSymbolicLink()) && this.#matcher.covers(path)) yield { path, stats };
    }
  }

  async #moveOne(from: FilePath, to: FilePath, stats: Stats): Promise<void> {
    if (!stats.isSymbolicLink()) return this.#move(from, to);
    this.#fs.rmSync(to, { force: true });
    this.#fs.symlinkSync(this.#fs.readlinkSync(from, { encoding: "buffer" }), to);
    this.#fs.unlinkSync(from);
  }

  async #hashOne(
    hashed: HashedFiles,
    root: string,
    { path, stats }: FoundEntry,
    budget: EventLoopBudget,
  ): Promise<void> {
    const fs = this.#fs;
    const at = pathOf(root, path);
    const { mode, uid, gid } = stats;
    const attributes = journaledAttributes({ mode: mode & 0o7777, uid, gid }, this.#user);
    if (stats.isDirectory()) return hashed.add(path, { kind: "folder", ...attributes }, undefined);
    if (stats.isSymbolicLink()) {
      const target = nameOfBytes(fs.readlinkSync(at, { encoding: "buffer" }));
      return hashed.add(path, { kind: "link", target }, undefined);
    }
    const fd = fs.openSync(at, "r");
    try {
      const found = fs.fstatSync(fd, { bigint: true });
      const pieces = await piecesIn({ fs, fd }, Number(found.size), budget);
      const data = { mtimeMs: mtimeOf(found), size: Number(found.size), pieces };
      hashed.add(path, { kind: "file", ...attributes, ...data }, found);
    } finally {
      fs.closeSync(fd);
    }
  }
}

/** Returns undefined if this host has no files beside its databases. */
export function localFilesOf(config: Parameters<typeof matcherOf>[0], user: FileUser): LocalFiles | undefined {
  const matcher = matcherOf(config);
  return matcher === undefined ? undefined : new LocalFiles(matcher, user);
}

const ownerMay = 0o700;
const needsMode = (mode: number): boolean => process.geteuid?.() !== 0 && (mode & ownerMay) !== ownerMay;

/** An application may close a folder even to its owner; only root does not mind. */
class FolderModes {
  readonly #fs: FileSystem;

  constructor(fs: FileSystem) {
    this.#fs = fs;
  }

  makeOwnable(folder: FilePath, { mode }: Stats): void {
    if (needsMode(mode)) this.#fs.chmodSync(folder, (mode & 0o7777) | ownerMay);
  }

  restore(folder: FilePath, { mode }: Stats): void {
    if (needsMode(mode) && this.#fs.existsSync(folder)) this.#fs.chmodSync(folder, mode & 0o7777);
  }

  /** Something that is not covered may be in it: then it stays, with the mode that it had. */
  removeIfEmpty(folder: FilePath, stats: Stats): void {
    try {
      this.#fs.rmdirSync(folder);
    } catch (error) {
      if (!["ENOTEMPTY", "EEXIST", "ENOENT", "EBUSY"].includes((error as NodeJS.ErrnoException).code ?? ""))
        throw error;
      this.restore(folder, stats);
    }
  }
}

const mtimeOf = ({ mtimeNs }: BigIntStats): number => Number(mtimeNs / 1_000_000n);

async function piecesIn(
  { fs, fd }: { readonly fs: FileSystem; readonly fd: number },
  size: number,
  budget: EventLoopBudget,
): Promise<FilePiece[]> {
  const pieces: FilePiece[] = [];
  for (let index = 0; index < pieceCountOf(size); index++) {
    const bytes = new Uint8Array(pieceLength(size, index));
    for (let done = 0; done < bytes.length; ) {
      const count = fs.readSync(fd, bytes, done, bytes.length - done, index * filePieceBytes + done);
      if (count === 0) break;
      done += count;
    }
    pieces.push({ hash: sha256(bytes).toString("hex"), place: { kind: "record", position: 0 } });
    await budget.yieldIfDue();
  }
  return pieces;
}

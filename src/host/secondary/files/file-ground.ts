/**
 * Files, links and folders below a data folder, as a secondary writes them: never through a link, and each file whole
 * or not at all.
 *
 * A host that is root writes into a folder of the application's user, who could have left a link there to lead it
 * elsewhere. Each folder on the way to an entry is therefore looked at without following it, and must be a folder; the
 * last part of the path is only ever created, renamed over or unlinked, and none of these follows a link. No
 * application runs meanwhile.
 */
import type { Stats } from "node:fs";
import { type FilePath, folderOf, pathOf, textOf } from "../../../capture/data-path.ts";
import { ReplicaError } from "../../../capture/replica-error.ts";
import { bytesOfName, hasEscapes, isDatabaseName, nameOfBytes } from "../../../core/database-name.ts";
import type { FileAttributes } from "../../../core/files/file-entry.ts";
import { type FileUser, ownerOnHost } from "../../../core/files/file-owner.ts";
import { incomingFolderName } from "../../../core/files/file-pattern.ts";
import { allRules, type Rules } from "../../../core/rules.ts";
import { type FileSystem, systemFiles } from "../../../runtime/file-system.ts";

/** True for what the journal may create, replace or remove here. */
export type IsOurs = (path: string, isFolder: boolean) => boolean;

export interface GroundParts {
  /** Default: that of this machine. */
  readonly fs?: FileSystem | undefined;
  /** Default: all are in force. */
  readonly rules?: Rules | undefined;
}

const ownerMay = 0o700;

export class FileGround {
  readonly root: string;
  readonly #user: FileUser;
  readonly #isOurs: IsOurs;
  readonly #fs: FileSystem;
  readonly #rules: Rules;
  /** Folders that were looked at since `begin`. */
  readonly #looked = new Set<string>();
  /** Attributes that folders get in the end, so that what belongs into them can be made before. */
  readonly #folders = new Map<string, FileAttributes>();
  #made = 0;

  constructor(root: string, user: FileUser, isOurs: IsOurs, { fs = systemFiles, rules = allRules }: GroundParts = {}) {
    this.#fs = fs;
    this.#rules = rules;
    this.root = root;
    this.#user = user;
    this.#isOurs = isOurs;
  }

  /** Others may have changed the folders since: they are looked at again. */
  begin(): void {
    this.#looked.clear();
  }

  pathOf(path: string): FilePath {
    if (!isDatabaseName(path)) throw new ReplicaError(path, "a path that leads out of the data folder", "one below it");
    return pathOf(this.root, path);
  }

  lookAt(path: string): Stats | undefined {
    return this.#fs.lstatSync(this.pathOf(path), { throwIfNoEntry: false });
  }

  /** Returns a path for a file that is being written, on the file system of the data folder. */
  newTemporary(): string {
    const folder = `${this.root}/${incomingFolderName}`;
    if (this.#made === 0) this.#fs.mkdirSync(folder, { recursive: true, mode: ownerMay });
    this.#made += 1;
    return `${folder}/${this.#made}`;
  }

  /** Removes files that are being written, also those of an earlier run. */
  removeTemporaries(): void {
    this.#fs.rmSync(`${this.root}/${incomingFolderName}`, { recursive: true, force: true });
    this.#made = 0;
  }

  /** Puts a file that is whole at its place, over what is there. */
  place(temporary: FilePath, path: string, attributes: FileAttributes): void {
    this.#give(temporary, attributes);
    this.#clearFor(path, "file");
    this.#inFolderOf(path, () => this.#fs.renameSync(temporary, this.pathOf(path)));
  }

  putLink(path: string, target: string): void {
    const temporary = this.newTemporary();
    this.#fs.symlinkSync(hasEscapes(target) ? Buffer.from(bytesOfName(target)) : target, temporary);
    if (this.#user.kind === "application") this.#fs.lchownSync(temporary, this.#user.uid, this.#user.gid);
    this.#clearFor(path, "file");
    this.#inFolderOf(path, () => this.#fs.renameSync(temporary, this.pathOf(path)));
  }

  putFolder(path: string, attributes: FileAttributes): void {
    this.#clearFor(path, "folder");
    this.#inFolderOf(path, () => this.#fs.mkdirSync(this.pathOf(path), { recursive: true, mode: ownerMay }));
    this.#folders.set(path, attributes);
  }

  /**
   * Removes an entry that is ours, and what is ours below it; a folder with something else in it stays. Of a path that
   * does not exist it does nothing. Returns true if it was a folder.
   */
  remove(path: string): boolean {
    this.pathOf(path); // Refuses one that leads out, also where there is nothing.
    if (!this.#isFolderAbove(path)) return false;
    const stats = this.lookAt(path);
    const isFolder = stats?.isDirectory() === true;
    if (stats === undefined || !this.#isOurs(path, isFolder)) return isFolder;
    if (isFolder) this.#removeFolder(path);
    else this.#inFolderOf(path, () => this.#fs.unlinkSync(this.pathOf(path)));
    return isFolder;
  }

  #removeFolder(path: string): void {
    this.#folders.delete(path);
    let isEmpty = true;
    for (const name of this.#namesIn(path)) {
      const child = `${path}/${name}`;
      this.remove(child);
      if (this.lookAt(child) !== undefined) isEmpty = false;
    }
    if (isEmpty) this.#inFolderOf(path, () => this.#fs.rmdirSync(this.pathOf(path)));
    // Last: what is in it was looked for by way of it.
    this.#looked.delete(path);
  }

  /** Folders get their permissions and owners, the innermost first. */
  close(): void {
    const paths = [...this.#folders].sort(([a], [b]) => b.length - a.length);
    for (const [path, attributes] of paths) this.#give(this.pathOf(path), attributes);
    this.#folders.clear();
  }

  /** Paths of the folders directly in a folder; "" is the data folder itself. */
  foldersIn(path: string): string[] {
    const at = path === "" ? this.root : this.pathOf(path);
    return this.#fs
      .readdirSync(at, { encoding: "buffer" })
      .map((name) => (path === "" ? nameOfBytes(name) : `${path}/${nameOfBytes(name)}`))
      .filter((entry) => this.lookAt(entry)?.isDirectory() === true);
  }

  #namesIn(path: string): string[] {
    const folder = this.pathOf(path);
    this.#openToOwner(folder);
    return this.#fs.readdirSync(folder, { encoding: "buffer" }).map(nameOfBytes);
  }

  /**
   * Removes what is in the way of an entry of this kind: something of another kind that is ours too. Throws
   * ReplicaError for anything else: it may be data of which there is no other copy.
   */
  #clearFor(path: string, kind: "file" | "folder"): void {
    this.#makeFolderAbove(path);
    const stats = this.lookAt(path);
    if (stats === undefined || stats.isDirectory() === (kind === "folder")) return;
    this.remove(path);
    if (this.lookAt(path) === undefined) return;
    const found = stats.isDirectory()
      ? "a folder with something in it that `files` does not cover"
      : "a file that `files` does not cover";
    throw new ReplicaError(
      path,
      found,
      `a ${kind}, as in the journal; move what is there out of the data folder`,
      "foreign",
    );
  }

  #makeFolderAbove(path: string): void {
    const folder = path.slice(0, Math.max(0, path.lastIndexOf("/")));
    if (folder === "" || this.#looked.has(folder)) return;
    this.#makeFolderAbove(folder);
    const stats = this.lookAt(folder);
    if (stats === undefined) this.#fs.mkdirSync(this.pathOf(folder), { mode: 0o755 });
    else this.#assertNoLink(folder, stats);
    this.#looked.add(folder);
  }

  /** False if a folder on the way does not exist. Throws if there is a link in its place. */
  #isFolderAbove(path: string): boolean {
    const folder = path.slice(0, Math.max(0, path.lastIndexOf("/")));
    if (folder === "" || this.#looked.has(folder)) return true;
    if (!this.#isFolderAbove(folder)) return false;
    const stats = this.lookAt(folder);
    if (stats === undefined) return false;
    this.#assertNoLink(folder, stats);
    this.#looked.add(folder);
    return true;
  }

  #assertNoLink(folder: string, stats: Stats): void {
    if (stats.isDirectory() || !this.#rules.has("files-no-link-followed")) return;
    throw new ReplicaError(folder, `a link or a file at ${textOf(this.pathOf(folder))}`, "a folder", "foreign");
  }

  /** Runs what changes the folder of an entry; a folder that its owner may not write is made writable for it. */
  #inFolderOf(path: string, change: () => void): void {
    try {
      change();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error;
      const folder = folderOf(this.pathOf(path));
      const { mode, uid, gid } = this.#fs.lstatSync(folder);
      const name = path.slice(0, Math.max(0, path.lastIndexOf("/")));
      if (name !== "" && !this.#folders.has(name)) this.#folders.set(name, { mode: mode & 0o7777, uid, gid });
      this.#fs.chmodSync(folder, (mode & 0o7777) | ownerMay);
      change();
    }
  }

  /** The owner first: a change of it clears bits of the mode. */
  #give(path: FilePath, attributes: FileAttributes): void {
    const to = ownerOnHost(attributes, this.#user);
    if (to !== undefined) this.#fs.chownSync(path, to.uid, to.gid);
    this.#fs.chmodSync(path, attributes.mode);
  }

  #openToOwner(folder: FilePath): void {
    const { mode } = this.#fs.lstatSync(folder);
    if (process.geteuid?.() === 0 || (mode & ownerMay) === ownerMay) return;
    this.#fs.chmodSync(folder, (mode & 0o7777) | ownerMay);
  }
}

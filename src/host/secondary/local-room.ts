/**
 * The room that a restore has on the local disk, what of it the moved data takes, and what of that can be removed. What
 * is removed when is decided by restore-room.ts.
 */
import { rm } from "node:fs/promises";
import { statSync } from "node:fs";
import { pathOf, withSuffix } from "../../capture/data-path.ts";
import { databaseSuffixes, formerAt, linkOnTheWay } from "../../capture/replica-file.ts";
import type { FileTree } from "../../core/files/file-tree.ts";
import type { LocalDatabases } from "../ports/ports.ts";
import { areOnOneMount, type DiskSpace, mountPointOf } from "./disk-space.ts";
import type { LocalFiles, MovedFile } from "./files/local-files.ts";
import { bytesOf, type SetAsideFolders } from "./set-aside-folders.ts";

/** The disk of the data folder lacks room. Files on another disk count as nothing: removing them would not help. */
export interface Shortage {
  /** Its mount point. */
  readonly disk: string;
  readonly neededBytes: number;
  readonly freeBytes: number;
  readonly previousFolder: string;
  readonly previousBytes: number;
  /** Those of them that `makeRoom` removes. */
  readonly removableBytes: number;
  readonly setAsideFolder: string;
  readonly setAsideBytes: number;
}

/** What a restore writes. */
export interface Wanted {
  /** Sizes of the databases that it has the moved files of, and may take over; bytes. */
  readonly databases?: ReadonlyMap<string, number> | undefined;
  readonly tree?: FileTree | undefined;
}

export interface LocalRoomParts {
  readonly dataFolder: string;
  readonly previousFolder: string;
  /** Of the file in it that says whose data it has. */
  readonly markerName: string;
  readonly setAsideFolder: string;
  readonly files: LocalDatabases;
  readonly beside: LocalFiles | undefined;
  readonly setAsides: SetAsideFolders;
  readonly disk: DiskSpace;
}

/** Of `stat.blocks`. */
const blockBytes = 512;

export class LocalRoom {
  readonly #parts: LocalRoomParts;

  constructor(parts: LocalRoomParts) {
    this.#parts = parts;
  }

  /**
   * The disk is full: removes moved data that only helps the restore; its marker stays. Of files it removes those that
   * the tree has with another size. One of the same size is probably taken back, and needs no room, and one that the
   * tree does not have may exist nowhere else.
   */
  async makeRoom(tree: FileTree | undefined): Promise<void> {
    await this.removeMovedDatabases();
    for (const { path } of await this.#outdatedFiles(tree))
      await rm(pathOf(this.#parts.previousFolder, path), { force: true });
  }

  async #outdatedFiles(tree: FileTree | undefined): Promise<MovedFile[]> {
    const files = (await this.#parts.beside?.files(this.#parts.previousFolder)) ?? [];
    return files.filter(({ path, size }) => {
      const entry = tree?.get(path);
      return entry?.kind === "file" && entry.size !== size;
    });
  }

  /** Bytes of moved files that are taken back or taken over, and so need no room, if they are what is wanted. */
  async reusableBytes({ databases, tree }: Wanted): Promise<number> {
    const { dataFolder, previousFolder, beside } = this.#parts;
    if ((await this.#device(dataFolder)) !== (await this.#device(previousFolder))) return 0;
    if (!(await areOnOneMount(dataFolder, previousFolder))) return 0;
    let bytes = 0;
    for (const [name, size] of databases ?? []) {
      const stats = formerAt(pathOf(previousFolder, name));
      if (stats !== undefined) bytes += Math.min(size, allocatedBytes(stats));
    }
    for (const { path, size } of (await beside?.files(previousFolder)) ?? []) {
      const entry = tree?.get(path);
      if (entry?.kind === "file" && entry.size === size) bytes += size;
    }
    return bytes;
  }

  removeMovedDatabases(): Promise<void> {
    return this.#removeDatabases(this.#parts.previousFolder);
  }

  /** Removes what a restore has written so far, and closed. */
  removeCopies(): Promise<void> {
    return this.#removeDatabases(this.#parts.dataFolder);
  }

  async #removeDatabases(folder: string): Promise<void> {
    for (const name of await this.#parts.files.find(folder)) {
      const path = pathOf(folder, name);
      if (linkOnTheWay(folder, path) !== undefined) continue;
      for (const suffix of databaseSuffixes) await rm(withSuffix(path, suffix), { force: true });
    }
  }

  /** Returns what is missing to write this many bytes into the data folder; undefined: there is room. */
  async shortageOf(neededBytes: number, tree?: FileTree): Promise<Shortage | undefined> {
    const { dataFolder, setAsideFolder } = this.#parts;
    const freeBytes = await this.#parts.disk.free(dataFolder);
    if (freeBytes >= neededBytes) return undefined;
    const device = await this.#device(dataFolder);
    const isThere = async (folder: string): Promise<boolean> => (await this.#device(folder)) === device;
    const isPreviousThere = await isThere(this.#parts.previousFolder);
    const previousBytes = isPreviousThere ? await this.#previousBytes() : 0;
    const removableBytes = isPreviousThere ? await this.#removableBytes(tree) : 0;
    const setAsideBytes = (await isThere(setAsideFolder)) ? await this.#parts.setAsides.bytes() : 0;
    const disk = await mountPointOf(dataFolder, this.#parts.disk);
    return {
      disk,
      neededBytes,
      freeBytes,
      previousFolder: this.#parts.previousFolder,
      previousBytes,
      removableBytes,
      setAsideFolder,
      setAsideBytes,
    };
  }

  async #removableBytes(tree: FileTree | undefined): Promise<number> {
    let bytes = 0;
    for (const name of await this.#parts.files.find(this.#parts.previousFolder))
      for (const suffix of databaseSuffixes) {
        const path = withSuffix(pathOf(this.#parts.previousFolder, name), suffix);
        const stats = statSync(path, { throwIfNoEntry: false });
        if (stats !== undefined) bytes += allocatedBytes(stats);
      }
    for (const { size } of await this.#outdatedFiles(tree)) bytes += size;
    return bytes;
  }

  /** Removes the oldest set-aside folders for the missing bytes, if that is enough; returns their paths. */
  async makeRoomOfSetAsides({ neededBytes, freeBytes, setAsideBytes }: Shortage): Promise<string[]> {
    return setAsideBytes === 0 ? [] : this.#parts.setAsides.makeRoom(neededBytes - freeBytes);
  }

  /** Bytes of databases and files alone: the marker costs nothing, and stays. */
  async #previousBytes(): Promise<number> {
    const { previousFolder, markerName, beside, files } = this.#parts;
    const isEmpty = beside?.isEmpty(previousFolder) !== false && (await files.find(previousFolder)).length === 0;
    if (isEmpty) return 0;
    const marker = statSync(pathOf(previousFolder, markerName), { throwIfNoEntry: false });
    return (await bytesOf(previousFolder)) - (marker?.size ?? 0);
  }

  #device(folder: string): Promise<number | undefined> {
    return this.#parts.disk.device(folder);
  }
}

/** Without holes, and as compressed by the file system: what is written over needs more. */
const allocatedBytes = ({ size, blocks }: { size: number; blocks: number }): number =>
  Math.min(size, blocks * blockBytes);

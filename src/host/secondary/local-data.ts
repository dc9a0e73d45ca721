/**
 * The local data of a host, and whether it may be trusted.
 *
 * The data folder belongs to the application; the host's own files are in the state folder beside it. A small marker
 * describes the databases there:
 *
 * - `secondary`: applied from the journal, never written by an application. A restore may reuse them (each chunk is
 *   compared by hash), and they may be removed.
 * - `primary`: an application wrote there. After an unclean end it can hold commits that were never acknowledged. It is
 *   moved out of the way; if its state appears nowhere in the journal, it is set aside under a dated folder
 *   (set-aside-folders.ts).
 * - no marker: an operator's data, treated like a primary's.
 *
 * Moved by renaming, which is atomic and costs nothing; copied where the folders are on different file systems
 * (move-path.ts). The marker is durable before the state that it announces.
 */
import { statSync } from "node:fs";
import { chmod, mkdir, open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type FileAccess, makeFolders } from "../../capture/replica-file.ts";
import { type FilePath, folderOf, pathOf, withSuffix } from "../../capture/data-path.ts";
import type { DatabaseChecksum } from "../../core/delta.ts";
import { wholeState } from "../../core/files/whole-state.ts";
import type { LocalFiles } from "./files/local-files.ts";
import { type DiskSpace, mountPointOf, systemDiskSpace } from "./disk-space.ts";
import { moveFileIfThere } from "./move-path.ts";
import { bytesOf, SetAsideFolders, type SetAsideOptions } from "./set-aside-folders.ts";
import type { LocalDatabases } from "../ports/ports.ts";

export type Marker =
  | { readonly kind: "unknown" }
  | { readonly kind: "primary"; readonly epoch: number }
  | { readonly kind: "secondary" };

export interface LocalFolders {
  readonly dataFolder: string;
  readonly stateFolder: string;
  readonly setAsideFolder: string;
}

/** The part of the local disk that a restore and a host use: the simulation has its own. */
export type LocalPort = Pick<
  LocalData,
  "mark" | "moveAway" | "previousChecksums" | "forgetPrevious" | "setAsidePrevious" | "setAsides"
> &
  Partial<
    Pick<LocalData, "setAsideUnknownFiles" | "makeRoom" | "provePrevious" | "shortageOf" | "makeRoomOfSetAsides">
  >;

/** The disk of the data folder lacks room. Files on another disk count as nothing: removing them would not help. */
export interface Shortage {
  /** Its mount point. */
  readonly disk: string;
  readonly neededBytes: number;
  readonly freeBytes: number;
  readonly previousFolder: string;
  readonly previousBytes: number;
  readonly setAsideFolder: string;
  readonly setAsideBytes: number;
}

/** A marker as it lies beside moved data. `files`: the checksum of the files as they were moved, hex. */
type MovedMarker = Marker & { readonly files?: string };

export interface LocalDataParts {
  readonly disk?: DiskSpace;
  readonly beside?: LocalFiles | undefined;
}

type Owner = Omit<FileAccess, "mode">;

/** To what is theirs below; what is in the folder itself is for the host alone. */
const othersPass = 0o011;
const markerName = "marker.json";
const companions = ["", "-wal", "-shm", "-journal"];

export class LocalData {
  readonly #folders: LocalFolders;
  readonly #files: LocalDatabases;
  readonly #setAsides: SetAsideFolders;
  readonly #disk: DiskSpace;
  /** The files beside the databases; undefined: this host has none. */
  readonly #beside: LocalFiles | undefined;

  constructor(
    folders: LocalFolders,
    files: LocalDatabases,
    setAside?: SetAsideOptions,
    { disk = systemDiskSpace, beside }: LocalDataParts = {},
  ) {
    this.#disk = disk;
    this.#beside = beside;
    this.#folders = folders;
    this.#files = files;
    this.#setAsides = new SetAsideFolders(folders.setAsideFolder, files, setAside);
  }

  /** Where the databases of an earlier run wait for a restore to use them. */
  get previousFolder(): string {
    return join(this.#folders.stateFolder, "previous");
  }

  /** Being removed. */
  get #forgottenFolder(): string {
    return `${this.previousFolder}.forgotten`;
  }

  /**
   * @param owner the application's user, if that is not the host's: it has the data folder, and reaches rehearsals
   */
  async prepare(owner?: Owner): Promise<void> {
    const { dataFolder, stateFolder } = this.#folders;
    if (owner !== undefined) await makeFolders(dataFolder, owner);
    for (const folder of [dataFolder, stateFolder]) await mkdir(folder, { recursive: true });
    if (owner !== undefined) await chmod(stateFolder, (await stat(stateFolder)).mode | othersPass);
  }

  async mark(marker: Marker): Promise<void> {
    await writeDurably(join(this.#folders.stateFolder, "marker.json"), JSON.stringify(marker));
  }

  async marker(): Promise<Marker> {
    return readMarker(join(this.#folders.stateFolder, "marker.json"));
  }

  /**
   * Clears the data folder of databases, and returns what was there. The old files are in `previousFolder` afterwards.
   * After a crash in the middle of an earlier restore they are there already, and the data folder has an incomplete
   * copy.
   */
  async moveAway(): Promise<Marker> {
    const { dataFolder } = this.#folders;
    const markerFile = join(this.previousFolder, markerName);
    await rm(this.#forgottenFolder, { recursive: true, force: true });
    const names = await this.#files.find(dataFolder);
    if (await exists(markerFile)) {
      for (const name of names)
        for (const suffix of companions) await rm(withSuffix(pathOf(dataFolder, name), suffix), { force: true });
      await this.#beside?.clear(dataFolder);
      return readMarker(markerFile);
    }
    const marker = await this.marker();
    // Continues an interrupted move: the marker is written last, so that it vouches for a whole set.
    for (const name of names) {
      const [from, target] = [pathOf(dataFolder, name), pathOf(this.previousFolder, name)];
      await mkdir(folderOf(target), { recursive: true });
      for (const suffix of companions.toReversed())
        await moveFileIfThere(withSuffix(from, suffix), withSuffix(target, suffix));
    }
    await mkdir(this.previousFolder, { recursive: true });
    await this.#beside?.moveAway(dataFolder, this.previousFolder);
    // Checked there and not by `names`: an earlier run may have moved every file and died before it wrote the marker.
    const hasFiles = this.#beside?.isEmpty(this.previousFolder) === false;
    const isEmpty = !hasFiles && (await this.#files.find(this.previousFolder)).length === 0;
    const moved: MovedMarker = isEmpty ? { kind: "secondary" } : marker;
    // Now, since a restore takes files back from there.
    const files =
      hasFiles && moved.kind !== "secondary" ? await this.#beside?.checksum(this.previousFolder) : undefined;
    const sum = files === undefined ? {} : { files: Buffer.from(files).toString("hex") };
    await writeDurably(markerFile, JSON.stringify({ ...moved, ...sum }));
    return readMarker(markerFile);
  }

  /**
   * Returns who had a moved database; undefined: there was none of this name.
   *
   * @param owner has it from now on, if it belonged to another user
   */
  accessBefore(name: string, owner?: Owner): FileAccess | undefined {
    const stats = statSync(pathOf(this.previousFolder, name), { throwIfNoEntry: false });
    if (stats === undefined) return undefined;
    const { uid, gid } = owner === undefined || owner.uid === stats.uid ? stats : owner;
    return { mode: stats.mode & 0o777, uid, gid };
  }

  /** Returns committed checksums of the moved databases; undefined if a file there cannot be read as a database. */
  async previousChecksums(): Promise<ReadonlyMap<string, DatabaseChecksum> | undefined> {
    const sums = new Map<string, DatabaseChecksum>();
    for (const name of await this.#files.find(this.previousFolder)) {
      const sum = await this.#files.committedChecksum(pathOf(this.previousFolder, name));
      if (sum === undefined) return undefined;
      sums.set(name, sum);
    }
    return wholeState(sums, await readMovedFiles(join(this.previousFolder, markerName)));
  }

  /**
   * Of the files that were moved away and are still there: keeps those that the journal does not know in a dated
   * folder, and returns its path. A secondary's databases are in the journal, and are removed.
   */
  async setAsideUnknownFiles(isKnown: (path: string) => boolean, wallTimeMs: number): Promise<string | undefined> {
    if (this.#beside === undefined) return undefined;
    const left = [...this.#beside.paths(this.previousFolder)];
    if (left.every(isKnown)) return undefined;
    await this.#removeMovedDatabases();
    for (const path of left) if (isKnown(path)) await rm(pathOf(this.previousFolder, path), { force: true });
    return this.setAsidePrevious(wallTimeMs);
  }

  /**
   * The moved data is in the journal, or was never acknowledged: removes it. It is renamed first: a crash in the middle
   * of removing it must not leave a part of it that looks like a set of databases.
   */
  async forgetPrevious(): Promise<void> {
    await rm(this.#forgottenFolder, { recursive: true, force: true });
    await renameIfThere(this.previousFolder, this.#forgottenFolder);
    await rm(this.#forgottenFolder, { recursive: true, force: true });
  }

  /** The disk is full: removes moved data that only helps the restore; its marker stays. */
  async makeRoom(): Promise<void> {
    await this.#removeMovedDatabases();
    await this.#beside?.clear(this.previousFolder);
  }

  async #removeMovedDatabases(): Promise<void> {
    for (const name of await this.#files.find(this.previousFolder)) {
      for (const suffix of companions) await rm(withSuffix(pathOf(this.previousFolder, name), suffix), { force: true });
    }
  }

  /** The moved data was found in the journal: it may be removed like a secondary's. */
  async provePrevious(): Promise<void> {
    await writeDurably(join(this.previousFolder, markerName), JSON.stringify({ kind: "secondary" }));
  }

  /** Returns what is missing to write this many bytes into the data folder; undefined: there is room. */
  async shortageOf(neededBytes: number): Promise<Shortage | undefined> {
    const { dataFolder, setAsideFolder } = this.#folders;
    const freeBytes = await this.#disk.free(dataFolder);
    if (freeBytes >= neededBytes) return undefined;
    const device = await this.#disk.device(dataFolder);
    const isThere = async (folder: string): Promise<boolean> => (await this.#disk.device(folder)) === device;
    const previousBytes = (await isThere(this.previousFolder)) ? await this.#previousBytes() : 0;
    const setAsideBytes = (await isThere(setAsideFolder)) ? await this.#setAsides.bytes() : 0;
    const disk = await mountPointOf(dataFolder, this.#disk);
    return {
      disk,
      neededBytes,
      freeBytes,
      previousFolder: this.previousFolder,
      previousBytes,
      setAsideFolder,
      setAsideBytes,
    };
  }

  /** Removes the oldest set-aside folders for the missing bytes, if that is enough; returns their paths. */
  async makeRoomOfSetAsides({ neededBytes, freeBytes, setAsideBytes }: Shortage): Promise<string[]> {
    return setAsideBytes === 0 ? [] : this.#setAsides.makeRoom(neededBytes - freeBytes);
  }

  /** Bytes of databases and files alone: the marker costs nothing, and stays. */
  async #previousBytes(): Promise<number> {
    const isEmpty =
      this.#beside?.isEmpty(this.previousFolder) !== false &&
      (await this.#files.find(this.previousFolder)).length === 0;
    return isEmpty ? 0 : bytesOf(this.previousFolder);
  }

  /** Keeps the moved data in a dated folder, and returns its path. */
  async setAsidePrevious(wallTimeMs: number): Promise<string> {
    const target = await this.#setAsides.add(this.previousFolder, wallTimeMs);
    await this.#setAsides.bound();
    return target;
  }

  /** Removes set-aside folders beyond the bounds; the lock on the folders is held. Never rejects. */
  boundSetAsides(): Promise<void> {
    return this.#setAsides.bound();
  }

  /** Returns the dated folders that wait for an operator, oldest first. */
  setAsides(): Promise<string[]> {
    return this.#setAsides.list();
  }
}

async function readMarker(path: string): Promise<Marker> {
  try {
    const marker = JSON.parse(await readFile(path, "utf8")) as Partial<Marker> | null;
    if (marker?.kind === "secondary") return { kind: "secondary" };
    if (marker?.kind === "primary") return { kind: "primary", epoch: Number((marker as { epoch?: unknown }).epoch) };
  } catch {
    // No marker, or not one of ours: nothing is trusted.
  }
  return { kind: "unknown" };
}

async function readMovedFiles(path: string): Promise<DatabaseChecksum | undefined> {
  try {
    const marker = JSON.parse(await readFile(path, "utf8")) as { readonly files?: unknown } | null;
    return typeof marker?.files === "string" ? new Uint8Array(Buffer.from(marker.files, "hex")) : undefined;
  } catch {
    return undefined;
  }
}

async function writeDurably(path: string, text: string): Promise<void> {
  const temporary = `${path}.new`;
  const file = await open(temporary, "w");
  try {
    await file.writeFile(text);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(temporary, path);
  const folder = await open(dirname(path), "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function renameIfThere(from: FilePath, to: FilePath): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );

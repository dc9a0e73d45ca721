/**
 * The local data of a host, and whether it may be trusted.
 *
 * The data folder belongs to the application; the host's own files are in the state folder beside it. A small marker
 * describes the databases there:
 *
 * - `secondary`: applied from the journal, never written by an application. A restore may reuse them (each chunk is
 *   compared by hash), and they may be removed. The marker names the vault: what was in the journal of another one,
 *   which is lost, may not be in this one's, and is treated like an operator's data.
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
import { assertNoLink, databaseSuffixes, type FileAccess, makeFolders } from "../../capture/replica-file.ts";
import { type FilePath, folderOf, pathOf, withSuffix } from "../../capture/data-path.ts";
import { entryAt } from "../../capture/file-identity.ts";
import type { DatabaseChecksum } from "../../core/delta.ts";
import { wholeState } from "../../core/files/whole-state.ts";
import { UnfinishedRestoreError } from "./bootstrap-check.ts";
import type { HashedFiles } from "./files/hashed-files.ts";
import type { LocalFiles } from "./files/local-files.ts";
import type { KnownPieces } from "./files/local-pieces.ts";
import { type DiskSpace, systemDiskSpace } from "./disk-space.ts";
import { LocalRoom } from "./local-room.ts";
import { moveFileIfThere } from "./move-path.ts";
import { SetAsideFolders, type SetAsideOptions } from "./set-aside-folders.ts";
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
  Partial<Pick<LocalData, "setAsideUnknownFiles" | "provePrevious" | "assertWhole">> & {
    readonly room?: Pick<
      LocalRoom,
      "makeRoom" | "removeCopies" | "reusableBytes" | "shortageOf" | "makeRoomOfSetAsides"
    >;
  };

/**
 * A marker as it lies beside moved data. `hasFiles`: the files beside the databases were moved too; `files`: their
 * checksum then, hex. `isOfOtherVault`: the data is a secondary's, and in the journal of another vault.
 */
type MovedMarker = Marker & {
  readonly hasFiles?: boolean;
  readonly files?: string;
  readonly isOfOtherVault?: boolean;
};

export interface LocalDataParts {
  readonly disk?: DiskSpace;
  readonly beside?: LocalFiles | undefined;
  /** Identity of the vault that has the journal; left out: it is not known, and any will do. */
  readonly vaultId?: string | undefined;
}

type Owner = Omit<FileAccess, "mode">;

/** To what is theirs below; what is in the folder itself is for the host alone. */
const othersPass = 0o011;
const markerName = "marker.json";

export class LocalData {
  readonly #folders: LocalFolders;
  readonly #files: LocalDatabases;
  readonly #setAsides: SetAsideFolders;
  readonly room: LocalRoom;
  /** The files beside the databases; undefined: this host has none. */
  readonly #beside: LocalFiles | undefined;
  readonly #vaultId: string | undefined;
  /** Of the files in `previousFolder`, if this process has read all of them. */
  #hashed: HashedFiles | undefined;
  /** The databases in `previousFolder` are in the journal. */
  #isJournaled = false;

  constructor(
    folders: LocalFolders,
    files: LocalDatabases,
    setAside?: SetAsideOptions,
    { disk = systemDiskSpace, beside, vaultId }: LocalDataParts = {},
  ) {
    this.#beside = beside;
    this.#vaultId = vaultId;
    this.#folders = folders;
    this.#files = files;
    this.#setAsides = new SetAsideFolders(folders.setAsideFolder, files, setAside);
    const { previousFolder } = this;
    this.room = new LocalRoom({
      ...folders,
      previousFolder,
      markerName,
      files,
      beside,
      setAsides: this.#setAsides,
      disk,
    });
  }

  /** Where the databases of an earlier run wait for a restore to use them. */
  get previousFolder(): string {
    return join(this.#folders.stateFolder, "previous");
  }

  /** Hashes of the files there, as far as they were read for their checksum. */
  readonly previousPieces: KnownPieces = (path, stats) => this.#hashed?.piecesOf(path, stats);

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
    await writeDurably(join(this.#folders.stateFolder, "marker.json"), this.#textOf(marker));
  }

  marker(): Promise<Marker> {
    return readMarker(join(this.#folders.stateFolder, "marker.json"), this.#vaultId);
  }

  #textOf(marker: MovedMarker): string {
    return JSON.stringify(marker.kind === "secondary" ? { ...marker, vault: this.#vaultId } : marker);
  }

  /**
   * Clears the data folder of databases, and of files beside them if the journal has such files, and returns what was
   * there. The old files are in `previousFolder` afterwards. After a crash in the middle of an earlier restore they are
   * there already, and the data folder has an incomplete copy.
   *
   * Files of which the journal has none stay where they are: they are not a copy of anything, and where the first
   * primary with `files` begins. Throws `ReplicaError` for a link in place of a folder, as a replica does.
   */
  async moveAway(hasJournalFiles: () => Promise<boolean> = () => Promise.resolve(false)): Promise<Marker> {
    const marker = await this.#moveAway(hasJournalFiles);
    this.#isJournaled = marker.kind === "secondary";
    return marker;
  }

  async #moveAway(hasJournalFiles: () => Promise<boolean>): Promise<Marker> {
    const { dataFolder } = this.#folders;
    const beside = this.#beside !== undefined && (await hasJournalFiles()) ? this.#beside : undefined;
    const markerFile = join(this.previousFolder, markerName);
    await rm(this.#forgottenFolder, { recursive: true, force: true });
    const names = await this.#files.find(dataFolder);
    for (const name of names) assertNoLink(dataFolder, name);
    const before = await readMoved(markerFile, this.#vaultId);
    if (before !== undefined) {
      await this.#clearCopies(names, before);
      if (before.isOfOtherVault === true) await this.#moveFiles(beside, { kind: "unknown" });
      else if (before.hasFiles === true) await beside?.clear(dataFolder);
      else if (beside !== undefined) await this.#moveFiles(beside, before);
      await beside?.makeOwnable(this.previousFolder);
      return readMarker(markerFile, this.#vaultId);
    }
    const marker = await this.marker();
    // Continues an interrupted move: the marker is written last, so that it vouches for a whole set.
    for (const name of names) {
      const [from, target] = [pathOf(dataFolder, name), pathOf(this.previousFolder, name)];
      await mkdir(folderOf(target), { recursive: true });
      for (const suffix of databaseSuffixes.toReversed())
        await moveFileIfThere(withSuffix(from, suffix), withSuffix(target, suffix));
    }
    await mkdir(this.previousFolder, { recursive: true });
    await this.#moveFiles(beside, marker);
    // After their checksum, which has the modes that the application gave.
    await beside?.makeOwnable(this.previousFolder);
    return readMarker(markerFile, this.#vaultId);
  }

  /** Throws `UnfinishedRestoreError` if a restore was interrupted: the data folder has not all, or half-made copies. */
  async assertWhole(): Promise<void> {
    const { previousFolder } = this;
    const moved = await this.#files.find(previousFolder);
    const copies = (await exists(join(previousFolder, markerName)))
      ? await this.#files.find(this.#folders.dataFolder)
      : [];
    if (moved.length + copies.length > 0 || this.#beside?.isEmpty(previousFolder) === false)
      throw new UnfinishedRestoreError(previousFolder);
  }

  /**
   * Clears the data folder of what an interrupted restore left there. If all that was moved away is in the journal, so
   * is this: a database of which no other is left is kept for the next try, which takes what is right of it. It is kept
   * too if the journal was another vault's: the restore from that may have taken it over.
   */
  async #clearCopies(names: readonly string[], { kind, isOfOtherVault }: MovedMarker): Promise<void> {
    const mayBeTheOnly = kind === "secondary" || isOfOtherVault === true;
    for (const name of names) {
      const [copy, moved] = [pathOf(this.#folders.dataFolder, name), pathOf(this.previousFolder, name)];
      if (mayBeTheOnly && entryAt(moved) === undefined) await renameIfPossible(copy, moved);
      for (const suffix of databaseSuffixes) await rm(withSuffix(copy, suffix), { force: true });
    }
  }

  /** Moves the files, if there are any to move, and writes the marker of what was moved. */
  async #moveFiles(beside: LocalFiles | undefined, marker: Marker): Promise<void> {
    const { previousFolder } = this;
    await beside?.moveAway(this.#folders.dataFolder, previousFolder);
    // Checked there and not by names: an earlier run may have moved every file and died before it wrote the marker.
    const isThere = beside?.isEmpty(previousFolder) === false;
    const isEmpty = !isThere && (await this.#files.find(previousFolder)).length === 0;
    const moved: MovedMarker = isEmpty ? { kind: "secondary" } : marker;
    // Now, since a restore takes files back from there.
    this.#hashed = isThere && moved.kind !== "secondary" ? await beside?.hash(previousFolder) : undefined;
    const sum = this.#hashed?.checksum;
    await writeDurably(
      join(previousFolder, markerName),
      this.#textOf({
        ...moved,
        ...(beside === undefined ? {} : { hasFiles: true }),
        ...(sum === undefined ? {} : { files: Buffer.from(sum).toString("hex") }),
      }),
    );
  }

  /** Path of a moved database whose file a restore may take over and write to: it is in the journal. */
  formerDatabase(name: string): FilePath | undefined {
    return this.#isJournaled ? pathOf(this.previousFolder, name) : undefined;
  }

  /**
   * Returns who had a moved database; undefined: there was none of this name.
   *
   * @param owner has it from now on, if it belonged to another user
   */
  accessBefore(name: string, owner?: Owner): FileAccess | undefined {
    const path = pathOf(this.previousFolder, name);
    const stats = entryAt(path) === undefined ? undefined : statSync(path, { throwIfNoEntry: false });
    if (stats?.isFile() !== true) return undefined;
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
    const { files } = (await readMoved(join(this.previousFolder, markerName), this.#vaultId)) ?? {};
    return wholeState(sums, typeof files === "string" ? new Uint8Array(Buffer.from(files, "hex")) : undefined);
  }

  /**
   * Of the files that were moved away and are still there: keeps those of whose path the journal has none in a dated
   * folder, and returns its path. A secondary's databases are in the journal, and are removed.
   */
  async setAsideUnknownFiles(isKnown: (path: string) => boolean, wallTimeMs: number): Promise<string | undefined> {
    if (this.#beside === undefined) return undefined;
    if (!(await this.#beside.removeKnown(this.previousFolder, isKnown))) return undefined;
    await this.room.removeMovedDatabases();
    return this.setAsidePrevious(wallTimeMs);
  }

  /**
   * The moved data is in the journal, or was never acknowledged: removes it. It is renamed first: a crash in the middle
   * of removing it must not leave a part of it that looks like a set of databases.
   */
  async forgetPrevious(): Promise<void> {
    this.#hashed = undefined;
    await rm(this.#forgottenFolder, { recursive: true, force: true });
    await renameIfThere(this.previousFolder, this.#forgottenFolder);
    await rm(this.#forgottenFolder, { recursive: true, force: true });
  }

  /** The moved data was found in the journal: it may be removed like a secondary's. */
  async provePrevious(): Promise<void> {
    const path = join(this.previousFolder, markerName);
    const { hasFiles } = (await readMoved(path, this.#vaultId)) ?? {};
    await writeDurably(path, this.#textOf({ kind: "secondary", ...(hasFiles === true ? { hasFiles } : {}) }));
    this.#isJournaled = true;
  }

  /** Keeps the moved data in a dated folder, and returns its path. */
  async setAsidePrevious(wallTimeMs: number): Promise<string> {
    this.#hashed = undefined;
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

/** Earlier versions named no vault: then it is this one. */
async function readMarker(path: string, vaultId: string | undefined): Promise<Marker> {
  try {
    const marker = JSON.parse(await readFile(path, "utf8")) as (Partial<Marker> & { readonly vault?: unknown }) | null;
    const { vault = vaultId } = marker ?? {};
    if (marker?.kind === "secondary" && (vaultId === undefined || vault === vaultId)) return { kind: "secondary" };
    if (marker?.kind === "primary") return { kind: "primary", epoch: Number((marker as { epoch?: unknown }).epoch) };
  } catch {
    // No marker, or not one of ours: nothing is trusted.
  }
  return { kind: "unknown" };
}

/** Returns undefined if nothing was moved, or not all of it. */
async function readMoved(path: string, vaultId: string | undefined): Promise<MovedMarker | undefined> {
  if (!(await exists(path))) return undefined;
  try {
    const { kind, hasFiles, files } = JSON.parse(await readFile(path, "utf8")) as Partial<MovedMarker>;
    const marker = await readMarker(path, vaultId);
    return {
      ...marker,
      ...(kind === "secondary" && marker.kind !== kind ? { isOfOtherVault: true } : {}),
      ...(hasFiles === true ? { hasFiles } : {}),
      ...(typeof files === "string" ? { files } : {}),
    };
  } catch {
    return { kind: "unknown" };
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

/**
 * Leaves the file where it is if the places are on different file systems, or what should be a folder of the new place
 * is a file.
 */
async function renameIfPossible(from: FilePath, to: FilePath): Promise<void> {
  try {
    await mkdir(folderOf(to), { recursive: true });
    await rename(from, to);
  } catch (error) {
    if (!["EXDEV", "EEXIST", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
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

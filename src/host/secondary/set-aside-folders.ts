/**
 * The dated folders of data that was committed here but never acknowledged, within their bounds
 * (core/host/set-aside-bounds.ts).
 *
 * The committed checksums of its databases identify a folder's content. They are computed once and written beside the
 * databases, since some are large. A folder is renamed before it is removed, so that a half-removed one is not taken
 * for a folder.
 */
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pathOf } from "../../capture/data-path.ts";
import { nameOfBytes } from "../../core/database-name.ts";
import {
  removableSetAsides,
  type SetAside,
  type SetAsideBounds,
  setAsidesForRoom,
} from "../../core/host/set-aside-bounds.ts";
import type { LocalDatabases } from "../ports/ports.ts";
import { entriesBelow } from "./folder-entries.ts";
import { moveFolderIfThere } from "./move-path.ts";
import { messageOf } from "../../runtime/operator-error.ts";

export interface SetAsideOptions extends SetAsideBounds {
  readonly onRemoved: (folder: string, why: string) => void;
  readonly onWarning: (text: string) => void;
}

const descriptionName = "set-aside.json";
const removing = ".removing";

export class SetAsideFolders {
  readonly #folder: string;
  readonly #files: LocalDatabases;
  readonly #options: SetAsideOptions | undefined;

  /** Without options nothing is ever removed. */
  constructor(folder: string, files: LocalDatabases, options: SetAsideOptions | undefined) {
    this.#folder = folder;
    this.#files = files;
    this.#options = options;
  }

  /** Moves a folder here, and returns its path. */
  async add(from: string, wallTimeMs: number): Promise<string> {
    const target = join(this.#folder, new Date(wallTimeMs).toISOString().replaceAll(":", "-"));
    await mkdir(this.#folder, { recursive: true });
    await moveFolderIfThere(from, target, target + removing, () => bytesOf(from));
    return target;
  }

  /** Returns the paths, oldest first. */
  async list(): Promise<string[]> {
    return (await this.#names()).map((name) => join(this.#folder, name));
  }

  /** Removes folders beyond the bounds. Never rejects: exceeding the bounds is no reason not to restore. */
  async bound(): Promise<void> {
    if (this.#options === undefined) return;
    try {
      await this.#removeHalfRemoved();
      const all: SetAside[] = [];
      for (const name of await this.#names()) all.push(await this.#describe(name));
      for (const { name, why } of removableSetAsides(all, this.#options)) {
        await this.#remove(name);
        this.#options.onRemoved(join(this.#folder, name), why);
      }
    } catch (error) {
      this.#options.onWarning(`set-aside folders could not be removed: ${messageOf(error)}`);
    }
  }

  /** Bytes of all of them. */
  async bytes(): Promise<number> {
    return bytesOf(this.#folder).catch(() => 0);
  }

  /** Removes the oldest for this many bytes, or none if that would not be enough. Returns the removed paths. */
  async makeRoom(missingBytes: number): Promise<string[]> {
    if (this.#options === undefined) return [];
    const all: { name: string; bytes: number }[] = [];
    for (const name of await this.#names()) all.push({ name, bytes: await bytesOf(join(this.#folder, name)) });
    const names = setAsidesForRoom(all, missingBytes);
    for (const name of names) {
      await this.#remove(name);
      this.#options.onRemoved(join(this.#folder, name), `a restore needed ${missingBytes} more bytes`);
    }
    return names.map((name) => join(this.#folder, name));
  }

  async #names(): Promise<string[]> {
    const names = await readdir(this.#folder).catch(() => []);
    return names.filter((name) => !name.endsWith(removing)).toSorted();
  }

  async #describe(name: string): Promise<SetAside> {
    const folder = join(this.#folder, name);
    const known = await readDescription(join(folder, descriptionName));
    if (known !== undefined) return { name, ...known };
    const described = { bytes: await bytesOf(folder), content: await this.#contentOf(folder) };
    // A description that cannot be written is computed again.
    await writeFile(join(folder, descriptionName), JSON.stringify(described)).catch(() => undefined);
    return { name, ...described };
  }

  /** Undefined: it is like no other. A folder may have files beside databases, which differ without the databases. */
  async #contentOf(folder: string): Promise<string | undefined> {
    if (await this.#hasFiles(folder)) return undefined;
    const hash = createHash("sha256");
    for (const name of (await this.#files.find(folder)).toSorted()) {
      const sum = await this.#files.committedChecksum(pathOf(folder, name));
      if (sum === undefined) return undefined;
      hash.update(`${name}\0`).update(sum);
    }
    return hash.digest("hex");
  }

  async #hasFiles(folder: string): Promise<boolean> {
    const databases = await this.#files.find(folder);
    const own = new Set([descriptionName, "marker.json"]);
    const besides = new Set(databases.flatMap((name) => ["", "-wal", "-shm", "-journal"].map((end) => name + end)));
    for await (const { name, stats } of entriesBelow(folder)) {
      const path = nameOfBytes(Buffer.from(name));
      if (!stats.isDirectory() && !own.has(path) && !besides.has(path)) return true;
    }
    return false;
  }

  async #remove(name: string): Promise<void> {
    const leaving = join(this.#folder, name + removing);
    await rename(join(this.#folder, name), leaving);
    await rm(leaving, { recursive: true, force: true });
  }

  async #removeHalfRemoved(): Promise<void> {
    const names = await readdir(this.#folder).catch(() => []);
    for (const name of names)
      if (name.endsWith(removing)) await rm(join(this.#folder, name), { recursive: true, force: true });
  }
}

/** Of the files below the folder. */
export async function bytesOf(folder: string): Promise<number> {
  let bytes = 0;
  for await (const { stats } of entriesBelow(folder)) if (stats.isFile()) bytes += stats.size;
  return bytes;
}

/** Returns undefined if there is none, or it is incomplete. */
async function readDescription(path: string): Promise<Omit<SetAside, "name"> | undefined> {
  try {
    const known = JSON.parse(await readFile(path, "utf8")) as Partial<SetAside> | null;
    if (typeof known?.bytes !== "number") return undefined;
    return { bytes: known.bytes, content: typeof known.content === "string" ? known.content : undefined };
  } catch {
    return undefined;
  }
}

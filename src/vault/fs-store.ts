/**
 * A vault in a folder that all hosts share: local disk, NFS, SMB with hard links.
 *
 * Put: temporary file → write → fsync → link() to the key → fsync of the folder; then the temporary's name goes. Why so:
 * - link() is atomic and exclusive on every file system that has it, NFS included; the content was durable before the
 *   name appeared, so a reader finds the whole record or none, and the name of a whole record is never taken twice.
 * - An error of link() says little: NFS loses replies and then reports EEXIST for one's own link. So the inode decides: the
 *   temporary is this attempt's alone, and if the key leads to its inode, the link was made by this attempt.
 * - The folder's fsync makes the name durable, and with it every name that was linked in it before. It runs also before
 *   `exists` is returned: an earlier attempt of the same writer may have linked and then failed to sync (R3 retries it and must
 *   not take visible for durable). A reader may see a name before it is durable; it may act on it only after that, which is
 *   why a claim puts the last record that it knows once more first (log-writer.ts).
 *
 * Temporaries that a crash left behind are removed at open when they are a day old; a put whose temporary went away under it
 * fails as `unavailable` and is made again.
 *
 * Look-up: open(), never stat(). On a network file system an absent name may come from the client's cache; opening the
 * folder makes the client ask the server whether it has changed (close-to-open), so an absent name is looked up once more
 * after that. Listing opens the folder as well.
 */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";
import * as calls from "./fs-calls.ts";
import { errnoOf, isDefinite, type Stage, storeErrorOf } from "./fs-error.ts";
import { StoreError, type PutOutcome, type Store } from "./store.ts";
import { assertKey, assertPrefix, isKey, pageOf } from "./store-key.ts";

export const temporaryFolder = "tmp";

export interface FsStoreOptions {
  /** Absolute path of the vault's folder. */
  readonly folder: string;
  /** True where another machine can change it: absent names are then looked up twice. */
  readonly network: boolean;
}

interface FolderDescriptor {
  readonly fd: number;
  users: number;
  retired: boolean;
}

export class FsStore implements Store {
  readonly url: string;
  readonly #folder: string;
  readonly #network: boolean;
  readonly #temporaryPrefix: string;
  #temporaries = 0;
  /** Descriptors of the folders directly under the vault's, kept for fsync; folders further down are opened each time. */
  readonly #folders = new Map<string, FolderDescriptor>();
  /** Clean-up that a result does not wait for; `settle` does. */
  readonly #pending = new Set<Promise<void>>();

  constructor(options: FsStoreOptions) {
    this.#folder = options.folder;
    this.#network = options.network;
    this.url = `file://${options.folder}`;
    const host = hostname().toLowerCase().replace(/[^a-z0-9-]/g, "-").slice(0, 40);
    this.#temporaryPrefix = join(options.folder, temporaryFolder, `${host}-${process.pid}-${randomBytes(8).toString("hex")}-`);
  }

  async putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    assertKey(key);
    const temporary = await this.#writeTemporary(key, bytes);
    try {
      const outcome = await this.#link(key, temporary);
      await this.#syncFolder(key);
      return outcome;
    } finally {
      this.#own(this.#dropTemporary(temporary));
    }
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    assertKey(key);
    return (await this.#read(key)) ?? (this.#network && (await this.#revalidate(key)) ? await this.#read(key) : undefined);
  }

  async list(prefix: string, options?: { readonly after?: string; readonly limit?: number }): Promise<string[]> {
    assertPrefix(prefix);
    const keys: string[] = [];
    await this.#walk(prefix, keys);
    return pageOf(keys, options);
  }

  async delete(key: string): Promise<void> {
    assertKey(key);
    try {
      await calls.unlink(join(this.#folder, key));
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw storeErrorOf(error, `cannot remove ${key} in ${this.url}`, "before");
    }
    const parent = parentOf(key);
    if (parent.includes("/")) await this.#removeFolderIfEmpty(parent);
  }

  /** Waits for clean-up under way and closes the descriptors. The store is not used afterwards. */
  async close(): Promise<void> {
    await this.settle();
    const descriptors = [...this.#folders.values()];
    this.#folders.clear();
    for (const { fd } of descriptors) await calls.close(fd);
  }

  /** Waits for clean-up under way: for tests that look at the folder afterwards. */
  async settle(): Promise<void> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
  }

  async #writeTemporary(key: string, bytes: Uint8Array): Promise<{ readonly path: string; readonly fd: number }> {
    this.#temporaries += 1;
    const path = this.#temporaryPrefix + String(this.#temporaries);
    let fd: number | undefined;
    try {
      fd = await calls.open(path, calls.O_WRONLY | calls.O_CREAT | calls.O_EXCL, 0o644);
      await calls.writeAll(fd, bytes);
      await calls.fsync(fd);
      return { path, fd };
    } catch (error) {
      if (fd !== undefined) this.#own(this.#dropTemporary({ path, fd }));
      throw storeErrorOf(error, `cannot write ${key} in ${this.url}`, "before");
    }
  }

  /** Gives the temporary its name; see the head comment for whom to believe. */
  async #link(key: string, temporary: { readonly path: string; readonly fd: number }): Promise<PutOutcome> {
    const target = join(this.#folder, key);
    for (let attempt = 1; ; attempt += 1) {
      try {
        await calls.link(temporary.path, target);
        return { kind: "created" };
      } catch (error) {
        if (errnoOf(error) === "ENOENT" && attempt === 1 && (await this.#makeParents(key))) continue;
        const owner = await this.#ownerOf(target, temporary.fd);
        if (owner === "mine") return { kind: "created" };
        if (owner === "other") return { kind: "exists" };
        const stage: Stage = errnoOf(error) === "ENOENT" ? "before" : "visible";
        const what = `cannot link ${key} in ${this.url}`;
        if (errnoOf(error) === "EEXIST" || !isDefinite(error)) throw storeErrorOf(error, what, stage);
        throw storeErrorOf(error, what, "before");
      }
    }
  }

  /** Whose inode the key leads to. "none" when there is no such name or it cannot be found out. */
  async #ownerOf(target: string, temporaryFd: number): Promise<"mine" | "other" | "none"> {
    let fd: number | undefined;
    try {
      fd = await calls.open(target, calls.O_RDONLY);
      const [found, mine] = await Promise.all([calls.fstat(fd), calls.fstat(temporaryFd)]);
      return found.ino === mine.ino && found.dev === mine.dev ? "mine" : "other";
    } catch {
      return "none"; // The caller has the error that matters, and reports it.
    } finally {
      if (fd !== undefined) await calls.close(fd);
    }
  }

  /** Makes the name durable. A failure leaves open whether it is. */
  async #syncFolder(key: string): Promise<void> {
    const folder = parentOf(key);
    try {
      if (folder.includes("/")) {
        const fd = await calls.open(join(this.#folder, folder), calls.O_RDONLY | calls.O_DIRECTORY);
        try {
          await calls.fsync(fd);
        } finally {
          await calls.close(fd);
        }
      } else {
        await this.#syncOpenFolder(folder);
      }
    } catch (error) {
      const known = storeErrorOf(error, `cannot make the name of ${key} durable in ${this.url}`, "visible");
      throw known.kind === "unsuitable" ? known : new StoreError("ambiguous", known.message, known.advice, { cause: error });
    }
  }

  /** A descriptor that failed is used no more, and closed only when nobody uses it: its number may be somebody else's then. */
  async #syncOpenFolder(folder: string): Promise<void> {
    const descriptor = await this.#folderDescriptor(folder);
    descriptor.users += 1;
    try {
      await calls.fsync(descriptor.fd);
    } catch (error) {
      if (this.#folders.get(folder) === descriptor) this.#folders.delete(folder);
      descriptor.retired = true;
      throw error;
    } finally {
      descriptor.users -= 1;
      if (descriptor.retired && descriptor.users === 0) this.#own(calls.close(descriptor.fd));
    }
  }

  async #folderDescriptor(folder: string): Promise<FolderDescriptor> {
    const known = this.#folders.get(folder);
    if (known !== undefined) return known;
    const fd = await calls.open(join(this.#folder, folder), calls.O_RDONLY | calls.O_DIRECTORY);
    const meanwhile = this.#folders.get(folder);
    if (meanwhile !== undefined) {
      this.#own(calls.close(fd));
      return meanwhile;
    }
    const descriptor = { fd, users: 0, retired: false };
    this.#folders.set(folder, descriptor);
    return descriptor;
  }

  async #makeParents(key: string): Promise<boolean> {
    const parts = key.split("/").slice(0, -1);
    for (let depth = 1; depth <= parts.length; depth += 1) {
      const folder = parts.slice(0, depth).join("/");
      try {
        await calls.mkdir(join(this.#folder, folder));
      } catch (error) {
        if (errnoOf(error) === "EEXIST") continue;
        throw storeErrorOf(error, `cannot make the folder ${folder} in ${this.url}`, "before");
      }
      await this.#syncFolder(folder);
    }
    return parts.length > 0;
  }

  async #read(key: string): Promise<Uint8Array | undefined> {
    let fd: number | undefined;
    try {
      fd = await calls.open(join(this.#folder, key), calls.O_RDONLY);
      return await calls.readAll(fd, (await calls.fstat(fd)).size);
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return undefined;
      throw storeErrorOf(error, `cannot read ${key} in ${this.url}`, "before");
    } finally {
      if (fd !== undefined) this.#own(calls.close(fd));
    }
  }

  /** Makes a network file system's client ask the server about the folder again. False: there is no such folder. */
  async #revalidate(key: string): Promise<boolean> {
    try {
      await calls.close(await calls.open(join(this.#folder, parentOf(key)), calls.O_RDONLY | calls.O_DIRECTORY));
      return true;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return false;
      throw storeErrorOf(error, `cannot look up ${key} in ${this.url}`, "before");
    }
  }

  async #walk(prefix: string, keys: string[]): Promise<void> {
    let entries;
    try {
      entries = await calls.readdir(join(this.#folder, prefix), { withFileTypes: true });
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return;
      throw storeErrorOf(error, `cannot list ${prefix} in ${this.url}`, "before");
    }
    for (const entry of entries) {
      const key = prefix + entry.name;
      if (!isKey(key)) continue; // Not ours: .nfs… names of removed open files, an operator's notes.
      if (entry.isDirectory()) await this.#walk(`${key}/`, keys);
      else keys.push(key);
    }
  }

  async #removeFolderIfEmpty(folder: string): Promise<void> {
    try {
      await calls.rmdir(join(this.#folder, folder));
    } catch (error) {
      const code = errnoOf(error);
      if (code === "ENOTEMPTY" || code === "EEXIST" || code === "ENOENT") return;
      throw storeErrorOf(error, `cannot remove the folder ${folder} in ${this.url}`, "before");
    }
  }

  async #dropTemporary(temporary: { readonly path: string; readonly fd: number }): Promise<void> {
    try {
      await calls.close(temporary.fd);
      await calls.unlink(temporary.path);
    } catch {
      // It stays until a store is opened a day later; the put's own result is what counts.
    }
  }

  #own(work: Promise<void>): void {
    const owned = work.catch(() => undefined).finally(() => this.#pending.delete(owned));
    this.#pending.add(owned);
  }
}

function parentOf(key: string): string {
  const slash = key.lastIndexOf("/");
  return slash < 0 ? "" : key.slice(0, slash);
}

/**
 * A vault in a folder that all hosts share: local disk, NFS, SMB with hard links.
 *
 * Put: temporary file → write → fsync → link() to the key → fsync of the folder; then the temporary's name is removed.
 * Why:
 * - link() is atomic and exclusive on every file system that has it, NFS included. The content was durable before the
 *   name appeared, so a reader finds the whole record or none, and the name of a whole record is never taken twice.
 * - An error of link() says little: NFS loses replies and then reports EEXIST for one's own link. The inode therefore
 *   decides: the temporary belongs to this attempt alone, and if the key leads to its inode with its content, this
 *   attempt made the link.
 * - The folder's fsync makes the name durable, and with it every name that was linked in the folder before. It also
 *   runs before `exists` is returned: an earlier attempt of the same writer may have linked and then failed to sync (R3
 *   retries it and must not take visible for durable). A reader may see a name before it is durable, but may act on it
 *   only afterwards; a claim therefore first puts the last record that it knows again (log-writer.ts).
 *
 * A thread makes the puts of small objects, which commits wait for, with the same calls in the same order
 * (put-thread.ts). Where one of its calls fails, the put continues here as if the pool's call had failed.
 *
 * A put whose temporary was removed as stale fails as `unavailable` and is repeated.
 *
 * Look-up: open(), never stat(). On a network file system a missing name may come from the client's cache. Opening the
 * folder makes the client ask the server whether it has changed (close-to-open), so a missing name is looked up again
 * after that. Listing opens the folder as well.
 *
 * Other writers of the folder: an object is a regular file. A link below the vault's folder is not followed, a pipe is
 * not waited for, and a file that is too long is not read (`O_CAREFUL`, object-size.ts); the vault's folder itself may
 * be reached through links. open-store.ts refuses a vault with a link in place of one of its folders.
 */
import { join } from "node:path";
import type { StagedBytes } from "../../core/delta.ts";
import { type FsCalls, O_CAREFUL, O_DIRECTORY, O_RDONLY, systemCalls } from "./fs-calls.ts";
import { errnoOf, isDefinite, storeErrorOf } from "./fs-error.ts";
import { Folders } from "./fs-folders.ts";
import { Temporaries, type Temporary } from "./fs-temporaries.ts";
import { BackgroundTasks } from "../../runtime/background-tasks.ts";
import { objectBytesMax } from "../limits.ts";
import { StrangeObjectError } from "../errors.ts";
import { FsSegments } from "./fs-segments.ts";
import { assertSize, isStrangeFile } from "./object-size.ts";
import { hasJobThreads } from "./job-thread.ts";
import { PutThread, type SmallPuts, type ThreadPut } from "./put-thread.ts";
import { StoreError, type PutOutcome, type StagedPut, type Store } from "./store.ts";
import { assertKey, assertPrefix, isKey, pageOf } from "./store-key.ts";

export interface FsStoreOptions {
  /** Absolute path of the vault's folder. */
  readonly folder: string;
  /** True if another machine can change it: missing names are then looked up twice. */
  readonly network: boolean;
  /** For tests. No thread makes puts then, unless `smallPuts` is given as well. */
  readonly calls?: FsCalls;
  readonly smallPuts?: SmallPuts;
}

export class FsStore implements Store {
  readonly url: string;
  /** Undefined where another machine may have the folder too: segment-files.ts names the premises. */
  readonly files: FsSegments | undefined;
  readonly #folder: string;
  readonly #isOnNetwork: boolean;
  readonly #calls: FsCalls;
  readonly #work = new BackgroundTasks(() => undefined);
  readonly #temporaries: Temporaries;
  readonly #folders: Folders;
  readonly #smallPuts: SmallPuts | undefined;

  constructor(options: FsStoreOptions) {
    this.#folder = options.folder;
    this.#isOnNetwork = options.network;
    this.#calls = options.calls ?? systemCalls;
    this.#temporaries = new Temporaries(options.folder, this.#calls, this.#work);
    this.#folders = new Folders(options.folder, this.#calls, this.#work);
    const { smallPuts, calls } = options;
    this.#smallPuts = smallPuts ?? (calls === undefined && hasJobThreads ? new PutThread() : undefined);
    this.url = `file://${options.folder}`;
    const { folder, network } = options;
    this.files = network
      ? undefined
      : new FsSegments({ folder, store: this, ...(calls === undefined ? {} : { calls }) });
  }

  async putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    assertKey(key);
    const thread = this.#smallPuts;
    const isSmall = !parentOf(key).includes("/") && !this.#temporaries.isAnnounced(bytes);
    if (isSmall && thread?.isFree(bytes.length) === true) return this.#putByThread(thread, key, bytes);
    return this.#name(key, bytes, await this.#orFailed(key, this.#temporaries.write(bytes)));
  }

  /** Gives a written temporary its name. `failure` is the error of a first attempt. */
  async #name(key: string, bytes: Uint8Array, temporary: Temporary, failure?: Error): Promise<PutOutcome> {
    try {
      const outcome = await this.#link(key, temporary, bytes, failure);
      await this.#syncFolder(key);
      return outcome;
    } finally {
      this.#forget(temporary);
    }
  }

  async #putByThread(thread: SmallPuts, key: string, bytes: Uint8Array): Promise<PutOutcome> {
    const temporary = thread.takeAhead() ?? (await this.#orFailed(key, this.#temporaries.take()));
    if (!thread.isFree(bytes.length)) {
      await this.#orFailed(key, this.#temporaries.fill(temporary, bytes));
      return this.#name(key, bytes, temporary);
    }
    const [path, folder] = [join(this.#folder, key), join(this.#folder, parentOf(key))];
    let put: ThreadPut;
    try {
      put = await thread.put({ temporary, folder, path, bytes });
    } catch (error) {
      this.#forget(temporary);
      throw storeErrorOf(error, `cannot say whether ${key} was written in ${this.url}`, "visible");
    }
    if (put.kind === "failed" && put.at === "link") return this.#name(key, bytes, temporary, put.error);
    this.#forget(temporary);
    if (put.kind === "created") return put;
    throw put.at === "folder" ? this.#unsynced(key, put.error) : this.#unwritten(key, put.error);
  }

  #forget(temporary: Temporary): void {
    if (this.#smallPuts?.replace(temporary, this.#temporaries.name()) === true) return;
    this.#temporaries.drop(temporary);
    this.#temporaries.openAhead();
  }

  /** Writes and syncs the temporary of the next put, so that only the name remains to be created. */
  prepare(key: string, bytes: Uint8Array, ahead?: StagedPut): void {
    assertKey(key);
    this.#temporaries.writeAhead(bytes, ahead);
  }

  async stage(bytes: Uint8Array): Promise<StagedBytes> {
    try {
      return await this.#temporaries.stage(bytes);
    } catch (error) {
      throw storeErrorOf(error, `cannot write ahead in ${this.url}`, "before");
    }
  }

  async get(key: string, bytesMax = objectBytesMax): Promise<Uint8Array | undefined> {
    assertKey(key);
    return (
      (await this.#read(key, bytesMax)) ??
      (this.#isOnNetwork && (await this.#revalidate(key)) ? await this.#read(key, bytesMax) : undefined)
    );
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
      await this.#calls.unlink(join(this.#folder, key));
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw storeErrorOf(error, `cannot remove ${key} in ${this.url}`, "before");
    }
    const parent = parentOf(key);
    if (parent.includes("/")) await this.#removeFolderIfEmpty(parent);
  }

  /** Waits for clean-up in progress and closes the descriptors. The store must not be used afterwards. */
  async close(): Promise<void> {
    await this.files?.close();
    this.#temporaries.close();
    this.#folders.close();
    await this.#smallPuts?.close();
    const ahead = this.#smallPuts?.takeAhead();
    if (ahead !== undefined) this.#temporaries.drop(ahead);
    await this.#work.settled();
  }

  async #orFailed<T>(key: string, work: Promise<T>): Promise<T> {
    return work.catch((error: unknown) => {
      throw this.#unwritten(key, error);
    });
  }

  #unwritten(key: string, error: unknown): StoreError {
    return storeErrorOf(error, `cannot write ${key} in ${this.url}`, "before");
  }

  /**
   * Gives the temporary its name; the head comment says how errors are interpreted. `failure` is the error of a first
   * attempt that was made already.
   */
  async #link(key: string, temporary: Temporary, bytes: Uint8Array, failure?: Error): Promise<PutOutcome> {
    const target = join(this.#folder, key);
    for (let attempt = 1; ; attempt += 1) {
      try {
        if (attempt === 1 && failure !== undefined) throw failure;
        await this.#calls.link(temporary.path, target);
        return { kind: "created" };
      } catch (error) {
        if (errnoOf(error) === "ENOENT" && attempt === 1 && (await this.#makeParents(key))) continue;
        const owner = await this.#ownerOf(target, temporary.fd, bytes);
        if (owner === "mine") return { kind: "created" };
        if (owner === "other") return { kind: "exists" };
        // EEXIST without the name: it appeared and vanished, or the look-up is stale. ENOENT: the temporary or a folder
        // was removed.
        const isCertain = errnoOf(error) === "ENOENT" || (errnoOf(error) !== "EEXIST" && isDefinite(error));
        throw storeErrorOf(error, `cannot link ${key} in ${this.url}`, isCertain ? "before" : "visible");
      }
    }
  }

  /**
   * Returns the owner of the file at the key; "none" if there is no such name or it cannot be determined. An equal
   * inode number is not enough: file systems in user space invent numbers, and two files can get the same one; `bytes`
   * distinguish those.
   */
  async #ownerOf(target: string, temporaryFd: number, bytes: Uint8Array): Promise<"mine" | "other" | "none"> {
    let fd: number | undefined;
    try {
      fd = await this.#calls.open(target, O_RDONLY | O_CAREFUL);
      const [found, mine] = await Promise.all([this.#calls.identify(fd), this.#calls.identify(temporaryFd)]);
      if (found.ino !== mine.ino || found.dev !== mine.dev) return "other";
      if ((await this.#calls.sizeOfFile(fd)) !== bytes.length) return "other";
      return Buffer.compare(await this.#calls.read(fd, bytes.length), bytes) === 0 ? "mine" : "other";
    } catch (error) {
      // Otherwise the caller has the error that matters, and reports it.
      return isStrangeFile(errnoOf(error)) ? "other" : "none";
    } finally {
      if (fd !== undefined) this.#work.own(this.#calls.close(fd));
    }
  }

  /** Makes the name durable. A failure leaves open whether it is. */
  async #syncFolder(key: string): Promise<void> {
    try {
      await this.#folders.sync(parentOf(key));
    } catch (error) {
      throw this.#unsynced(key, error);
    }
  }

  #unsynced(key: string, error: unknown): StoreError {
    const known = storeErrorOf(error, `cannot make the name of ${key} durable in ${this.url}`, "visible");
    return new StoreError("ambiguous", known.message, known.advice, { cause: error });
  }

  async #makeParents(key: string): Promise<boolean> {
    const parts = key.split("/").slice(0, -1);
    for (let depth = 1; depth <= parts.length; depth += 1) {
      const folder = parts.slice(0, depth).join("/");
      try {
        await this.#calls.mkdir(join(this.#folder, folder));
      } catch (error) {
        if (errnoOf(error) !== "EEXIST")
          throw storeErrorOf(error, `cannot make the folder ${folder} in ${this.url}`, "before");
      }
      this.#folders.forget(folder);
      this.#smallPuts?.forgetFolders();
      await this.#syncFolder(folder); // Also when another has just made it: its name may not be durable yet.
    }
    return parts.length > 0;
  }

  async #read(key: string, bytesMax: number): Promise<Uint8Array | undefined> {
    let fd: number | undefined;
    try {
      fd = await this.#calls.open(join(this.#folder, key), O_RDONLY | O_CAREFUL);
      const size = await this.#calls.sizeOfFile(fd);
      assertSize(key, size, bytesMax);
      return await this.#calls.read(fd, size);
    } catch (error) {
      const code = errnoOf(error);
      if (code === "ENOENT") return undefined;
      if (isStrangeFile(code)) assertSize(key, undefined, bytesMax);
      if (error instanceof StrangeObjectError) throw error;
      throw storeErrorOf(error, `cannot read ${key} in ${this.url}`, "before");
    } finally {
      if (fd !== undefined) this.#work.own(this.#calls.close(fd));
    }
  }

  /**
   * Makes a network file system's client ask the server about the folder again. Returns false if there is no such
   * folder.
   */
  async #revalidate(key: string): Promise<boolean> {
    try {
      await this.#calls.close(
        await this.#calls.open(join(this.#folder, parentOf(key)), O_RDONLY | O_DIRECTORY | O_CAREFUL),
      );
      return true;
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return false;
      throw storeErrorOf(error, `cannot look up ${key} in ${this.url}`, "before");
    }
  }

  async #walk(prefix: string, keys: string[]): Promise<void> {
    let entries;
    try {
      entries = await this.#calls.readdir(join(this.#folder, prefix));
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
      await this.#calls.rmdir(join(this.#folder, folder));
    } catch (error) {
      const code = errnoOf(error);
      if (code === "ENOTEMPTY" || code === "EEXIST" || code === "ENOENT") return;
      throw storeErrorOf(error, `cannot remove the folder ${folder} in ${this.url}`, "before");
    }
  }
}

function parentOf(key: string): string {
  const slash = key.lastIndexOf("/");
  return slash < 0 ? "" : key.slice(0, slash);
}

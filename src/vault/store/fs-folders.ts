/**
 * Syncs the vault's folders, which makes the names in them durable.
 *
 * Descriptors of the folders directly under the vault's are kept; deeper folders come and go and are opened each time.
 * A descriptor that failed is not used again, and is closed only after its last use: its number may be reused then, and
 * syncing that would be taken for success.
 */
import { join } from "node:path";
import { type FsCalls, O_CAREFUL, O_DIRECTORY, O_RDONLY } from "./fs-calls.ts";
import type { BackgroundTasks } from "../../runtime/background-tasks.ts";

interface FolderDescriptor {
  readonly fd: number;
  users: number;
  retired: boolean;
}

export class Folders {
  readonly #root: string;
  readonly #calls: FsCalls;
  readonly #work: BackgroundTasks;
  readonly #open = new Map<string, FolderDescriptor>();

  constructor(root: string, calls: FsCalls, work: BackgroundTasks) {
    this.#root = root;
    this.#calls = calls;
    this.#work = work;
  }

  /**
   * `folder` is relative to the vault's folder, "" for that folder itself. Rejects with the error of the failed call.
   */
  async sync(folder: string): Promise<void> {
    if (folder.includes("/")) {
      await this.#syncOnce(folder);
      return;
    }
    const descriptor = this.#open.get(folder) ?? (await this.#keep(folder));
    descriptor.users += 1;
    try {
      await this.#calls.fsync(descriptor.fd);
    } catch (error) {
      if (this.#open.get(folder) === descriptor) this.#open.delete(folder);
      descriptor.retired = true;
      throw error;
    } finally {
      descriptor.users -= 1;
      if (descriptor.retired && descriptor.users === 0) this.#work.own(this.#calls.close(descriptor.fd));
    }
  }

  /** The name was missing: a kept descriptor is of a removed folder, and syncing it would say nothing of a new one. */
  forget(folder: string): void {
    const descriptor = this.#open.get(folder);
    if (descriptor === undefined) return;
    this.#open.delete(folder);
    descriptor.retired = true;
    if (descriptor.users === 0) this.#work.own(this.#calls.close(descriptor.fd));
  }

  close(): void {
    for (const { fd } of this.#open.values()) this.#work.own(this.#calls.close(fd));
    this.#open.clear();
  }

  async #syncOnce(folder: string): Promise<void> {
    const fd = await this.#calls.open(
      join(this.#root, folder),
      O_RDONLY | O_DIRECTORY | (folder === "" ? 0 : O_CAREFUL),
    );
    try {
      await this.#calls.fsync(fd);
    } finally {
      this.#work.own(this.#calls.close(fd));
    }
  }

  async #keep(folder: string): Promise<FolderDescriptor> {
    const fd = await this.#calls.open(
      join(this.#root, folder),
      O_RDONLY | O_DIRECTORY | (folder === "" ? 0 : O_CAREFUL),
    );
    const meanwhile = this.#open.get(folder);
    if (meanwhile !== undefined) {
      this.#work.own(this.#calls.close(fd));
      return meanwhile;
    }
    const descriptor = { fd, users: 0, retired: false };
    this.#open.set(folder, descriptor);
    return descriptor;
  }
}

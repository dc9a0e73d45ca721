/**
 * Temporary files of the fs store: written and synced before link() gives them their name in the vault.
 *
 * Each is used for one attempt of one put, so the inode shows to whom a name belongs. The next one is opened ahead, in
 * the background: creating a file is one of the two most expensive steps of a put, and this removes it from the path of
 * a commit. For an announced put the content is also written and synced ahead: while one part of a large flush gets its
 * name, the disk writes the next one. Files left by a crash are removed at open, once they are a day old (fs-probe.ts).
 */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { join } from "node:path";
import { type FsCalls, O_CREAT, O_EXCL, O_WRONLY } from "./fs-calls.ts";
import type { OwnedWork } from "./owned-work.ts";

export const temporaryFolder = "tmp";

export interface Temporary {
  readonly path: string;
  readonly fd: number;
}

export class Temporaries {
  readonly #calls: FsCalls;
  readonly #work: OwnedWork;
  readonly #prefix: string;
  #made = 0;
  #ahead: Promise<Temporary | undefined> | undefined;
  /** Written ahead: `bytes` are the same that the next `write` will bring. */
  #written: { readonly bytes: Uint8Array; readonly temporary: Promise<Temporary | undefined> } | undefined;
  #isClosed = false;

  constructor(folder: string, calls: FsCalls, work: OwnedWork) {
    this.#calls = calls;
    this.#work = work;
    const host = hostname()
      .toLowerCase()
      .replace(/[^a-z0-9-]/g, "-")
      .slice(0, 40);
    this.#prefix = join(folder, temporaryFolder, `${host}-${process.pid}-${randomBytes(8).toString("hex")}-`);
  }

  /** Returns a temporary with this content, durable except for its name. Rejects with the error of the failed call. */
  async write(bytes: Uint8Array): Promise<Temporary> {
    const written = this.#written;
    if (written?.bytes !== bytes) return this.#writeNow(bytes);
    this.#written = undefined;
    return (await written.temporary) ?? (await this.#writeNow(bytes));
  }

  /**
   * Begins the next `write` of these same bytes, which do not change until then. After a failure `write` starts over
   * and reports it.
   */
  writeAhead(bytes: Uint8Array): void {
    if (this.#isClosed) return;
    this.#dropWritten();
    this.#written = { bytes, temporary: this.#writeNow(bytes).catch(() => undefined) };
  }

  async #writeNow(bytes: Uint8Array): Promise<Temporary> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    const temporary = (await ahead) ?? (await this.#open());
    try {
      await this.#calls.write(temporary.fd, bytes);
      await this.#calls.fsync(temporary.fd);
      return temporary;
    } catch (error) {
      this.drop(temporary);
      throw error;
    }
  }

  /** Opens the next temporary ahead, unless one is open. After a failure the next `write` opens its own. */
  openAhead(): void {
    this.#ahead ??= this.#open().catch(() => undefined);
  }

  /** Removes its own name; the name that is the key stays. A failure leaves only a stale file. */
  drop(temporary: Temporary): void {
    this.#work.own(this.#remove(temporary));
  }

  close(): void {
    this.#isClosed = true;
    const ahead = this.#ahead;
    this.#ahead = undefined;
    if (ahead !== undefined) this.#work.own(this.#removeLater(ahead));
    this.#dropWritten();
  }

  #dropWritten(): void {
    const written = this.#written;
    this.#written = undefined;
    if (written !== undefined) this.#work.own(this.#removeLater(written.temporary));
  }

  async #removeLater(made: Promise<Temporary | undefined>): Promise<void> {
    const temporary = await made;
    if (temporary !== undefined) await this.#remove(temporary);
  }

  async #open(): Promise<Temporary> {
    this.#made += 1;
    const path = this.#prefix + String(this.#made);
    return { path, fd: await this.#calls.open(path, O_WRONLY | O_CREAT | O_EXCL, 0o644) };
  }

  async #remove(temporary: Temporary): Promise<void> {
    try {
      await this.#calls.close(temporary.fd);
    } finally {
      await this.#calls.unlink(temporary.path);
    }
  }
}

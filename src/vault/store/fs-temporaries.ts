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
import type { StagedBytes } from "../../core/delta.ts";
import { type FsCalls, O_CREAT, O_EXCL, O_RDONLY, O_WRONLY } from "./fs-calls.ts";
import type { BackgroundTasks } from "../../runtime/background-tasks.ts";
import type { StagedPut } from "./store.ts";

export const temporaryFolder = "tmp";
/** Before the umask, which keeps others out, and the group unless the vault's folder is of a group (open-store.ts). */
export const temporaryMode = 0o660;

export interface Temporary {
  readonly path: string;
  readonly fd: number;
}

/** A temporary before it is known what it will be put as. */
class StagedTemporary implements StagedBytes {
  readonly #calls: FsCalls;
  readonly #drop: (path: string) => void;
  /** Undefined: it is given away or gone. */
  #path: string | undefined;

  constructor(path: string, calls: FsCalls, drop: (path: string) => void) {
    this.#path = path;
    this.#calls = calls;
    this.#drop = drop;
  }

  async read(into: Uint8Array): Promise<void> {
    if (this.#path === undefined) throw new Error("what was staged is put or dropped");
    const fd = await this.#calls.open(this.#path, O_RDONLY);
    try {
      await this.#calls.readInto(fd, into);
    } finally {
      await this.#calls.close(fd);
    }
  }

  drop(): void {
    const path = this.take();
    if (path !== undefined) this.#drop(path);
  }

  /** The caller removes it. */
  take(): string | undefined {
    const path = this.#path;
    this.#path = undefined;
    return path;
  }
}

export class Temporaries {
  readonly #calls: FsCalls;
  readonly #work: BackgroundTasks;
  readonly #prefix: string;
  #made = 0;
  #ahead: Promise<Temporary | undefined> | undefined;
  /** Written ahead: `bytes` are the same that the next `write` will bring. */
  #written: { readonly bytes: Uint8Array; readonly temporary: Promise<Temporary | undefined> } | undefined;
  #isClosed = false;

  constructor(folder: string, calls: FsCalls, work: BackgroundTasks) {
    this.#calls = calls;
    this.#work = work;
    const host = hostname()
      .toLowerCase()
      .replace(/[^a-z0-9-]/g, "-")
      .slice(0, 40);
    this.#prefix = join(folder, temporaryFolder, `${host}-${process.pid}-${randomBytes(8).toString("hex")}-`);
  }

  /** True if these same bytes were announced. */
  isAnnounced(bytes: Uint8Array): boolean {
    return this.#written?.bytes === bytes;
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
   * and reports it. Of staged bytes only the head is written, into the file that has the rest.
   */
  writeAhead(bytes: Uint8Array, ahead?: StagedPut): void {
    if (this.#isClosed) return;
    this.#dropWritten();
    const staged = ahead?.staged instanceof StagedTemporary ? ahead.staged.take() : undefined;
    const temporary =
      ahead === undefined || staged === undefined
        ? this.#writeNow(bytes)
        : this.#writeInto(staged, bytes.subarray(0, ahead.headBytes));
    this.#written = { bytes, temporary: temporary.catch(() => undefined) };
  }

  /** A file of its own for these bytes, which has no descriptor while nothing is done with it. */
  async stage(bytes: Uint8Array): Promise<StagedBytes> {
    const temporary = await this.#open();
    await this.fill(temporary, bytes);
    await this.#calls.close(temporary.fd);
    const drop = (path: string): void => this.#work.own(this.#calls.unlink(path));
    return new StagedTemporary(temporary.path, this.#calls, drop);
  }

  async #writeNow(bytes: Uint8Array): Promise<Temporary> {
    return this.fill(await this.take(), bytes);
  }

  async #writeInto(path: string, head: Uint8Array): Promise<Temporary> {
    return this.fill({ path, fd: await this.#calls.open(path, O_WRONLY) }, head);
  }

  /** Writes and syncs the content; removes the temporary if that fails. */
  async fill(temporary: Temporary, bytes: Uint8Array): Promise<Temporary> {
    try {
      await this.#calls.write(temporary.fd, bytes);
      await this.#calls.fsync(temporary.fd);
      return temporary;
    } catch (error) {
      this.drop(temporary);
      throw error;
    }
  }

  /** Returns an empty temporary. Rejects with the error of the failed call. */
  async take(): Promise<Temporary> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    return (await ahead) ?? (await this.#open());
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

  /** Returns the path of one that does not exist. */
  name(): string {
    this.#made += 1;
    return this.#prefix + String(this.#made);
  }

  async #open(): Promise<Temporary> {
    const path = this.name();
    return { path, fd: await this.#calls.open(path, O_WRONLY | O_CREAT | O_EXCL, temporaryMode) };
  }

  async #remove(temporary: Temporary): Promise<void> {
    try {
      await this.#calls.close(temporary.fd);
    } finally {
      await this.#calls.unlink(temporary.path);
    }
  }
}

/**
 * The secondary's side of capture: database files written page by page from checkpoints and commit records.
 *
 * Plain file IO, no SQLite connection: while an instance exists, nothing else in this process may have these files open
 * (the host closes it before an application or a `Source` opens them). Every flush is proved before a byte of it is
 * written: the hashes of its pages, put into the table of the pages that are there, must give the checksum that the
 * primary had. A secondary that differs reports it at the record where it happens, and is restored.
 *
 * The vault says which databases there are, and this host's configuration which of them it has (`isListed`): others are
 * proved and carried along like all, but no file is made for them, so who can write into the vault cannot make a host
 * write other files. Such a host does not become primary.
 *
 * No other process may write there; one that does (SQL by hand on a secondary) is noticed by the file's time stamp, at
 * the next flush or when the files are handed over.
 *
 * Files left by a crash in the middle of an apply are not trusted: a restart proves or restores them.
 */
import { statSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import type { DatabaseChecksum } from "../core/delta.ts";
import type { Flush } from "../core/flush.ts";
import { type FilePath, pathOf } from "./data-path.ts";
import { FlushSpool } from "./flush-spool.ts";
import type { PageHashes } from "./page-hashes.ts";
import { assertName, type LoadedDatabase, pagesPerBreath, PageTables, type ProvedChange } from "./page-tables.ts";
import { ReplicaError } from "./replica-error.ts";
import { assertNoLink, type FileAccess, ReplicaFile } from "./replica-file.ts";
import { EventLoopBudget } from "../runtime/event-loop-budget.ts";

const groupReadsAndWrites = 0o060;

export interface ReplicaOptions {
  readonly root: string;
  readonly spoolFolder?: string;
  /** Returns who had a database of this name here before; undefined: there was none. */
  readonly accessBefore?: (name: string) => FileAccess | undefined;
  /**
   * Returns the path of a former file of this database, of which `load` takes over what is right; undefined: it writes
   * a new one. It is in a folder that only this process writes to, and what it has may be lost.
   */
  readonly formerFile?: (name: string) => FilePath | undefined;
  /** True for databases of which this host writes files; default: all. */
  readonly isListed?: (name: string) => boolean;
  /** `sync` will be called once all is written. */
  readonly isSyncedLater?: boolean;
}

export class Replica {
  /** For parts of an incomplete flush; undefined: they stay in memory. */
  readonly spool: FlushSpool | undefined;
  readonly #root: string;
  readonly #accessBefore: ReplicaOptions["accessBefore"];
  readonly #formerFile: ReplicaOptions["formerFile"];
  readonly #isListed: (name: string) => boolean;
  readonly #isSyncedLater: boolean;
  readonly #tables = new PageTables();
  readonly #files = new Map<string, ReplicaFile>();
  #isBusy = false;
  #isClosed = false;

  private constructor(root: string, options: ReplicaOptions) {
    const { spoolFolder, accessBefore, formerFile, isListed = () => true, isSyncedLater = false } = options;
    this.#formerFile = formerFile;
    this.#isSyncedLater = isSyncedLater;
    this.#root = root;
    this.spool = spoolFolder === undefined ? undefined : new FlushSpool(spoolFolder);
    this.#accessBefore = accessBefore;
    this.#isListed = isListed;
  }

  /** `root`: a folder without databases; created if missing. `spoolFolder`: for large flushes, exists. */
  static async open(options: ReplicaOptions): Promise<Replica> {
    const root = resolve(options.root);
    await mkdir(root, { recursive: true });
    return new Replica(root, options);
  }

  /**
   * Writes a whole database. Throws `ReplicaError` if its bytes do not match the checksum, or another process changes
   * the file meanwhile; nothing of it is left then. If its chunks cannot be read or written, what was written stays
   * where there may be former files: another try takes it over.
   */
  load(database: LoadedDatabase): Promise<void> {
    return this.#exclusively(async () => {
      const { name } = database;
      await this.#remove(name);
      if (!this.#isListed(name)) return this.#tables.load(database);
      // Also for a database without a single chunk; not before the name is known to be valid.
      const former = await this.#takeOver(name);
      const file = former ?? (await this.#create(name));
      try {
        former?.resize(database.pageSize * database.pageCount);
        file.rememberWrites();
        await this.#tables.load(database, async (offset, bytes) => {
          const isThere = former !== undefined && database.isLocal?.(offset, bytes.byteLength) === true;
          if (isThere) return;
          // What was read before would not be what is there.
          assertAsLeft(name, file);
          await file.writeBeside(offset, bytes);
          file.rememberWrites();
        });
        assertAsLeft(name, file);
        this.#files.set(name, file);
      } catch (error) {
        await (this.#formerFile === undefined || error instanceof ReplicaError ? file.remove() : file.close());
        throw error;
      }
    });
  }

  /** Applies the databases of one flush, or nothing. Throws `ReplicaError`. */
  apply({ deltas }: Pick<Flush, "deltas">): Promise<void> {
    return this.#exclusively(async () => {
      for (const { name } of deltas) assertAsLeft(name, this.#files.get(name));
      const budget = new EventLoopBudget();
      for (const change of await this.#tables.prove(deltas)) {
        await this.#write(change, budget);
        this.#tables.accept(change);
      }
      this.spool?.forget();
    });
  }

  checksums(): Map<string, DatabaseChecksum> {
    return this.#tables.checksums();
  }

  /**
   * Returns the hashes of all pages, for the `Source` that takes these files over, so that it need not read them.
   * Afterwards the replica may only be closed. Throws `ReplicaError` if another process wrote to the files.
   */
  handOver(): ReadonlyMap<string, PageHashes> {
    for (const [name, file] of this.#files) assertAsLeft(name, file);
    return this.#tables.all();
  }

  /** Makes everything applied so far durable on the local disk. */
  async sync(): Promise<void> {
    for (const file of this.#files.values()) await file.sync();
  }

  /** Closes the files unchanged; they belong to another owner from now on. */
  async close(): Promise<void> {
    if (this.#isBusy) throw new Error("the caller must let a load or apply end before it closes");
    this.#isClosed = true;
    for (const file of this.#files.values()) await file.close();
    this.#files.clear();
    this.spool?.forget();
  }

  async #write({ name, fresh, pageSize, pageCount, pages }: ProvedChange, budget: EventLoopBudget): Promise<void> {
    if (fresh) await this.#remove(name);
    if (pageCount === 0 || !this.#isListed(name)) return;
    let file = this.#files.get(name);
    if (file === undefined) {
      file = await this.#create(name);
      this.#files.set(name, file);
    }
    file.resize(pageCount * pageSize);
    let written = 0;
    for (const { number, content } of pages.values()) {
      file.write((number - 1) * pageSize, content);
      if (++written % pagesPerBreath === 0) await budget.yieldIfDue();
    }
    file.rememberWrites();
  }

  async #remove(name: string): Promise<void> {
    const file = this.#files.get(name);
    this.#files.delete(name);
    await file?.remove();
  }

  #create(name: string): Promise<ReplicaFile> {
    return ReplicaFile.create(this.#placeOf(name), this.#accessOf(name), this.#isSyncedLater);
  }

  async #takeOver(name: string): Promise<ReplicaFile | undefined> {
    const path = this.#placeOf(name);
    const former = this.#formerFile?.(name);
    if (former === undefined) return undefined;
    return ReplicaFile.takeOver(former, { path, access: this.#accessOf(name), isSyncedLater: this.#isSyncedLater });
  }

  #placeOf(name: string): FilePath {
    assertName(name);
    assertNoLink(this.#root, name);
    return pathOf(this.#root, name);
  }

  /** Without an earlier file: its folder's owner, and the group if the folder is one of a group. */
  #accessOf(name: string): FileAccess {
    const before = this.#accessBefore?.(name);
    if (before !== undefined) return before;
    const { mode, uid, gid } = statSync(this.#root);
    return { mode: 0o600 | (mode & groupReadsAndWrites), uid, gid };
  }

  async #exclusively(work: () => Promise<void>): Promise<void> {
    if (this.#isClosed) throw new Error("the files of a closed replica belong to another owner");
    if (this.#isBusy) throw new Error("the caller must serialise load and apply");
    this.#isBusy = true;
    try {
      await work();
    } finally {
      this.#isBusy = false;
    }
  }
}

/** Throws `ReplicaError` if another process wrote to the file, if there is one. */
function assertAsLeft(name: string, file: ReplicaFile | undefined): void {
  if (file === undefined || file.isAsLeft()) return;
  throw new ReplicaError(
    name,
    "a file that was changed by something other than this host",
    "a copy that only the journal changes; nothing else may write to the databases of a secondary",
    "foreign",
  );
}

/**
 * The secondary's side of capture: database files written page by page from checkpoints and commit records.
 *
 * Plain file IO, no SQLite connection: while an instance exists, nothing else in this process may have these files open
 * (the host closes it before an application or a `Source` opens them). Every flush is proved before a byte of it is
 * written: the hashes of its pages, put into the table of the pages that are there, must give the checksum that the
 * primary had. A secondary that differs says so at the record where it happens, and is restored anew.
 *
 * Nobody else writes there; who does all the same (SQL by hand on a secondary) is noticed by the file's time stamp, at the next
 * flush or when the files are handed over.
 *
 * A crash in the middle of an apply leaves files that nobody trusts: a restart proves or restores them.
 */
import { mkdir } from "node:fs/promises";
import { resolve } from "node:path";
import { isDatabaseName } from "../core/database-name.ts";
import type { DatabaseChecksum, DatabaseDelta } from "../core/delta.ts";
import { type FilePath, pathOf } from "./data-path.ts";
import { hashPage, PageHashes, checksumText, sameChecksum } from "./page-hashes.ts";
import { ReplicaError } from "./replica-error.ts";
import { ReplicaFile } from "./replica-file.ts";
import { Slice } from "./slice.ts";

/** A database of a checkpoint, in pieces of any size. */
export interface LoadedDatabase {
  readonly name: string;
  /** Bytes. */
  readonly pageSize: number;
  readonly pageCount: number;
  readonly checksum: DatabaseChecksum;
  readonly chunks: AsyncIterable<Uint8Array>;
}

interface Copy {
  readonly file: ReplicaFile;
  readonly hashes: PageHashes;
}

export class Replica {
  readonly #root: string;
  readonly #copies = new Map<string, Copy>();
  #busy = false;
  #isClosed = false;

  private constructor(root: string) {
    this.#root = root;
  }

  /** `root`: a folder without databases; created when it is missing. */
  static async open(options: { readonly root: string }): Promise<Replica> {
    const root = resolve(options.root);
    await mkdir(root, { recursive: true });
    return new Replica(root);
  }

  /** Writes a whole database. Throws `ReplicaError` when its bytes do not have the checksum; nothing of it is left then. */
  load(database: LoadedDatabase): Promise<void> {
    return this.#exclusively(async () => {
      const { name, pageSize, pageCount, checksum } = database;
      await this.#remove(name);
      const hashes = new PageHashes(pageSize);
      hashes.resize(pageCount, () => true);
      const file = await ReplicaFile.create(this.#pathOf(name));
      try {
        const bytes = await fill(database, file, hashes);
        if (bytes !== pageSize * pageCount) throw new ReplicaError(name, `${bytes} bytes`, `${pageSize * pageCount} bytes`);
        if (!sameChecksum(hashes.checksum(), checksum)) throw new ReplicaError(name, `checksum ${checksumText(hashes.checksum())}`, `checksum ${checksumText(checksum)}`);
        file.leave();
        this.#copies.set(name, { file, hashes });
      } catch (error) {
        await file.remove();
        throw error;
      }
    });
  }

  /** Applies all parts of one flush, or nothing. Throws `ReplicaError`. */
  apply(flush: readonly (readonly DatabaseDelta[])[]): Promise<void> {
    return this.#exclusively(async () => {
      const byName = new Map<string, DatabaseDelta[]>();
      for (const delta of flush.flat()) {
        const deltas = byName.get(delta.name);
        if (deltas === undefined) byName.set(delta.name, [delta]);
        else deltas.push(delta);
      }
      const slice = new Slice();
      const proved: [string, Provision][] = [];
      for (const [name, deltas] of byName) proved.push([name, await this.#prove(name, deltas, slice)]);
      for (const [name, provision] of proved) await this.#write(name, provision, slice);
    });
  }

  checksums(): Map<string, DatabaseChecksum> {
    return new Map([...this.#copies].map(([name, { hashes }]) => [name, hashes.checksum()]));
  }

  /**
   * The hashes of all pages, for the `Source` that takes these files over, so that it need not read them. The replica
   * must not be used afterwards except to be closed. Throws `ReplicaError` when somebody else wrote into them.
   */
  handOver(): ReadonlyMap<string, PageHashes> {
    for (const [name, { file }] of this.#copies) if (!file.isAsLeft()) throw writtenByOthers(name);
    return new Map([...this.#copies].map(([name, { hashes }]) => [name, hashes]));
  }

  /** Makes everything applied so far durable on the local disk. */
  async sync(): Promise<void> {
    for (const { file } of this.#copies.values()) await file.sync();
  }

  /** Closes the files; they stay as they are, and are somebody else's from now on. */
  async close(): Promise<void> {
    if (this.#busy) throw new Error("the caller must let a load or apply end before it closes");
    this.#isClosed = true;
    for (const { file } of this.#copies.values()) await file.close();
    this.#copies.clear();
  }

  /** Computes what the flush makes of one database; nothing is changed yet. */
  async #prove(name: string, deltas: readonly DatabaseDelta[], slice: Slice): Promise<Provision> {
    const path = this.#pathOf(name);
    const copy = this.#copies.get(name);
    const table = copy?.hashes;
    if (copy !== undefined && !copy.file.isAsLeft()) throw writtenByOthers(name);
    const last = deltas.at(-1);
    if (last === undefined) throw new Error("no deltas");
    // A database that was removed and made again in one flush starts from nothing; only what follows the removal counts.
    const removedAt = deltas.findLastIndex((delta) => delta.pageCount === 0);
    const fresh = removedAt >= 0 || table === undefined;
    const pages = new Map<number, Uint8Array>();
    const hashes = new Map<number, Uint8Array>();
    for (const delta of deltas.slice(removedAt + 1)) {
      if (delta.pageSize !== last.pageSize || delta.pageCount !== last.pageCount) throw new ReplicaError(name, "parts of one flush that disagree", "one page size and page count");
      for (const { number, content } of delta.pages) {
        if (content.byteLength !== delta.pageSize || number < 1 || number > delta.pageCount) throw new ReplicaError(name, `page ${number} with ${content.byteLength} bytes`, `pages 1..${delta.pageCount} of ${delta.pageSize} bytes`);
        pages.set(number, content);
        hashes.set(number, hashPage(number, content));
        if (pages.size % 64 === 0) await slice.breathe();
      }
    }
    if (!fresh && table.pageSize !== last.pageSize) throw new ReplicaError(name, `pages of ${last.pageSize} bytes`, `pages of ${table.pageSize} bytes`);
    const base = fresh ? new PageHashes(last.pageSize) : table;
    const sum = base.checksumWith(last.pageCount, hashes);
    if (!sameChecksum(sum, last.checksum)) throw new ReplicaError(name, `checksum ${checksumText(sum)} after the flush`, `checksum ${checksumText(last.checksum)}`);
    return { path, fresh, base, pageCount: last.pageCount, pages, hashes };
  }

  async #write(name: string, { path, fresh, base, pageCount, pages, hashes }: Provision, slice: Slice): Promise<void> {
    if (fresh) await this.#remove(name);
    if (pageCount === 0) return;
    let copy = this.#copies.get(name);
    if (copy === undefined) {
      copy = { file: await ReplicaFile.create(path), hashes: base };
      this.#copies.set(name, copy);
    }
    copy.file.resize(pageCount * base.pageSize);
    let written = 0;
    for (const [page, content] of pages) {
      copy.file.write((page - 1) * base.pageSize, content);
      if (++written % 64 === 0) await slice.breathe();
    }
    copy.file.leave();
    base.change(pageCount, hashes);
  }

  async #remove(name: string): Promise<void> {
    const copy = this.#copies.get(name);
    this.#copies.delete(name);
    if (copy !== undefined) await copy.file.remove();
  }

  #pathOf(name: string): FilePath {
    if (!isDatabaseName(name)) throw new ReplicaError(name, "a name that leaves the data folder", "a relative path");
    return pathOf(this.#root, name);
  }

  async #exclusively(work: () => Promise<void>): Promise<void> {
    if (this.#isClosed) throw new Error("the files of a replica that is closed are somebody else's");
    if (this.#busy) throw new Error("the caller must serialise load and apply");
    this.#busy = true;
    try {
      await work();
    } finally {
      this.#busy = false;
    }
  }
}

const writtenByOthers = (name: string): ReplicaError => new ReplicaError(name, "a file that something else than this host wrote into", "a copy that only the journal changes; nothing may write into the databases of a secondary");

/** What a flush makes of one database. */
interface Provision {
  readonly path: FilePath;
  /** Starts from an empty file. */
  readonly fresh: boolean;
  /** Hashes before the flush, to be changed when it is written. */
  readonly base: PageHashes;
  readonly pageCount: number;
  readonly pages: ReadonlyMap<number, Uint8Array>;
  readonly hashes: ReadonlyMap<number, Uint8Array>;
}

/** Writes chunks and hashes the pages in them, whatever their boundaries; how many bytes there were. */
async function fill({ name, pageSize, pageCount, chunks }: LoadedDatabase, file: ReplicaFile, hashes: PageHashes): Promise<number> {
  const slice = new Slice();
  let offset = 0;
  let rest = new Uint8Array(0);
  for await (const chunk of chunks) {
    if (offset + chunk.byteLength > pageSize * pageCount) throw new ReplicaError(name, "more bytes than that", `${pageSize * pageCount} bytes`);
    file.write(offset, chunk);
    const bytes = rest.byteLength === 0 ? chunk : Buffer.concat([rest, chunk]);
    const firstPage = (offset - rest.byteLength) / pageSize + 1;
    const whole = Math.floor(bytes.byteLength / pageSize);
    for (let i = 0; i < whole; i++) {
      const page = firstPage + i;
      hashes.set(page, hashPage(page, bytes.subarray(i * pageSize, (i + 1) * pageSize)));
      if (i % 64 === 63) await slice.breathe();
    }
    rest = bytes.slice(whole * pageSize);
    offset += chunk.byteLength;
  }
  return offset;
}


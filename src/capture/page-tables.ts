/**
 * The effect of checkpoints and flushes on databases, computed from the hashes of their pages alone.
 *
 * This is the one proof of a flush: a secondary, a point-in-time restore and `stead vault verify` all use it, so
 * whether a record can be applied does not depend on the caller. The hashes of the flush's pages, put into the table of
 * the existing pages, must give the primary's checksum. Nothing is written here; callers write files after the proof.
 */
import { isDatabaseName } from "../core/database-name.ts";
import type { DatabaseChecksum, DatabaseDelta, Page } from "../core/delta.ts";
import { checksumText, hashPage, PageHashes, sameChecksum } from "./page-hashes.ts";
import { type HashedPiece, PageHasher, type PagePiece } from "./page-hasher.ts";
import { ReplicaError } from "./replica-error.ts";
import { EventLoopBudget } from "../runtime/event-loop-budget.ts";

/** A database of a checkpoint, in pieces of any size; their memory is not used by their source any more. */
export interface LoadedDatabase {
  readonly name: string;
  /** Bytes. */
  readonly pageSize: number;
  readonly pageCount: number;
  readonly checksum: DatabaseChecksum;
  readonly chunks: AsyncIterable<Uint8Array>;
  /** True if these bytes were read at this offset of a local file of the database, and not from the vault. */
  readonly isLocal?: (offset: number, bytes: number) => boolean;
}

/** The effect of a flush on one database. */
export interface ProvedChange {
  readonly name: string;
  /** Starts from nothing, whatever exists under this name. */
  readonly fresh: boolean;
  readonly pageSize: number;
  /** 0: the database is removed. */
  readonly pageCount: number;
  /** Their contents may be in a file: read them one at a time. */
  readonly pages: ReadonlyMap<number, Page>;
  readonly hashes: ReadonlyMap<number, Uint8Array>;
}

/** Pieces that are hashed ahead of the one that is written. */
const hashedAheadMax = 2;
/** Pages that are hashed or written between two looks at the time. */
export const pagesPerBreath = 64;

export class PageTables {
  readonly #tables: Map<string, PageHashes>;

  /** `tables`: of the databases that are there; they change with this. */
  constructor(tables: Iterable<readonly [name: string, hashes: PageHashes]> = []) {
    this.#tables = new Map(tables);
  }

  checksums(): Map<string, DatabaseChecksum> {
    return new Map([...this.#tables].map(([name, hashes]) => [name, hashes.checksum()]));
  }

  /** The tables themselves; a caller that takes them over may change them. */
  all(): ReadonlyMap<string, PageHashes> {
    return new Map(this.#tables);
  }

  /**
   * Takes a whole database, and passes its bytes to `write`. Throws `ReplicaError` if they do not match the checksum;
   * the database is then absent.
   */
  async load(
    database: LoadedDatabase,
    write: (offset: number, bytes: Uint8Array) => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    const { name, pageSize, pageCount, checksum } = database;
    assertName(name);
    this.#tables.delete(name);
    const hashes = new PageHashes(pageSize);
    hashes.resize(pageCount, () => true);
    const hasher = new PageHasher(pageSize * pageCount);
    const bytes = await fill(database, { hashes, hasher, write }).finally(() => hasher.close());
    if (bytes !== pageSize * pageCount) throw new ReplicaError(name, `${bytes} bytes`, `${pageSize * pageCount} bytes`);
    if (!sameChecksum(hashes.checksum(), checksum))
      throw new ReplicaError(name, `checksum ${checksumText(hashes.checksum())}`, `checksum ${checksumText(checksum)}`);
    this.#tables.set(name, hashes);
  }

  /** Returns the effect of the flush on each of its databases; changes nothing yet. Throws `ReplicaError`. */
  async prove(flush: readonly DatabaseDelta[]): Promise<ProvedChange[]> {
    const byName = new Map<string, DatabaseDelta[]>();
    for (const delta of flush) {
      const deltas = byName.get(delta.name);
      if (deltas === undefined) byName.set(delta.name, [delta]);
      else deltas.push(delta);
    }
    const budget = new EventLoopBudget();
    const proved: ProvedChange[] = [];
    for (const [name, deltas] of byName) proved.push(await this.#prove(name, deltas, budget));
    return proved;
  }

  /** Records that the change has been made. */
  accept({ name, fresh, pageSize, pageCount, hashes }: ProvedChange): void {
    if (pageCount === 0) {
      this.#tables.delete(name);
      return;
    }
    const known = fresh ? undefined : this.#tables.get(name);
    const table = known ?? new PageHashes(pageSize);
    table.change(pageCount, hashes);
    this.#tables.set(name, table);
  }

  async #prove(name: string, deltas: readonly DatabaseDelta[], budget: EventLoopBudget): Promise<ProvedChange> {
    assertName(name);
    const last = deltas.at(-1);
    if (last === undefined) throw new Error("no deltas");
    const { pageSize, pageCount } = last;
    const table = this.#tables.get(name);
    // A database that was removed and created again in one flush starts from nothing; only what follows the removal
    // counts.
    const removedAt = deltas.findLastIndex((delta) => delta.pageCount === 0);
    const fresh = removedAt >= 0 || table === undefined;
    const pages = new Map<number, Page>();
    const hashes = new Map<number, Uint8Array>();
    for (const delta of deltas.slice(removedAt + 1)) {
      if (delta.pageSize !== pageSize || delta.pageCount !== pageCount)
        throw new ReplicaError(name, "parts of one flush that disagree", "one page size and page count");
      for (const page of delta.pages) {
        const { number } = page;
        if (number < 1 || number > pageCount) throw new ReplicaError(name, `page ${number}`, `pages 1..${pageCount}`);
        pages.set(number, page);
        hashes.set(number, page.hash ?? hashOf(name, page, pageSize));
        if (pages.size % pagesPerBreath === 0) await budget.yieldIfDue();
      }
    }
    if (!fresh && table.pageSize !== pageSize)
      throw new ReplicaError(name, `pages of ${pageSize} bytes`, `pages of ${table.pageSize} bytes`);
    const sum = (fresh ? new PageHashes(pageSize) : table).checksumWith(pageCount, hashes);
    if (!sameChecksum(sum, last.checksum))
      throw new ReplicaError(
        name,
        `checksum ${checksumText(sum)} after the flush`,
        `checksum ${checksumText(last.checksum)}`,
      );
    return { name, fresh, pageSize, pageCount, pages, hashes };
  }
}

function hashOf(name: string, { number, content }: Page, pageSize: number): Uint8Array {
  if (content.byteLength !== pageSize)
    throw new ReplicaError(name, `page ${number} with ${content.byteLength} bytes`, `pages of ${pageSize} bytes`);
  return hashPage(number, content);
}

interface Filling {
  readonly hashes: PageHashes;
  readonly hasher: PageHasher;
  readonly write: (offset: number, bytes: Uint8Array) => Promise<void>;
}

/** Throws `ReplicaError` for a name that leads out of the data folder. */
export function assertName(name: string): void {
  if (!isDatabaseName(name)) throw new ReplicaError(name, "a name that leaves the data folder", "a relative path");
}

/**
 * Passes chunks on and hashes the pages in them, whatever their boundaries; returns the number of bytes. Some are
 * hashed ahead while the one before them is written.
 */
async function fill({ name, pageSize, pageCount, chunks }: LoadedDatabase, into: Filling): Promise<number> {
  const budget = new EventLoopBudget();
  const pieces = new PieceLine(into);
  let offset = 0;
  let rest = new Uint8Array(0);
  try {
    for await (const chunk of chunks) {
      if (offset + rest.byteLength + chunk.byteLength > pageSize * pageCount)
        throw new ReplicaError(name, "more bytes than that", `${pageSize * pageCount} bytes`);
      const bytes = rest.byteLength === 0 ? chunk : Buffer.concat([rest, chunk]);
      const wholeBytes = bytes.byteLength - (bytes.byteLength % pageSize);
      rest = new Uint8Array(bytes.subarray(wholeBytes));
      if (wholeBytes === 0) continue;
      await pieces.add({ bytes: bytes.subarray(0, wholeBytes), pageSize, first: offset / pageSize + 1 });
      offset += wholeBytes;
      await budget.yieldIfDue();
    }
    await pieces.flush();
  } finally {
    // No write may be in progress when the caller closes the file.
    await pieces.settled();
  }
  return offset + rest.byteLength;
}

/** Pieces of a database on their way: hashed, then written, each in its turn. */
class PieceLine {
  readonly #into: Filling;
  readonly #hashing: { readonly piece: PagePiece; readonly hashed: Promise<HashedPiece> }[] = [];
  #writing: Promise<void> = Promise.resolve();

  constructor(into: Filling) {
    this.#into = into;
  }

  async add(piece: PagePiece): Promise<void> {
    const hashed = this.#into.hasher.hash(piece);
    // It is awaited in its turn: until then its failure is not unhandled.
    hashed.catch(() => undefined);
    this.#hashing.push({ piece, hashed });
    if (this.#hashing.length > hashedAheadMax) await this.#advance();
  }

  async flush(): Promise<void> {
    while (this.#hashing.length > 0) await this.#advance();
    await this.#writing;
  }

  /** Nothing is in progress any more, whatever became of it. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.#writing, ...this.#hashing.map(({ hashed }) => hashed)]);
  }

  async #advance(): Promise<void> {
    const next = this.#hashing.shift();
    if (next === undefined) return;
    const { hashes, write } = this.#into;
    const { piece } = next;
    const hashed = await next.hashed;
    hashes.setRun(piece.first, hashed.hashes);
    await this.#writing;
    this.#writing = write((piece.first - 1) * piece.pageSize, hashed.bytes);
    this.#writing.catch(() => undefined);
  }
}

/**
 * The pages that make a later state of the databases an earlier one again, as a batch for the journal.
 *
 * Both states are known by the hashes of their pages, so the difference is exact: pages of the earlier state that the
 * later one has not, or has otherwise. Contents are read from the files of the earlier state when their part is made,
 * and proven by their hashes then.
 */
import { closeSync, openSync, readSync } from "node:fs";
import { pathOf } from "../../capture/data-path.ts";
import { hashPage, PageHashes, sameChecksum } from "../../capture/page-hashes.ts";
import type { DatabaseDelta, Page } from "../../core/delta.ts";
import type { CaptureBatch, FilesOfBatch } from "../ports/ports.ts";

/** Page content in one record, and databases. */
const partBytesMax = 4 * 1024 * 1024;
const partDatabasesMax = 1024;

interface Change {
  readonly name: string;
  readonly pageSize: number;
  /** 0: the database is removed. */
  readonly pageCount: number;
  readonly checksum: Uint8Array;
  readonly pages: readonly number[];
}

/** Some of the pages of one change. */
interface Slice {
  readonly change: Change;
  readonly from: number;
  readonly to: number;
}

type Tables = ReadonlyMap<string, PageHashes>;

export interface RewindPagesOptions {
  /** The folder with the files of the earlier state. */
  readonly root: string;
  readonly earlier: Tables;
  readonly later: Tables;
  readonly files: FilesOfBatch | undefined;
}

export class RewindPages implements CaptureBatch {
  readonly bytes: number;
  readonly files: FilesOfBatch | undefined;
  readonly #root: string;
  readonly #earlier: Tables;
  readonly #parts: readonly (readonly Slice[])[];
  readonly #open = new Map<string, number>();

  constructor({ root, earlier, later, files }: RewindPagesOptions) {
    this.#root = root;
    this.#earlier = earlier;
    this.files = files;
    const changes = changesOf(earlier, later);
    this.bytes = changes.reduce((sum, { pages, pageSize }) => sum + pages.length * pageSize, 0);
    this.#parts = partsOf(changes);
  }

  get partCount(): number {
    return this.#parts.length;
  }

  *parts(): Generator<readonly DatabaseDelta[]> {
    for (const slices of this.#parts) yield slices.map((slice) => this.#read(slice));
  }

  done(): void {
    this.abort();
  }

  abort(): void {
    for (const fd of this.#open.values()) closeSync(fd);
    this.#open.clear();
  }

  #read({ change, from, to }: Slice): DatabaseDelta {
    const { name, pageSize, pageCount, checksum } = change;
    const numbers = change.pages.slice(from, to);
    const content = Buffer.alloc(numbers.length * pageSize);
    const pages = numbers.map((number, index): Page => {
      const page = content.subarray(index * pageSize, (index + 1) * pageSize);
      readSync(this.#fdOf(name), page, 0, pageSize, (number - 1) * pageSize);
      const hash = hashPage(number, page);
      if (this.#earlier.get(name)?.isSame(number, hash) !== true)
        throw new Error(`page ${number} of ${name} is not as it was restored`);
      return { number, content: page, hash };
    });
    return { name, pageSize, pageCount, checksum, pages };
  }

  #fdOf(name: string): number {
    const known = this.#open.get(name);
    if (known !== undefined) return known;
    this.abort(); // They come one after the other.
    const fd = openSync(pathOf(this.#root, name), "r");
    this.#open.set(name, fd);
    return fd;
  }
}

function changesOf(earlier: Tables, later: Tables): Change[] {
  const changes: Change[] = [];
  for (const [name, { pageSize }] of later) {
    const pageCount = earlier.get(name)?.pageCount ?? 0;
    // Of another page size: removed, and written whole in the same flush.
    if (pageCount === 0 || earlier.get(name)?.pageSize !== pageSize) changes.push(removalOf(name, pageSize));
  }
  for (const [name, table] of earlier) {
    const before = later.get(name);
    const like = before?.pageSize === table.pageSize ? before : undefined;
    const { pageSize, pageCount } = table;
    const checksum = table.checksum();
    const isSame = like !== undefined && like.pageCount === pageCount && sameChecksum(like.checksum(), checksum);
    if (pageCount === 0 || isSame) continue;
    const pages = differing(table, like);
    assertExact(name, table, like, pages);
    changes.push({ name, pageSize, pageCount, checksum, pages });
  }
  return changes;
}

const removalOf = (name: string, pageSize: number): Change => ({
  ...{ name, pageSize, pageCount: 0, pages: [] },
  checksum: new Uint8Array(16),
});

/** A flush that no host could apply would stop all of them. */
function assertExact(name: string, table: PageHashes, later: PageHashes | undefined, pages: readonly number[]): void {
  const hashes = new Map(pages.map((page) => [page, table.hashOf(page)]));
  const sum = (later ?? new PageHashes(table.pageSize)).checksumWith(table.pageCount, hashes);
  if (!sameChecksum(sum, table.checksum()))
    throw new Error(`${name} of that state cannot be made of the one of now: this is a defect of the host`);
}

function differing(table: PageHashes, later: PageHashes | undefined): number[] {
  const pages: number[] = [];
  for (let page = 1; page <= table.pageCount; page += 1)
    if (later?.isSame(page, table.hashOf(page)) !== true) pages.push(page);
  return pages;
}

/** At least one, also without a change. */
function partsOf(changes: readonly Change[]): Slice[][] {
  const parts: Slice[][] = [[]];
  let room = partBytesMax;
  for (const change of changes) {
    for (let from = 0; from === 0 || from < change.pages.length; ) {
      const part = parts.at(-1);
      const fitting = Math.floor(room / change.pageSize);
      if (part === undefined || part.length >= partDatabasesMax || (fitting === 0 && change.pages.length > 0)) {
        parts.push([]);
        room = partBytesMax;
        continue;
      }
      const to = Math.min(change.pages.length, from + fitting);
      part.push({ change, from, to });
      room -= (to - from) * change.pageSize;
      if (to === change.pages.length) break;
      from = to;
    }
  }
  return parts;
}

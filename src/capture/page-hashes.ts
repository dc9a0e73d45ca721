/**
 * The whole-database checksum, kept incrementally: XOR over all pages of the first 16 bytes of SHA-256(number ‖
 * content).
 *
 * One table of 16 bytes per page, so that changing a page costs one hash, whatever the size of the database. Source and
 * replica keep the same table by the same rules: a new page without content is a page of zeros, pages beyond the end
 * have no entry, and the lock page (which SQLite never uses, at 1 GiB) counts as a page of zeros.
 */
import { sha256 } from "../runtime/sha256.ts";

export const pageHashBytes = 16;
/** Spare entries when a table grows; there may be thousands of tables. */
const growPages = 8;

/** The page at byte 2^30, which holds SQLite's locks and never any content. */
export const lockPage = (pageSize: number): number => 0x4000_0000 / pageSize + 1;

/** One buffer for all: hashing is synchronous, and hashing one piece is twice as fast as hashing two. */
const scratch = Buffer.alloc(4 + 65_536);

/** The first 16 bytes of SHA-256(number as u32 LE ‖ content). `content`: at most 65536 bytes. */
export function hashPage(page: number, content: Uint8Array): Uint8Array {
  scratch.writeUInt32LE(page, 0);
  scratch.set(content, 4);
  const whole = sha256(scratch.subarray(0, 4 + content.byteLength));
  // A copy by hand: a view of a small array first makes its memory shareable, which costs more than the hash of a small
  // page.
  const first = new Uint8Array(pageHashBytes);
  for (let i = 0; i < pageHashBytes; i++) first[i] = whole[i] as number;
  return first;
}

/** Returns the checksum of whole pages alone, the first of which has the number `firstPage`. */
export function checksumOfPages(pageSize: number, firstPage: number, bytes: Uint8Array): Uint8Array {
  const sum = new Uint8Array(pageHashBytes);
  for (let offset = 0; offset + pageSize <= bytes.byteLength; offset += pageSize) {
    const hash = hashPage(firstPage + offset / pageSize, bytes.subarray(offset, offset + pageSize));
    for (let i = 0; i < pageHashBytes; i++) sum[i] = (sum[i] as number) ^ (hash[i] as number);
  }
  return sum;
}

export class PageHashes {
  readonly pageSize: number;
  #table = Buffer.alloc(0);
  #pageCount = 0;
  readonly #sum = new Uint8Array(pageHashBytes);
  #zeros: Uint8Array | undefined;

  constructor(pageSize: number) {
    this.pageSize = pageSize;
  }

  get pageCount(): number {
    return this.#pageCount;
  }

  /** A copy of the checksum as it is now. */
  checksum(): Uint8Array {
    return this.#sum.slice();
  }

  /**
   * Cuts off or adds pages; added ones are zeros until `set`. Pages for which `hasContent` says true are set by the
   * caller.
   */
  resize(pageCount: number, hasContent: (page: number) => boolean = () => false): void {
    for (let page = pageCount + 1; page <= this.#pageCount; page++) this.#put(page, undefined);
    const before = this.#pageCount;
    this.#reserve(pageCount);
    this.#pageCount = pageCount;
    for (let page = before + 1; page <= pageCount; page++) {
      if (!hasContent(page)) this.#put(page, hashPage(page, this.#zeroPage()));
    }
  }

  /** `resize` and `set` in one. */
  change(pageCount: number, hashes: ReadonlyMap<number, Uint8Array>): void {
    this.resize(pageCount, (page) => hashes.has(page));
    for (const [page, hash] of hashes) this.set(page, hash);
  }

  /** Returns the checksum after `change`, without changing anything. */
  checksumWith(pageCount: number, hashes: ReadonlyMap<number, Uint8Array>): Uint8Array {
    const sum = this.#sum.slice();
    const toggle = (bytes: Uint8Array, at: number): void => {
      for (let i = 0; i < pageHashBytes; i++) sum[i] = (sum[i] as number) ^ (bytes[at + i] as number);
    };
    for (let page = pageCount + 1; page <= this.#pageCount; page++) toggle(this.#table, (page - 1) * pageHashBytes);
    for (let page = this.#pageCount + 1; page <= pageCount; page++) {
      if (!hashes.has(page)) toggle(hashPage(page, this.#zeroPage()), 0);
    }
    for (const [page, hash] of hashes) {
      if (page < 1 || page > pageCount) throw new RangeError(`page ${page} of ${pageCount}`);
      if (page <= this.#pageCount) toggle(this.#table, (page - 1) * pageHashBytes);
      toggle(hash, 0);
    }
    return sum;
  }

  /** True when a page within the current size has this hash. */
  isSame(page: number, hash: Uint8Array): boolean {
    const at = (page - 1) * pageHashBytes;
    return (
      page >= 1 && page <= this.#pageCount && Buffer.compare(this.#table.subarray(at, at + pageHashBytes), hash) === 0
    );
  }

  /**
   * Returns the first page whose hash is another one, of those from `first` on that have these hashes; undefined: there
   * is none. Pages beyond the current size have no hash.
   */
  firstOther(first: number, hashes: Uint8Array): number | undefined {
    const from = (first - 1) * pageHashBytes;
    const to = Math.min(from + hashes.byteLength, this.#pageCount * pageHashBytes);
    if (this.#table.subarray(from, to).equals(hashes)) return undefined;
    for (let at = 0; at < hashes.byteLength; at += pageHashBytes) {
      const page = first + at / pageHashBytes;
      if (!this.isSame(page, hashes.subarray(at, at + pageHashBytes))) return page;
    }
    return undefined;
  }

  /** A view of the hash of a page within the current size; it changes with the table. */
  hashOf(page: number): Uint8Array {
    if (page < 1 || page > this.#pageCount) throw new RangeError(`page ${page} of ${this.#pageCount}`);
    return this.#table.subarray((page - 1) * pageHashBytes, page * pageHashBytes);
  }

  /** A copy of the table, for a later comparison of pages. */
  copy(): PageHashes {
    const copy = new PageHashes(this.pageSize);
    copy.#reserve(this.#pageCount);
    this.#table.copy(copy.#table, 0, 0, this.#pageCount * pageHashBytes);
    copy.#pageCount = this.#pageCount;
    copy.#sum.set(this.#sum);
    return copy;
  }

  /** The hashes of pages within the current size, `pageHashBytes` each, from `first` on. */
  setRun(first: number, hashes: Uint8Array): void {
    for (let at = 0; at < hashes.byteLength; at += pageHashBytes)
      this.set(first + at / pageHashBytes, hashes.subarray(at, at + pageHashBytes));
  }

  /** The content of a page within the current size. */
  set(page: number, hash: Uint8Array): void {
    if (page < 1 || page > this.#pageCount) throw new RangeError(`page ${page} of ${this.#pageCount}`);
    this.#put(page, hash);
  }

  #put(page: number, hash: Uint8Array | undefined): void {
    const at = (page - 1) * pageHashBytes;
    const table = this.#table;
    const sum = this.#sum;
    for (let i = 0; i < pageHashBytes; i++) {
      const next = hash === undefined ? 0 : (hash[i] as number);
      sum[i] = (sum[i] as number) ^ (table[at + i] as number) ^ next;
      table[at + i] = next;
    }
  }

  #zeroPage(): Uint8Array {
    return (this.#zeros ??= new Uint8Array(this.pageSize));
  }

  #reserve(pageCount: number): void {
    if (pageCount * pageHashBytes <= this.#table.byteLength) return;
    const next = Buffer.alloc(Math.max(pageCount + growPages, Math.ceil(pageCount * 1.25)) * pageHashBytes);
    this.#table.copy(next);
    this.#table = next;
  }
}

/** For messages. */
export const checksumText = (checksum: Uint8Array): string => Buffer.from(checksum).toString("hex");
export const sameChecksum = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

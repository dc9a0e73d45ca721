/**
 * A tiny transactional database on pages, as an application's SQLite file would be: under each key an append-only list,
 * and a register that is overwritten.
 *
 * Page 1 counts all entries and all puts, so each transaction changes two pages, and a database that was put together
 * from two moments shows it (`isTorn`). Page 2 has the registers and their own count of puts, the others have the
 * lists. Page contents are never changed in place: a snapshot is a copy of the list of pages, and a replica shares them
 * with the record that they came in.
 */
import { hashPage, PageHashes } from "../../src/capture/page-hashes.ts";
import type { DatabaseDelta, Page } from "../../src/core/delta.ts";

export const databaseName = "app.db";

export interface Reading {
  readonly count: number;
  /** Of all entries in their order. */
  readonly fingerprint: number;
}

export interface Register {
  readonly value: number;
  /** Of all registers, ever. */
  readonly puts: number;
}

/** Where page 1 and page 2 have what. */
const [entriesWord, putsWord] = [0, 1];
export const registerPage = 2;
const firstListPage = 3;

export const emptyReading: Reading = { count: 0, fingerprint: 0x811c9dc5 };

export const readingAfter = (before: Reading, id: number): Reading => ({
  count: before.count + 1,
  fingerprint: fingerprintAfter(before.fingerprint, id),
});

const fingerprintAfter = (before: number, id: number): number =>
  (Math.imul(before ^ id, 0x01000193) + 0x9e3779b9) >>> 0;

export class SimDatabase {
  readonly pageSize: number;
  readonly keys: number;
  readonly hashes: PageHashes;
  readonly #pages: Uint8Array[] = [];
  /** Pages changed since capture last took them. */
  #dirty = new Set<number>();
  #durable: readonly Uint8Array[] = [];
  /** An application committed something here: it may be ahead of the journal. */
  isWritten = false;
  /** A power failure left it unreadable. */
  isDamaged = false;

  constructor(pageSize: number, keys: number) {
    this.pageSize = pageSize;
    this.keys = keys;
    this.hashes = new PageHashes(pageSize);
  }

  get pageCount(): number {
    return this.#pages.length;
  }

  get pages(): readonly Uint8Array[] {
    return this.#pages;
  }

  get isDirty(): boolean {
    return this.#dirty.size > 0;
  }

  /** One committed transaction. */
  append(key: number, id: number): Reading {
    const changed = new Map<number, Uint8Array>();
    changed.set(1, this.#countUp(entriesWord));
    let slot = 0;
    while (this.#count(key, slot) === this.#capacity) slot += 1;
    const number = this.#pageOf(key, slot);
    const page = this.#copy(number);
    const count = readWord(page, 0);
    writeWord(page, 0, count + 1);
    writeWord(page, 1 + count, id);
    changed.set(number, page);
    this.isWritten = true;
    this.#commit(changed, Math.max(this.#pages.length, number));
    return this.read(key);
  }

  /** One committed transaction. */
  put(key: number, id: number): void {
    const page = this.#copy(registerPage);
    writeWord(page, key, id);
    writeWord(page, this.keys, readWord(page, this.keys) + 1);
    this.isWritten = true;
    this.#commit(
      new Map([
        [1, this.#countUp(putsWord)],
        [registerPage, page],
      ]),
      Math.max(this.#pages.length, registerPage),
    );
  }

  register(key: number): Register {
    return { value: this.#word(registerPage - 1, key), puts: this.puts };
  }

  get puts(): number {
    return this.#word(0, putsWord);
  }

  /** What the application does when it starts on an empty folder. */
  create(): void {
    this.isWritten = true;
    this.#commit(new Map([[1, new Uint8Array(this.pageSize)]]), 1);
  }

  ids(key: number): number[] {
    const ids: number[] = [];
    for (let slot = 0; this.#count(key, slot) > 0; slot++) {
      for (let i = 0; i < this.#count(key, slot); i++) ids.push(this.#word(this.#pageOf(key, slot) - 1, 1 + i));
    }
    return ids;
  }

  read(key: number): Reading {
    let { count, fingerprint } = emptyReading;
    for (let slot = 0; ; slot++) {
      const page = this.#pages[this.#pageOf(key, slot) - 1];
      const entries = page === undefined ? 0 : readWord(page, 0);
      if (page === undefined || entries === 0) return { count, fingerprint };
      for (let i = 1; i <= entries; i++) fingerprint = fingerprintAfter(fingerprint, readWord(page, i));
      count += entries;
    }
  }

  get isTorn(): boolean {
    let sum = 0;
    for (let key = 0; key < this.keys; key++)
      for (let slot = 0, count = 1; count > 0; slot++) sum += count = this.#count(key, slot);
    return sum !== this.#word(0, entriesWord) || this.puts !== this.#word(registerPage - 1, this.keys);
  }

  /** What capture takes: the changed pages, split into parts of at most so many pages. */
  takeDirty(pagesMax: number): DatabaseDelta[] {
    const numbers = [...this.#dirty].sort((a, b) => a - b);
    this.#dirty = new Set();
    const parts: DatabaseDelta[] = [];
    for (let at = 0; at < numbers.length; at += pagesMax) {
      const pages = numbers
        .slice(at, at + pagesMax)
        .map((number): Page => ({ number, content: this.#pages[number - 1] ?? new Uint8Array(this.pageSize) }));
      parts.push({
        name: databaseName,
        pageSize: this.pageSize,
        pageCount: this.#pages.length,
        checksum: this.hashes.checksum(),
        pages,
      });
    }
    return parts;
  }

  /** What a replica does with a captured flush. */
  apply(delta: DatabaseDelta): void {
    const changed = new Map<number, Uint8Array>();
    for (const { number, content } of delta.pages) changed.set(number, content);
    this.#commit(changed, delta.pageCount);
    this.#dirty.clear();
  }

  /** The whole content of a checkpoint. */
  fill(bytes: Uint8Array, pageCount: number): void {
    const changed = new Map<number, Uint8Array>();
    for (let number = 1; number <= pageCount; number++)
      changed.set(number, new Uint8Array(bytes.subarray((number - 1) * this.pageSize, number * this.pageSize)));
    this.#commit(changed, pageCount);
    this.#dirty.clear();
  }

  /** Everything committed so far reaches the disk (a WAL checkpoint of the application, with `synchronous=NORMAL`). */
  sync(): void {
    this.#durable = [...this.#pages];
  }

  /** Power fails: what was not synced is lost. */
  losePower(isDamaged: boolean): void {
    this.isDamaged = isDamaged;
    const pages = this.#durable;
    this.#commit(new Map(pages.map((content, index) => [index + 1, content])), pages.length);
    this.#dirty.clear();
  }

  #commit(changed: ReadonlyMap<number, Uint8Array>, pageCount: number): void {
    this.hashes.resize(pageCount, (page) => changed.has(page));
    const pages = this.#pages;
    pages.length = Math.min(pages.length, pageCount);
    while (pages.length < pageCount) pages.push(new Uint8Array(this.pageSize));
    for (const [number, content] of changed) {
      if (number > pageCount) continue;
      pages[number - 1] = content;
      this.hashes.set(number, hashPage(number, content));
      this.#dirty.add(number);
    }
  }

  get #capacity(): number {
    return this.pageSize / 4 - 1;
  }

  #pageOf(key: number, slot: number): number {
    return firstListPage + slot * this.keys + key;
  }

  #count(key: number, slot: number): number {
    return this.#word(this.#pageOf(key, slot) - 1, 0);
  }

  #word(index: number, word: number): number {
    const page = this.#pages[index];
    return page === undefined ? 0 : readWord(page, word);
  }

  #countUp(word: number): Uint8Array {
    const page = this.#copy(1);
    writeWord(page, word, readWord(page, word) + 1);
    return page;
  }

  #copy(number: number): Uint8Array {
    const page = this.#pages[number - 1];
    return page === undefined ? new Uint8Array(this.pageSize) : new Uint8Array(page);
  }
}

function readWord(page: Uint8Array, word: number): number {
  const at = word * 4;
  return (
    ((page[at] as number) |
      ((page[at + 1] as number) << 8) |
      ((page[at + 2] as number) << 16) |
      ((page[at + 3] as number) << 24)) >>>
    0
  );
}

function writeWord(page: Uint8Array, word: number, value: number): void {
  const at = word * 4;
  page[at] = value & 0xff;
  page[at + 1] = (value >>> 8) & 0xff;
  page[at + 2] = (value >>> 16) & 0xff;
  page[at + 3] = (value >>> 24) & 0xff;
}

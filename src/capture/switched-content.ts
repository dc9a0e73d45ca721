/**
 * What a switch to WAL leaves as it is: everything but the fields of the header that say which journal is used, and who
 * wrote last (fileformat2.html, section 1.3).
 *
 * SQLite switches under its locks: it reads page 1, syncs a journal, and writes page 1. A process that writes without
 * locks (`nolock=1`, `vfs=unix-none`) may commit in between, and then its page 1 is overwritten with the former one:
 * its new pages are beyond the end of the database, or in no table. The file is therefore compared with itself.
 *
 * - A commit writes at least one page besides page 1; otherwise it changed only what is in the header, which its writer
 *   writes again with its next commit. A page that is written after the second look has a later stamp than the switch
 *   (whole-file.ts).
 * - A writer with locks may commit between the first look and the switch. Its page 1 is not lost, so the change counter
 *   has moved by more than the one of the switch.
 */
import { createHash } from "node:crypto";
import { fstatSync, readSync } from "node:fs";

/** Read in one piece, twice: some 10 ms. Of a longer file only the size is compared. */
const comparedBytesMax = 4 << 20;
const headerBytes = 100;
const counterOffset = 24;
/** Versions of the journal, change counter, and the two fields of the last writer: offset and length. */
const switchedFields = [
  [18, 2],
  [counterOffset, 4],
  [92, 8],
] as const;

export class SwitchedContent {
  readonly #counter: number;
  readonly #digest: string;

  /** `fd`: of the database file. */
  constructor(fd: number) {
    const { size } = fstatSync(fd);
    const content = Buffer.alloc(size > comparedBytesMax ? headerBytes : size);
    const length = readSync(fd, content, 0, content.length, 0);
    this.#counter = length < headerBytes ? 0 : content.readUInt32BE(counterOffset);
    for (const [at, bytes] of switchedFields) content.fill(0, at, at + bytes);
    const hash = createHash("sha1").update(content.subarray(0, length)).digest("hex");
    this.#digest = size > comparedBytesMax ? String(size) : hash;
  }

  /** True if what was written since `before` is not the switch alone, and its page 1 is lost. */
  hasLostPage(before: SwitchedContent): boolean {
    return this.#digest !== before.#digest && this.#counter === (before.#counter + 1) % 2 ** 32;
  }
}

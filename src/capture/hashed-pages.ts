/**
 * Pages of an incomplete flush, kept as hashes only: for a reader that only proves flushes, and so needs little memory
 * for any size.
 */
import type { DatabaseDelta, Page } from "../core/delta.ts";
import { hashPage } from "./page-hashes.ts";

/** The same deltas without contents. */
export const hashedOnly = (deltas: readonly DatabaseDelta[]): readonly DatabaseDelta[] =>
  deltas.map((delta) => ({
    ...delta,
    checksum: delta.checksum.slice(),
    pages: delta.pages.map((page) => new HashedPage(page)),
  }));

class HashedPage implements Page {
  readonly number: number;
  readonly hash: Uint8Array;

  constructor({ number, content }: Page) {
    this.number = number;
    this.hash = hashPage(number, content);
  }

  get content(): never {
    throw new Error(`of page ${this.number} only the hash was kept`);
  }
}

/**
 * Pages of a large incomplete flush, in a file instead of memory: a secondary may apply a flush only once its last part
 * has arrived and is proved, and until then a transaction of any size is waiting. Its pages are hashed as they arrive,
 * so that the proof need not read them again.
 *
 * The file never has a name while in use, so it vanishes with this process, and no other process writes to it.
 */
import { closeSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { DatabaseDelta, Page } from "../core/delta.ts";
import { hashPage } from "./page-hashes.ts";
import { readFully } from "./wal-reader.ts";

export class FlushSpool {
  readonly #path: string;
  #fd: number | undefined;
  #size = 0;

  /** `folder`: with room for a transaction, and outside the search for databases. */
  constructor(folder: string) {
    this.#path = join(folder, "flush-spool");
  }

  /** Returns the same deltas with contents that are read on demand, until `forget`. Throws file system errors. */
  keep(deltas: readonly DatabaseDelta[]): readonly DatabaseDelta[] {
    const fd = (this.#fd ??= openNameless(this.#path));
    return deltas.map((delta) => {
      const pages = delta.pages.map((page, at): Page => new SpooledPage(page, fd, this.#size + at * delta.pageSize));
      this.#write(fd, Buffer.concat(delta.pages.map(({ content }) => content)));
      return { ...delta, checksum: delta.checksum.slice(), pages };
    });
  }

  /** Frees what was kept. */
  forget(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
    this.#size = 0;
  }

  #write(fd: number, bytes: Uint8Array): void {
    for (let done = 0; done < bytes.byteLength; )
      done += writeSync(fd, bytes, done, bytes.byteLength - done, this.#size + done);
    this.#size += bytes.byteLength;
  }
}

class SpooledPage implements Page {
  readonly number: number;
  readonly hash: Uint8Array;
  readonly #fd: number;
  readonly #offset: number;
  readonly #bytes: number;

  constructor({ number, content }: Page, fd: number, offset: number) {
    this.number = number;
    this.hash = hashPage(number, content);
    this.#fd = fd;
    this.#offset = offset;
    this.#bytes = content.byteLength;
  }

  get content(): Uint8Array {
    const content = new Uint8Array(this.#bytes);
    if (readFully(this.#fd, content, this.#offset) === this.#bytes) return content;
    throw new Error(`page ${this.number} of a flush is not in its file any more`);
  }
}

function openNameless(path: string): number {
  const fd = openSync(path, "w+", 0o600);
  rmSync(path);
  return fd;
}

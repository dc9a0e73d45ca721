/** Segment files beside a store in memory, for tests and the simulation: the contract, without failures. */
import {
  type Append,
  appendInOrder,
  type AppendOutcome,
  type AppendParts,
  type SegmentFiles,
} from "./segment-files.ts";
import type { Store } from "./store.ts";

/** The files of one vault, which all of its users share. Their names are in the store, their contents are here. */
export class MemorySegments {
  readonly files = new Map<string, Uint8Array>();
  readonly marks = new Map<string, number>();

  /** As one host has them. `store`: through which it looks names up, and creates those of files. */
  of(store: Store): SegmentFiles {
    return new HostSegments(this, store);
  }
}

class HostSegments implements SegmentFiles, AppendParts {
  readonly #all: MemorySegments;
  readonly #store: Store;

  constructor(all: MemorySegments, store: Store) {
    this.#all = all;
    this.#store = store;
  }

  async create(key: string, bytes: number): Promise<void> {
    await this.#store.putIfAbsent(key, new Uint8Array());
    if (!this.#all.files.has(key)) this.#all.files.set(key, new Uint8Array(bytes));
  }

  prepare(): void {
    // Nothing takes time here.
  }

  async read(key: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    if ((await this.#store.get(key)) === undefined) return undefined;
    return this.#all.files.get(key)?.slice(offset, offset + length);
  }

  append(append: Append): Promise<AppendOutcome> {
    return appendInOrder(this, append);
  }

  async write({ key, offset, parts }: Append): Promise<void> {
    const file = this.#all.files.get(key);
    if (file === undefined) throw Object.assign(new Error(`there is no ${key}`), { code: "ENOENT" });
    file.set(Buffer.concat(parts), offset);
  }

  async sync(): Promise<void> {}

  async exists(key: string): Promise<boolean> {
    return (await this.#store.get(key)) !== undefined;
  }

  async mark(key: string, position: number): Promise<void> {
    this.#all.marks.set(key, position);
  }

  async readMark(key: string): Promise<number | undefined> {
    return this.#all.marks.get(key);
  }

  async close(): Promise<void> {}
}

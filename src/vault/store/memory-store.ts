/**
 * A vault in memory, for tests and the simulation: the contract of any store, without failures.
 *
 * Contents are copied on the way in and out: a caller that changes its buffer changes nothing stored.
 */
import { objectBytesMax } from "../limits.ts";
import { MemorySegments } from "./memory-segments.ts";
import { assertSize } from "./object-size.ts";
import type { SegmentFiles } from "./segment-files.ts";
import type { PutOutcome, Store } from "./store.ts";
import { assertKey, assertPrefix, pageOf } from "./store-key.ts";

export class MemoryStore implements Store {
  readonly url: string;
  readonly files: SegmentFiles = new MemorySegments().of(this);
  readonly #objects = new Map<string, Uint8Array>();

  constructor(url = "memory:") {
    this.url = url;
  }

  async putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    assertKey(key);
    if (this.#objects.has(key)) return { kind: "exists" };
    this.#objects.set(key, new Uint8Array(bytes)); // Not slice(): on a Buffer that is a view.
    return { kind: "created" };
  }

  prepare(): void {
    // Nothing takes time here.
  }

  async stage(): Promise<undefined> {}

  async get(key: string, bytesMax = objectBytesMax): Promise<Uint8Array | undefined> {
    assertKey(key);
    const bytes = this.#objects.get(key);
    if (bytes === undefined) return undefined;
    assertSize(key, bytes.length, bytesMax);
    return new Uint8Array(bytes);
  }

  async list(prefix: string, options?: { readonly after?: string; readonly limit?: number }): Promise<string[]> {
    assertPrefix(prefix);
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(prefix));
    return pageOf(keys, options);
  }

  async delete(key: string): Promise<void> {
    assertKey(key);
    this.#objects.delete(key);
  }

  /** For tests: replaces stored bytes by damaged ones. */
  overwrite(key: string, bytes: Uint8Array): void {
    assertKey(key);
    this.#objects.set(key, new Uint8Array(bytes));
  }
}

/**
 * The base of stores around another store: it forwards every operation, so a subclass states only what it changes. It
 * overrides `perform` to surround all operations, or the one operation that it is about.
 */
import type { StagedBytes } from "../../core/delta.ts";
import type { PutOutcome, StagedPut, Store } from "./store.ts";

export type StoreOperation = "put" | "get" | "list" | "delete";

export class ForwardingStore implements Store {
  protected readonly inner: Store;

  constructor(inner: Store) {
    this.inner = inner;
  }

  get url(): string {
    return this.inner.url;
  }

  putIfAbsent(key: string, bytes: Uint8Array): Promise<PutOutcome> {
    return this.perform("put", key, () => this.inner.putIfAbsent(key, bytes));
  }

  /** Not surrounded: it is a hint that stores nothing and never fails. */
  prepare(key: string, bytes: Uint8Array, ahead?: StagedPut): void {
    this.inner.prepare(key, bytes, ahead);
  }

  /** Not surrounded: a put that finds nothing staged writes all of its bytes. */
  stage(bytes: Uint8Array): Promise<StagedBytes | undefined> {
    return this.inner.stage(bytes);
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.perform("get", key, () => this.inner.get(key));
  }

  list(prefix: string, options?: { readonly after?: string; readonly limit?: number }): Promise<string[]> {
    return this.perform("list", prefix, () => this.inner.list(prefix, options));
  }

  delete(key: string): Promise<void> {
    return this.perform("delete", key, () => this.inner.delete(key));
  }

  /** `key` is the prefix of a list. `run` may be called later. */
  protected perform<T>(_operation: StoreOperation, _key: string, run: () => Promise<T>): Promise<T> {
    return run();
  }
}

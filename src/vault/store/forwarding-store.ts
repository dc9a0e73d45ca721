/**
 * The base of stores around another store: it forwards every operation, so a subclass states only what it changes. It
 * overrides `perform` to surround all operations, or the one operation that it is about.
 */
import type { StagedBytes } from "../../core/delta.ts";
import type { ChunkNames } from "./chunk-names.ts";
import type { LogService, ServedRemoval } from "./log-service.ts";
import type { Append, AppendOutcome, SegmentFiles } from "./segment-files.ts";
import type { PutOutcome, StagedPut, Store } from "./store.ts";

export type StoreOperation = "put" | "get" | "list" | "delete";

export class ForwardingStore implements Store {
  protected readonly inner: Store;

  readonly #files: SegmentFiles | undefined;
  readonly #log: LogService | undefined;

  constructor(inner: Store) {
    this.inner = inner;
    const perform: Perform = (operation, key, run) => this.perform(operation, key, run);
    this.#files = inner.files === undefined ? undefined : new ForwardingFiles(inner.files, perform);
    this.#log = inner.log === undefined ? undefined : new ForwardingLog(inner.log, perform);
  }

  /** Their operations are surrounded like the store's: an append is a put. */
  get files(): SegmentFiles | undefined {
    return this.#files;
  }

  /** Its operations are surrounded like the store's. */
  get log(): LogService | undefined {
    return this.#log;
  }

  get chunkNames(): ChunkNames | undefined {
    return this.inner.chunkNames;
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

  get(key: string, bytesMax?: number): Promise<Uint8Array | undefined> {
    return this.perform("get", key, () => this.inner.get(key, bytesMax));
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

type Perform = <T>(operation: StoreOperation, key: string, run: () => Promise<T>) => Promise<T>;

class ForwardingFiles implements SegmentFiles {
  readonly #inner: SegmentFiles;
  readonly #perform: Perform;

  constructor(inner: SegmentFiles, perform: Perform) {
    this.#inner = inner;
    this.#perform = perform;
  }

  create(key: string, bytes: number): Promise<void> {
    return this.#perform("put", key, () => this.#inner.create(key, bytes));
  }

  prepare(bytes: number): void {
    this.#inner.prepare(bytes);
  }

  read(key: string, offset: number, length: number): Promise<Uint8Array | undefined> {
    return this.#perform("get", key, () => this.#inner.read(key, offset, length));
  }

  /** An append that was given up may still write: its file is not written again. */
  async append(append: Append): Promise<AppendOutcome> {
    let failed: AppendOutcome | undefined;
    try {
      return await this.#perform("put", append.key, async () => {
        const outcome = await this.#inner.append(append);
        if (outcome.kind !== "failed") return outcome;
        failed = outcome;
        throw outcome.error;
      });
    } catch (error) {
      return failed ?? { kind: "failed", isFileLost: true, error };
    }
  }

  mark(key: string, position: number): Promise<void> {
    return this.#perform("put", key, () => this.#inner.mark(key, position));
  }

  readMark(key: string): Promise<number | undefined> {
    return this.#perform("get", key, () => this.#inner.readMark(key));
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

class ForwardingLog implements LogService {
  readonly #inner: LogService;
  readonly #perform: Perform;

  constructor(inner: LogService, perform: Perform) {
    this.#inner = inner;
    this.#perform = perform;
  }

  put(position: number, bytes: Uint8Array): Promise<PutOutcome> {
    return this.#perform("put", `record ${position}`, () => this.#inner.put(position, bytes));
  }

  get(position: number): Promise<Uint8Array | undefined> {
    return this.#perform("get", `record ${position}`, () => this.#inner.get(position));
  }

  positions(after: number): Promise<number[]> {
    return this.#perform("list", "records", () => this.#inner.positions(after));
  }

  strangeNames(): Promise<string[]> {
    return this.#perform("list", "names of the log", () => this.#inner.strangeNames());
  }

  boundary(): Promise<number> {
    return this.#perform("list", "boundary", () => this.#inner.boundary());
  }

  /** Not surrounded: it is many operations, and takes as long as they do. */
  removeUpTo(position: number, options: ServedRemoval): ReturnType<LogService["removeUpTo"]> {
    return this.#inner.removeUpTo(position, options);
  }

  newestClaim(before?: number): ReturnType<LogService["newestClaim"]> {
    return this.#perform("get", "newest claim", () => this.#inner.newestClaim(before));
  }

  decideEnd(): Promise<boolean> {
    return this.#perform("get", "end of the log", () => this.#inner.decideEnd());
  }

  isEmpty(): Promise<boolean> {
    return this.#perform("list", "first record", () => this.#inner.isEmpty());
  }
}

/**
 * The log after a state: what it has, and what it made of that state, as hashes of pages and as the tree of files.
 *
 * It is what a rewind to the state undoes. Nothing is written; each flush is proven with the proof of a secondary, so
 * the hashes at the end are those of every host that has read so far.
 */
import { hashedOnly } from "../../capture/hashed-pages.ts";
import type { PageHashes } from "../../capture/page-hashes.ts";
import { PageTables } from "../../capture/page-tables.ts";
import { FileTree } from "../../core/files/file-tree.ts";
import type { Flush } from "../../core/flush.ts";
import { allRules } from "../../core/rules.ts";
import { UndoneRequests } from "../../core/undone-requests.ts";
import { sha256 } from "../../runtime/sha256.ts";
import { FlushAssembler } from "../../vault/log/flush-assembler.ts";
import { filesKind } from "../../vault/log/files-section.ts";
import type { Log } from "../../vault/log/log.ts";
import { LogReader, type LogStart } from "../../vault/log/log-reader.ts";
import { requestNamesOf } from "../../vault/log/request-names-section.ts";
import { requestOutcomesOf } from "../../vault/log/request-outcomes-section.ts";
import { rewoundOf } from "../../vault/log/rewound-section.ts";
import type { LogRecord, Position } from "../../vault/record.ts";
import { proveFiles } from "./files/file-replica.ts";
import { readFiles } from "./files/replica-with-files.ts";
import { applyFlush } from "./unappliable-flush.ts";

/** The state that the log is read after; undefined where only its extent matters. */
export interface StateBefore {
  readonly tables: ReadonlyMap<string, PageHashes>;
  /** Undefined: it has no files. */
  readonly tree: FileTree | undefined;
}

/** What comes after the state. */
export interface Extent {
  /** Flushes: each has the commits of one or more transactions. */
  readonly flushes: number;
  /** Of pages and files in them. */
  readonly bytes: number;
  /** Wall-clock times of the first and the last flush; undefined: there is none. */
  readonly firstMs: number | undefined;
  readonly lastMs: number | undefined;
  /** By name: pages that were written, each time that they were. */
  readonly databases: ReadonlyMap<string, number>;
  /** Changes of files, links and folders. */
  readonly fileChanges: number;
}

const atEndPauseMs = 5;

export class LogSince {
  readonly #reader: LogReader;
  readonly #flushes = new FlushAssembler({ keep: hashedOnly, forget: () => undefined });
  readonly #requests = new UndoneRequests();
  readonly #databases = new Map<string, number>();
  readonly #tables: PageTables | undefined;
  #tree: FileTree | undefined;
  #hasFiles = false;
  #count = 0;
  #bytes = 0;
  #fileChanges = 0;
  #openBytes = 0;
  #times: { readonly first: number; readonly last: number } | undefined;
  #wholeUpTo: Position;
  #wallTimeMs: number;

  constructor(log: Log, start: LogStart, { wallTimeMs, state }: { wallTimeMs: number; state?: StateBefore }) {
    this.#reader = new LogReader({ log, start, rules: allRules });
    this.#wholeUpTo = start.position;
    this.#wallTimeMs = wallTimeMs;
    if (state === undefined) return;
    this.#tables = new PageTables([...state.tables].map(([name, hashes]) => [name, hashes.copy()]));
    this.#tree = state.tree?.copy() ?? new FileTree(sha256);
    this.#hasFiles = state.tree !== undefined;
  }

  /** The last position at which there is a state. */
  get position(): Position {
    return this.#wholeUpTo;
  }

  /** Of the last record that was read. */
  get wallTimeMs(): number {
    return this.#wallTimeMs;
  }

  get extent(): Extent {
    return {
      flushes: this.#count,
      bytes: this.#bytes,
      firstMs: this.#times?.first,
      lastMs: this.#times?.last,
      databases: this.#databases,
      fileChanges: this.#fileChanges,
    };
  }

  get requests(): UndoneRequests["requests"] {
    return this.#requests.requests;
  }

  /** The state at the end; throws if there was none to begin with. */
  get state(): StateBefore {
    if (this.#tables === undefined) throw new Error("the log was read without a state");
    return { tables: this.#tables.all(), tree: this.#hasFiles ? this.#tree : undefined };
  }

  /**
   * Reads to the end of the log, and at least to this position, for which it waits. Throws UnappliableFlushError, the
   * vault's errors, and the signal's reason.
   */
  async read(
    sleep: (ms: number) => Promise<void>,
    { atLeast = 0, signal }: { readonly atLeast?: Position; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    for (;;) {
      signal?.throwIfAborted();
      const record = await this.#reader.next();
      if (record !== undefined) await this.#take(record);
      else if (this.#reader.position >= atLeast) return;
      // A record of this host itself that readers of its log do not see yet.
      else await sleep(atEndPauseMs);
    }
  }

  async #take(record: LogRecord): Promise<void> {
    const flush = this.#flushes.push(record);
    const { position, wallTimeMs } = record.header;
    this.#wallTimeMs = wallTimeMs;
    if (record.body.kind === "epoch") this.#openBytes = 0;
    this.#openBytes += contentBytes(record);
    if (flush !== undefined) await this.#takeFlush(flush);
    if (!this.#flushes.isOpen) this.#wholeUpTo = position;
  }

  async #takeFlush(flush: Flush): Promise<void> {
    const files = readFiles(flush);
    await applyFlush({ apply: (each) => this.#apply(each, files) }, flush, this.#wholeUpTo);
    this.#count += 1;
    this.#bytes += this.#openBytes;
    this.#openBytes = 0;
    this.#times = { first: this.#times?.first ?? flush.wallTimeMs, last: flush.wallTimeMs };
    this.#fileChanges += files?.changes.length ?? 0;
    for (const { name, pages } of flush.deltas)
      this.#databases.set(name, (this.#databases.get(name) ?? 0) + pages.length);
    const names = requestNamesOf(flush.sections);
    const answered = requestOutcomesOf(flush.sections).map(({ name }) => name);
    this.#requests.onFlush(names?.names ?? [], answered, names?.isComplete ?? true);
    const rewound = rewoundOf(flush.sections);
    if (rewound !== undefined) this.#requests.onRewound(rewound.requests);
  }

  async #apply({ deltas, from }: Flush, files: ReturnType<typeof readFiles>): Promise<void> {
    if (this.#tables === undefined) return;
    if (files !== undefined) {
      this.#hasFiles = true;
      if (this.#tree !== undefined) proveFiles(this.#tree, files, from);
    }
    for (const change of await this.#tables.prove(deltas)) this.#tables.accept(change);
  }
}

function contentBytes({ body, sections }: LogRecord): number {
  if (body.kind !== "commit") return 0;
  const pages = body.databases.reduce((sum, { pages, pageSize }) => sum + pages.length * pageSize, 0);
  return sections.reduce((sum, { kind, content }) => sum + (kind === filesKind ? content.byteLength : 0), pages);
}

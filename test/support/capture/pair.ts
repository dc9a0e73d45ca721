/**
 * Parts shared by the tests of capture: temporary folders, an application in another process, a source with its copy.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { createInterface } from "node:readline";
import { setImmediate as immediate } from "node:timers/promises";
import type { Batch } from "../../../src/capture/batch.ts";
import type { SourceLimits } from "../../../src/capture/limits.ts";
import { Replica } from "../../../src/capture/replica.ts";
import type { Snapshot } from "../../../src/capture/snapshot.ts";
import { Source } from "../../../src/capture/source.ts";
import type { SourceOptions } from "../../../src/capture/source-options.ts";
import type { DatabaseDelta } from "../../../src/core/delta.ts";
import { allRules, type Rules } from "../../../src/core/rules.ts";
import { type Metrics, noMetrics } from "../../../src/metrics/metrics.ts";
import { type Clock, systemClock } from "../../../src/runtime/clock.ts";

/** A folder that vanishes at the end of the scope. */
export function temporaryFolder(): { readonly path: string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), "stead-capture-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

type Row = Record<string, unknown>;

/** The application: SQL in another process, so that its locks are not ours. */
export class Application {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #waiting: { resolve(value: unknown): void; reject(error: Error): void }[] = [];
  readonly #exited: Promise<void>;

  constructor() {
    this.#child = spawn(process.execPath, [join(import.meta.dirname, "sql-worker.ts")], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      const { ok, error } = JSON.parse(line) as { ok?: unknown; error?: string };
      const waiter = this.#waiting.shift();
      if (error === undefined) waiter?.resolve(ok);
      else waiter?.reject(new Error(error));
    });
    this.#exited = new Promise((resolve) => {
      this.#child.on("exit", () => {
        for (const waiter of this.#waiting.splice(0)) waiter.reject(new Error("the application is gone"));
        resolve();
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  open(connection: string, path: string): Promise<unknown> {
    return this.#ask({ connection, path });
  }

  /** Statements separated by semicolons; the rows of the last one. */
  async run(connection: string, sql: string): Promise<Row[]> {
    return (await this.#ask({ connection, sql })) as Row[];
  }

  /** Size and hash of the database as SQLite reads it through this connection. */
  async image(connection: string): Promise<{ bytes: number; sha256: string }> {
    return (await this.#ask({ connection, image: true })) as { bytes: number; sha256: string };
  }

  close(connection: string): Promise<unknown> {
    return this.#ask({ connection, close: true });
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #ask(request: Record<string, unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
      this.#child.stdin.write(`${JSON.stringify(request)}\n`);
    });
  }
}

export interface PairOptions {
  readonly databases?: readonly string[];
  readonly except?: readonly string[];
  readonly excluded?: () => ReadonlySet<string>;
  readonly limits?: Partial<SourceLimits>;
  readonly rules?: Rules;
  readonly metrics?: Metrics;
  readonly clock?: Clock;
}

/** A source over one folder, and a replica in another that gets all batches. */
export class Pair {
  readonly root: string;
  readonly copy: string;
  readonly source: Source;
  readonly replica: Replica;
  readonly warnings: string[];

  private constructor(root: string, copy: string, source: Source, replica: Replica, warnings: string[]) {
    this.root = root;
    this.copy = copy;
    this.source = source;
    this.replica = replica;
    this.warnings = warnings;
  }

  /** Over `<folder>/app`, which must exist or be empty; the copy starts from a snapshot of what is there. */
  static async open(folder: string, options: PairOptions = {}): Promise<Pair> {
    const pair = await Pair.openWithout(folder, options);
    await pair.takeBase();
    return pair;
  }

  /** The same with an empty copy. */
  static async openWithout(folder: string, options: PairOptions = {}): Promise<Pair> {
    const root = join(folder, "app");
    const copy = join(folder, "copy");
    const warnings: string[] = [];
    const source = await Source.open(sourceOptions(root, { ...options, onWarning: (text) => warnings.push(text) }));
    const replica = await Replica.open({ root: copy });
    return new Pair(root, copy, source, replica, warnings);
  }

  /** Like the host, until `work` is over: collects whenever something is ahead, and ticks. */
  async serveUntil<T>(work: Promise<T>): Promise<T> {
    let isOver = false;
    const settled = work.finally(() => (isOver = true));
    while (!isOver) {
      if (this.source.isAhead()) await this.sync();
      await this.source.tick();
      await immediate();
    }
    return settled;
  }

  async takeBase(): Promise<void> {
    const { batch, snapshot } = await this.source.beginSnapshot();
    await this.applyBatch(batch);
    for (const { name, pageSize, pageCount, checksum, read } of snapshot.databases) {
      await this.replica.load({
        name,
        pageSize,
        pageCount,
        checksum,
        chunks: chunksOf(read, pageSize * pageCount, 2 ** 20),
      });
    }
    await snapshot.release();
  }

  /**
   * Gives the copy databases of which only the first pages are not zeros, without writing the rest; the replica proves
   * that.
   */
  async applySparse(snapshot: Snapshot, firstPages: number): Promise<void> {
    for (const { name, pageSize, pageCount, checksum, read } of snapshot.databases) {
      const content = await read(0, firstPages * pageSize);
      const pages = Array.from({ length: firstPages }, (_, i) => ({
        number: i + 1,
        content: content.subarray(i * pageSize, (i + 1) * pageSize),
      }));
      await this.replica.apply({ deltas: [{ name, pageSize, pageCount, checksum, pages }] });
    }
  }

  /** Collects once and applies it; how many pages there were. */
  async sync(): Promise<number> {
    const batch = await this.source.collect();
    await this.applyBatch(batch);
    return batch?.pageCount ?? 0;
  }

  /**
   * Collects until nothing is ahead: a file that no SQLite holds a lock on is only captured a moment after it was made.
   */
  async settle(): Promise<void> {
    do {
      await this.sync();
      await new Promise((resolve) => setTimeout(resolve, 1));
    } while (this.source.isAhead());
  }

  async applyBatch(batch: Batch | undefined): Promise<void> {
    if (batch === undefined) return;
    await this.replica.apply({ deltas: partsOf(batch).flat() });
    batch.done();
  }

  copyHash(name: string): string | undefined {
    return hashFile(join(this.copy, name));
  }

  async close(): Promise<{ ahead: boolean }> {
    const result = await this.source.close();
    await this.replica.close();
    return result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

const none: ReadonlySet<string> = new Set();
const noNames = (): ReadonlySet<string> => none;

export function sourceOptions(
  root: string,
  {
    databases = ["*.db"],
    except = [],
    excluded = noNames,
    limits = {},
    rules = allRules,
    metrics = noMetrics,
    clock = systemClock,
    onWarning = () => undefined,
  }: PairOptions & Partial<Pick<SourceOptions, "onWarning">> = {},
): SourceOptions {
  return { root, databases, except, excluded, limits, rules, metrics, clock, onWarning };
}

export const partsOf = (batch: Batch): (readonly DatabaseDelta[])[] => [...batch.parts()];

export async function* chunksOf(
  read: (offset: number, length: number) => Promise<Uint8Array>,
  size: number,
  chunkBytes: number,
): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < size; offset += chunkBytes) yield read(offset, Math.min(chunkBytes, size - offset));
}

export function hashFile(path: string): string | undefined {
  return existsSync(path) ? createHash("sha256").update(readFileSync(path)).digest("hex") : undefined;
}

/**
 * Puts the parts of a flush together: a transaction larger than a record spans several, and is applied only as a whole.
 *
 * Other records may stand between two parts; a claim may not: it means that the writer died in the middle, no client was told
 * that the flush is durable, and its parts are dropped.
 *
 * Who gives it a keeper needs no memory for a flush of any size: parts beyond the first few megabytes are kept there.
 */
import type { DatabaseDelta } from "../core/delta.ts";
import { CorruptRecordError } from "./errors.ts";
import { logKey } from "./keys.ts";
import { flushBytesInMemoryMax } from "./limits.ts";
import type { LogRecord } from "./record.ts";

/** Keeps pages somewhere else than in memory. */
export interface PageKeeper {
  /** The same deltas; their contents are there until `forget`. */
  keep(deltas: readonly DatabaseDelta[]): readonly DatabaseDelta[];
  forget(): void;
}

export class FlushAssembler {
  readonly #keeper: PageKeeper | undefined;
  #bytes = 0;
  #deltas: DatabaseDelta[] = [];
  #part = 0;
  #parts = 0;

  constructor(keeper?: PageKeeper) {
    this.#keeper = keeper;
  }

  /** True between the first and the last part: a position where no state exists. */
  get isOpen(): boolean {
    return this.#part !== this.#parts;
  }

  /**
   * Takes the next record of the log. Returns the deltas to apply, in order, when it completes a flush; with a keeper they are
   * there until the next record.
   * Throws CorruptRecordError for a part that does not follow.
   */
  push(record: LogRecord): readonly DatabaseDelta[] | undefined {
    const { body } = record;
    if (body.kind === "epoch") this.#reset(0, 0);
    if (body.kind !== "commit") return undefined;
    const expected = this.isOpen ? this.#part + 1 : 1;
    if (body.part !== expected || (expected > 1 && body.parts !== this.#parts)) {
      const { position } = record.header;
      throw new CorruptRecordError(position, logKey(position), `part ${body.part} of ${body.parts}`, `part ${expected}${expected > 1 ? ` of ${this.#parts}` : ""}`);
    }
    if (expected === 1) this.#reset(0, body.parts);
    this.#part = body.part;
    this.#deltas.push(...this.#kept(body.databases));
    if (this.isOpen) return undefined;
    const complete = this.#deltas;
    this.#deltas = [];
    this.#parts = this.#part = 0;
    return complete;
  }

  #kept(deltas: readonly DatabaseDelta[]): readonly DatabaseDelta[] {
    for (const { pages, pageSize } of deltas) this.#bytes += pages.length * pageSize;
    return this.#keeper === undefined || this.#bytes <= flushBytesInMemoryMax ? deltas : this.#keeper.keep(deltas);
  }

  #reset(part: number, parts: number): void {
    this.#keeper?.forget();
    this.#bytes = 0;
    this.#deltas = [];
    this.#part = part;
    this.#parts = parts;
  }
}

/**
 * Puts the parts of a flush together: a transaction larger than a record spans several, and is applied only as a whole.
 *
 * Other records may stand between two parts; a claim may not: it means that the writer died in the middle, no client
 * was told that the flush is durable, and its parts are dropped.
 *
 * Who gives it a keeper needs no memory for a flush of any size: pages of parts beyond the first few megabytes are kept
 * there. Sections of a flush of several parts are copied out of their records, which would otherwise stay in memory
 * with their pages.
 */
import type { DatabaseDelta } from "../../core/delta.ts";
import type { Flush, Section } from "../../core/flush.ts";
import { CorruptRecordError } from "../errors.ts";
import { logKey } from "./log-key.ts";
import { flushBytesInMemoryMax } from "../limits.ts";
import type { LogRecord, Position } from "../record.ts";

/** Keeps pages somewhere else than in memory. */
export interface PageKeeper {
  /** The same deltas; their contents are there until `forget`. */
  keep(deltas: readonly DatabaseDelta[]): readonly DatabaseDelta[];
  forget(): void;
}

export class FlushAssembler {
  readonly #keeper: PageKeeper | undefined;
  #bytes = 0;
  #from: Position = 0;
  #deltas: DatabaseDelta[] = [];
  #sections: Section[] = [];
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
   * Takes the next record of the log. Returns the flush when the record completes one; with a keeper its pages are
   * there until the next record. Throws CorruptRecordError for a part that does not follow.
   */
  push(record: LogRecord): Flush | undefined {
    const { body, header, sections } = record;
    if (body.kind === "epoch") this.#reset(0, 0);
    if (body.kind !== "commit") return undefined;
    const expected = this.isOpen ? this.#part + 1 : 1;
    if (body.part !== expected || (expected > 1 && body.parts !== this.#parts)) {
      const { position } = header;
      throw new CorruptRecordError(
        position,
        logKey(position),
        `part ${body.part} of ${body.parts}`,
        `part ${expected}${expected > 1 ? ` of ${this.#parts}` : ""}`,
      );
    }
    if (expected === 1) {
      this.#reset(0, body.parts);
      this.#from = header.position;
    }
    this.#part = body.part;
    this.#deltas.push(...this.#kept(body.databases));
    this.#sections.push(...(body.parts === 1 ? sections : sections.map(copied)));
    if (this.isOpen) return undefined;
    const { epoch, host, wallTimeMs, position: to } = header;
    const complete: Flush = {
      from: this.#from,
      to,
      epoch,
      host,
      wallTimeMs,
      deltas: this.#deltas,
      sections: this.#sections,
    };
    this.#deltas = [];
    this.#sections = [];
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
    this.#sections = [];
    this.#part = part;
    this.#parts = parts;
  }
}

const copied = (section: Section): Section => ({ ...section, content: section.content.slice() });

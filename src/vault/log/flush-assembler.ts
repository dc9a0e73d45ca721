/**
 * Assembles the parts of a flush: a transaction larger than a record spans several, and is applied only as a whole.
 *
 * Other records may come between two parts, but not a claim: a claim means that the writer died in the middle. No
 * client was told that the flush is durable, and its parts are dropped.
 *
 * With a keeper, a flush of any size needs little memory: the keeper stores the pages of parts beyond the first few
 * megabytes. Sections of a flush of several parts are copied out of their records, which would otherwise stay in memory
 * with their pages.
 */
import type { DatabaseDelta } from "../../core/delta.ts";
import type { Flush, Section } from "../../core/flush.ts";
import { CorruptRecordError } from "../errors.ts";
import { logKey } from "./log-key.ts";
import { flushBytesInMemoryMax } from "../limits.ts";
import type { LogRecord, Position } from "../record.ts";

/** Stores pages somewhere other than in memory. */
export interface PageKeeper {
  /** Returns the same deltas; their contents are available until `forget`. */
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

  /** True between the first and the last part: no state exists at such a position. */
  get isOpen(): boolean {
    return this.#part !== this.#parts;
  }

  /**
   * Takes the next record of the log. Returns the flush if the record completes one; with a keeper its pages are
   * available until the next record. Throws CorruptRecordError for a part that does not follow.
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

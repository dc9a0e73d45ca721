/**
 * Puts the parts of a flush together: a transaction larger than a record spans several, and is applied only as a whole.
 *
 * Other records may stand between two parts; a claim may not: it means that the writer died in the middle, nobody was told
 * that the flush is durable, and its parts are dropped.
 */
import type { DatabaseDelta } from "../core/delta.ts";
import { CorruptRecordError } from "./errors.ts";
import { logKey } from "./keys.ts";
import type { LogRecord } from "./record.ts";

export class FlushAssembler {
  #deltas: DatabaseDelta[] = [];
  #part = 0;
  #parts = 0;

  /** True between the first and the last part: a position where no state exists. */
  get isOpen(): boolean {
    return this.#part !== this.#parts;
  }

  /**
   * Takes the next record of the log. Returns the deltas to apply, in order, when it completes a flush.
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
    this.#deltas.push(...body.databases);
    if (this.isOpen) return undefined;
    const complete = this.#deltas;
    this.#reset(0, 0);
    return complete;
  }

  #reset(part: number, parts: number): void {
    this.#deltas = [];
    this.#part = part;
    this.#parts = parts;
  }
}

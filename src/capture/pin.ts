/**
 * The pin: a read transaction that keeps committed frames from disappearing before they are captured.
 *
 * Claim: while a read transaction that began at state P is held, every frame committed after P stays readable in the
 * WAL, and so do the pages of state P (those in frames not yet backfilled in the WAL, all others in the database file).
 * A reader of SQLite (walTryBeginRead in wal.c) holds a shared lock on one of five slots, checked against an unchanged
 * index header after it was taken:
 *  - Slot 1..4: the WAL starts over (walRestartHdr) only under an exclusive lock on slots 1..4, so it does not. A
 *    checkpoint copies at most up to the slot's read mark, which is at most P.
 *  - Slot 0, only when everything up to P is in the database file (nBackfill = mxFrame): a checkpoint copies only under
 *    an exclusive lock on slot 0, so nBackfill stays what it is. The WAL starts over only while nBackfill = mxFrame,
 *    that is while no frame follows P; as soon as one does (in whichever generation: empty ones may follow each other
 *    when the application repeats RESTART or TRUNCATE), nBackfill < mxFrame and nothing can be overwritten.
 * Index recovery after a writer died sets nBackfill back to 0 and finds the same frames again, or the previous
 * generation if not one frame of the next was written: frames captured twice, never frames lost.
 *
 * So the rule ("pin-order") is only: a pin at P may be let go when another one is held at Q ≥ P and everything up to Q
 * is captured. Order: begin(new), capture up to a header read after that, end(old). Which slot a pin took need not be
 * known for safety. It matters to others: RESTART and TRUNCATE of the application wait for slots 1..4, FULL for a read
 * mark behind or for slot 0. Therefore pins are moved soon after the log moves, once more when everything is
 * backfilled, at each look while a checkpoint keeps the writers out (seal.ts: one that was just finishing can push a
 * reader from slot 0 to another one), and at least every `pinAgeMsMax`.
 */
import type { Reader } from "./reader.ts";
import type { Rules } from "../core/rules.ts";
import { samePosition, type WalIndex, type WalIndexReader } from "./wal-index.ts";

interface Held {
  readonly reader: Reader;
  /** The index just before: the pin's state is this or later. Undefined: it was torn. */
  readonly before: WalIndex | undefined;
  readonly sinceMs: number;
}

export class Pin {
  readonly #readers: readonly [Reader, Reader];
  readonly #index: WalIndexReader;
  readonly #rules: Rules;
  #held: Held | undefined;
  #next: Held | undefined;

  constructor(readers: readonly [Reader, Reader], index: WalIndexReader, rules: Rules) {
    this.#readers = readers;
    this.#index = index;
    this.#rules = rules;
  }

  /**
   * Begins a second pin at the newest state, beside the held one. `index` is a recent reading, if there is one. Returns
   * false if busy; nothing changed then.
   */
  begin(nowMs: number, index?: WalIndex): boolean {
    if (this.#next !== undefined) throw new Error("a next pin is held already");
    const reader = this.#held?.reader === this.#readers[0] ? this.#readers[1] : this.#readers[0];
    if (!this.#rules.has("pin-order")) this.#held?.reader.release();
    const before = index ?? this.#look();
    if (!this.#rules.has("pin-order")) {
      // The mutant releases first and pins again only after the capture.
      this.#next = { reader, before, sinceMs: nowMs };
      return true;
    }
    if (!reader.begin()) return false;
    this.#next = { reader, before, sinceMs: nowMs };
    return true;
  }

  /** Everything up to the state of the next pin is captured: releases the old one. */
  advance(): void {
    if (this.#next === undefined) throw new Error("no next pin");
    if (!this.#rules.has("pin-order") && !this.#next.reader.begin()) throw new Error("the mutant could not pin");
    this.#held?.reader.release();
    this.#held = this.#next;
    this.#next = undefined;
  }

  /** The next pin may be ahead of the captured state: keeps the old one instead. */
  cancel(): void {
    this.#next?.reader.release();
    this.#next = undefined;
  }

  get hasNext(): boolean {
    return this.#next !== undefined;
  }

  /** True if only the connection that is always open holds it. */
  get isAtHome(): boolean {
    return this.#next === undefined && this.#held?.reader === this.#readers[0];
  }

  /** True if an application's checkpoint could be waiting for this pin, or if it is old. */
  isDue(index: WalIndex, nowMs: number, ageMsMax: number): boolean {
    const held = this.#held;
    if (held?.before === undefined || nowMs - held.sinceMs > ageMsMax) return true;
    if (!samePosition(held.before, index)) return true;
    return index.nBackfill === index.mxFrame && held.before.nBackfill !== held.before.mxFrame;
  }

  /** True if this pin lets the next writer start the WAL over. */
  letsRestart(index: WalIndex): boolean {
    const before = this.#held?.before;
    return before !== undefined && samePosition(before, index) && before.nBackfill === before.mxFrame;
  }

  release(): void {
    this.cancel();
    this.#held?.reader.release();
    this.#held = undefined;
  }

  #look(): WalIndex | undefined {
    const look = this.#index.look();
    return look.kind === "index" ? look.index : undefined;
  }
}

/**
 * Lets pieces of a response out, each batch only after the gate has agreed to it (design, section 4, "Gate").
 *
 * The rule: a piece leaves only after a call of the gate that began *after* the piece had arrived. So what arrives while
 * a call is pending waits for a call of its own; it is never covered by the pending one, which may have looked at the
 * write-ahead log before the application wrote what this piece acknowledges. Order is kept, and the end is gated like
 * a piece, because an end can say as much as a byte.
 *
 * The fast path, a gate that returns undefined, releases in the same turn.
 */
import type { Buffer } from "node:buffer";
import type { Piece } from "../runtime/tcp.ts";

export interface ReleaseTarget {
  /** Writes pieces to the client. */
  onRelease(pieces: Piece[]): void;
  /** The gate threw or rejected: nothing more may leave. */
  onGateFailed(reason: string): void;
}

export class GatedRelease {
  readonly #gate: (() => void | Promise<void>) | undefined;
  readonly #target: ReleaseTarget;
  #batch: Piece[] = [];
  /** The last piece of the batch as long as it may grow: bytes `#runFrom` to `#runTo` of `#run`. */
  #run: Buffer | undefined;
  #runFrom = 0;
  #runTo = 0;
  #batchBytes = 0;
  #atEnd: (() => void) | undefined;
  #pending = false;
  #dead = false;

  constructor(target: ReleaseTarget, gate: (() => void | Promise<void>) | undefined) {
    this.#target = target;
    this.#gate = gate;
  }

  /** Bytes that wait for the gate. */
  get waitingBytes(): number {
    return this.#batchBytes;
  }

  /** Where pieces are collected until `flush`. */
  push(piece: Piece): void {
    this.#endRun();
    this.#batch.push(piece);
    this.#batchBytes += piece.length;
  }

  /** A part of `bytes`. What follows a part directly leaves with it as one piece: a head and its body that came in one read. */
  pushBytes(bytes: Buffer, from: number, to: number): void {
    this.#batchBytes += to - from;
    if (this.#run !== bytes || this.#runTo !== from) {
      this.#endRun();
      this.#run = bytes;
      this.#runFrom = from;
    }
    this.#runTo = to;
  }

  #endRun(): void {
    const run = this.#run;
    if (run === undefined) return;
    this.#batch.push(this.#runFrom === 0 && this.#runTo === run.length ? run : run.subarray(this.#runFrom, this.#runTo));
    this.#run = undefined;
  }

  /** Calls `atEnd` when everything pushed so far has left and the gate has agreed to the end. Needs `flush`. */
  end(atEnd: () => void): void {
    this.#atEnd = atEnd;
  }

  /** Nothing more leaves, and no callback is called. */
  kill(): void {
    this.#dead = true;
    this.#batch = [];
    this.#run = undefined;
    this.#batchBytes = 0;
    this.#atEnd = undefined;
  }

  flush(): void {
    while (!this.#dead && !this.#pending && (this.#batchBytes > 0 || this.#atEnd !== undefined)) {
      let waiting: void | Promise<void>;
      try {
        waiting = this.#gate?.();
      } catch (error) {
        this.#fail(error);
        return;
      }
      if (waiting === undefined) this.#letOut(this.#take());
      else this.#letOutAfter(waiting, this.#take());
    }
  }

  #take(): { pieces: Piece[]; atEnd: (() => void) | undefined } {
    this.#endRun();
    const taken = { pieces: this.#batch, atEnd: this.#atEnd };
    this.#batch = [];
    this.#atEnd = undefined;
    return taken;
  }

  #letOut({ pieces, atEnd }: { pieces: Piece[]; atEnd: (() => void) | undefined }): void {
    for (const piece of pieces) this.#batchBytes -= piece.length;
    if (pieces.length > 0) this.#target.onRelease(pieces);
    if (!this.#dead) atEnd?.();
  }

  #letOutAfter(waiting: Promise<void>, taken: { pieces: Piece[]; atEnd: (() => void) | undefined }): void {
    this.#pending = true;
    waiting.then(
      () => {
        this.#pending = false;
        if (this.#dead) return;
        this.#letOut(taken);
        this.flush();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #fail(error: unknown): void {
    if (this.#dead) return;
    this.kill();
    this.#target.onGateFailed(error instanceof Error ? error.message : String(error));
  }
}

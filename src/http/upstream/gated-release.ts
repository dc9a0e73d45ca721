/**
 * Releases pieces of a response, each batch only after the gate has agreed to it (docs/PROTOCOL.md, "gate",
 * "gate-own-call").
 *
 * The rule: a piece leaves only after a call of the gate that began *after* the piece had arrived. A piece that arrives
 * while a call is pending therefore waits for a call of its own; the pending one never covers it, because it may have
 * read the write-ahead log before the application wrote what this piece acknowledges. Order is kept, and the end is
 * gated like a piece, because an end can carry as much information as a byte.
 *
 * One would try to break it with a response whose head comes before the transaction, and its body with the commit,
 * while the gate is asked for the head.
 *
 * Attacked in test/http/upstream/gated-release.test.ts: "lets a piece leave only after a call that began behind its
 * arrival". Attacked by the mutant gate-own-call.
 *
 * The fast path, a gate that returns undefined, releases in the same turn.
 */
import type { Buffer } from "node:buffer";
import { allRules, type Rules } from "../../core/rules.ts";
import { BufferView, type Piece } from "../../runtime/tcp/tcp.ts";
import { messageOf } from "../../runtime/operator-error.ts";

export interface ReleaseTarget {
  /** Writes pieces to the client. */
  onRelease(pieces: Piece[]): void;
  /** Everything before `end` has left, and the gate has agreed to the end. */
  onReleaseEnd(): void;
  /** The gate threw or rejected: nothing more may leave. */
  onGateFailed(reason: string): void;
}

/** Shared by all without a piece; nothing is ever added to it. */
const none: Piece[] = [];

export class GatedRelease {
  /** Nothing leaves, and the gate is not asked, until it is false again and `flush` is called. */
  isHeldBack = false;
  readonly #gate: (() => void | Promise<void>) | undefined;
  readonly #target: ReleaseTarget;
  readonly #rules: Rules;
  #batch: Piece[] = none;
  /** The last piece of the batch while it may still grow: bytes `#runFrom` to `#runTo` of `#run`. */
  #run: Buffer | undefined;
  #runFrom = 0;
  #runTo = 0;
  #batchBytes = 0;
  #isEnding = false;
  #isPending = false;
  #isDead = false;

  constructor(target: ReleaseTarget, gate: (() => void | Promise<void>) | undefined, rules: Rules = allRules) {
    this.#target = target;
    this.#gate = gate;
    this.#rules = rules;
  }

  /** Bytes that wait for the gate. */
  get waitingBytes(): number {
    return this.#batchBytes;
  }

  /** Collects a piece until `flush`. */
  push(piece: Piece): void {
    if (this.#isDead) return;
    this.#closeRun();
    this.#add(piece);
    this.#batchBytes += piece.length;
  }

  /** Adds a part of `bytes`. Adjacent parts leave as one piece: a head and its body that arrived in one read. */
  pushBytes(bytes: Buffer, from: number, to: number): void {
    if (this.#isDead) return;
    this.#batchBytes += to - from;
    if (this.#run !== bytes || this.#runTo !== from) {
      this.#closeRun();
      this.#run = bytes;
      this.#runFrom = from;
    }
    this.#runTo = to;
  }

  #closeRun(): void {
    const run = this.#run;
    if (run === undefined) return;
    this.#add(
      this.#runFrom === 0 && this.#runTo === run.length ? run : new BufferView(run, this.#runFrom, this.#runTo),
    );
    this.#run = undefined;
  }

  #add(piece: Piece): void {
    if (this.#batch === none) this.#batch = [piece];
    else this.#batch.push(piece);
  }

  /** Marks the end: nothing follows. Needs `flush`. */
  end(): void {
    this.#isEnding = true;
  }

  /** Stops: nothing more leaves, and no callback is called. */
  abort(): void {
    this.#isDead = true;
    this.#batch = none;
    this.#run = undefined;
    this.#batchBytes = 0;
    this.#isEnding = false;
  }

  flush(): void {
    while (!this.#isDead && !this.#isPending && !this.isHeldBack && (this.#batchBytes > 0 || this.#isEnding)) {
      let waiting: void | Promise<void>;
      try {
        waiting = this.#gate?.();
      } catch (error) {
        this.#fail(error);
        return;
      }
      const pieces = this.#take();
      const isEnd = this.#isEnding;
      this.#isEnding = false;
      if (waiting === undefined) this.#letOut(pieces, isEnd);
      else this.#letOutAfter(waiting, pieces, isEnd);
    }
  }

  #take(): Piece[] {
    this.#closeRun();
    const pieces = this.#batch;
    this.#batch = none;
    return pieces;
  }

  #letOut(pieces: Piece[], isEnd: boolean): void {
    for (const piece of pieces) this.#batchBytes -= piece.length;
    if (pieces.length > 0) this.#target.onRelease(pieces);
    if (isEnd && !this.#isDead) this.#target.onReleaseEnd();
  }

  #letOutAfter(waiting: Promise<void>, pieces: Piece[], isEnd: boolean): void {
    this.#isPending = true;
    waiting.then(
      () => {
        this.#isPending = false;
        if (this.#isDead) return;
        this.#letOut(this.#rules.has("gate-own-call") ? pieces : [...pieces, ...this.#take()], isEnd);
        this.flush();
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #fail(error: unknown): void {
    if (this.#isDead) return;
    this.abort();
    this.#target.onGateFailed(messageOf(error));
  }
}

/**
 * The small writes of one turn of the event loop, handed to the system together at its end.
 *
 * Sending a few bytes costs little beside waking the process that waits for them. One after the other, with the work
 * for a request in between, each small write meets a receiver that has fallen asleep again; together they wake it once.
 * A large write gains nothing, because its bytes would leave the cache meanwhile, and goes at once.
 *
 * A byte that a gate let pass leaves a moment after that, as on a slower network: what it says was so when the gate was
 * asked, and the reader had asked before.
 *
 * Everything is copied into one buffer, so that no more than its size waits here, however many sockets there are.
 */
import { Buffer } from "node:buffer";
import { joinBytesMax, BufferView, type Piece } from "./tcp.ts";

/** A larger write does not wait for the end of the turn. */
export const smallBytesMax = 4 * 1024;

/** A socket that has small writes here. */
export interface OutboxUser {
  /** Hands over what is kept for it, if anything still is. */
  sendKept(): void;
}

export class Outbox {
  /** What is kept lies before `end`. */
  readonly buffer = Buffer.allocUnsafeSlow(joinBytesMax);
  readonly #users: OutboxUser[] = [];
  #end = 0;
  #isDue = false;

  /**
   * Copies `pieces`, of `length` bytes together and at most `joinBytesMax`, into the buffer and returns where they
   * begin. They stay there until the next call, or with `keep`.
   */
  join(pieces: readonly Piece[], length: number): number {
    if (this.#end + length > joinBytesMax) this.#sendAll();
    let at = this.#end;
    for (const piece of pieces) {
      if (piece instanceof BufferView) at += piece.bytes.copy(this.buffer, at, piece.from, piece.from + piece.length);
      else at += typeof piece === "string" ? this.buffer.write(piece, at, "latin1") : piece.copy(this.buffer, at);
    }
    return this.#end;
  }

  /** What was joined last stays until `user` has sent it, at the end of this turn. */
  keep(user: OutboxUser, length: number): void {
    this.#end += length;
    this.#users.push(user);
    if (this.#isDue) return;
    this.#isDue = true;
    setImmediate(() => {
      this.#isDue = false;
      this.#sendAll();
    });
  }

  #sendAll(): void {
    for (const user of this.#users) user.sendKept();
    this.#users.length = 0;
    this.#end = 0;
  }
}

/**
 * The small writes of one turn of the event loop, passed to the system together at its end.
 *
 * Sending a few bytes costs little compared with waking the process that waits for them. One by one, with the work for
 * a request in between, each small write meets a receiver that has gone back to sleep; together they wake it once. A
 * large write gains nothing, because its bytes would leave the cache meanwhile, and is sent at once.
 *
 * A released byte may leave slightly later. That is safe, as if the network were slower: the gate's answer was true
 * when it was asked, and the byte's reader had asked before that.
 *
 * Everything is copied into one buffer, whose size bounds what waits here, however many sockets there are.
 */
import { Buffer } from "node:buffer";
import { joinBytesMax, BufferView, type Piece } from "./tcp.ts";

/** Larger writes do not wait for the end of the turn. */
export const smallBytesMax = 4 * 1024;

/** A socket with small writes in the outbox. */
export interface OutboxUser {
  /** Sends what is kept for it, if anything. */
  sendKept(): void;
}

export class Outbox {
  /** The kept bytes lie before `end`. */
  readonly buffer = Buffer.allocUnsafeSlow(joinBytesMax);
  readonly #users: OutboxUser[] = [];
  #end = 0;
  #isDue = false;

  /**
   * Copies `pieces`, `length` bytes together and at most `joinBytesMax`, into the buffer and returns where they begin.
   * They stay there until the next call, or until sent after `keep`.
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

  /** Keeps what was joined last until `user` has sent it, at the end of this turn. */
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

/**
 * Stops reading from an upstream while the client, or the gate, is behind, and resumes when they have caught up.
 * `writeBufferBytesMax` on either side of the gate, plus one read, bounds the bytes in between.
 */
import type { GatedRelease } from "./gated-release.ts";
import type { UpstreamConnection } from "./upstream-connection.ts";

export class ResponseFlow {
  readonly #client: { readonly isCongested: boolean };
  readonly #release: GatedRelease;
  readonly #waitingBytesMax: number;
  #isPaused = false;

  constructor(client: { readonly isCongested: boolean }, release: GatedRelease, waitingBytesMax: number) {
    this.#client = client;
    this.#release = release;
    this.#waitingBytesMax = waitingBytesMax;
  }

  /** Call it after every release and drain. Returns true if reading was resumed: a new time limit begins. */
  balance(connection: UpstreamConnection): boolean {
    const behind = this.#client.isCongested || this.#release.waitingBytes > this.#waitingBytesMax;
    if (behind === this.#isPaused) return false;
    this.#isPaused = behind;
    if (!behind) {
      connection.resume();
      return true;
    }
    connection.pause();
    // It is the client's turn now, which has its own limit.
    connection.deadlineAt = Infinity;
    return false;
  }

  /** The connection leaves this exchange: its bytes belong to its next user. */
  resume(connection: UpstreamConnection): void {
    if (this.#isPaused) connection.resume();
    this.#isPaused = false;
  }
}

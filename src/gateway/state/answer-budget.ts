/**
 * The bytes that one answer to a client may have: JSON as it is sent, with names of columns, errors and everything
 * else, so nothing that a client can make longer is free. What is not sent is refunded.
 */

/** All answers of one pipeline together. */
export const pipelineBytesMax = 4 * 1024 * 1024;
/** Longest message of an error: SQLite's quote the statement. */
const messageLengthMax = 300;

export const jsonBytes = (value: unknown): number => Buffer.byteLength(JSON.stringify(value));

export const shortened = (message: string): string =>
  message.length > messageLengthMax ? `${message.slice(0, messageLengthMax)}…` : message;

export class AnswerBudget {
  readonly bytesMax: number;
  #left: number;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
    this.#left = bytesMax;
  }

  get left(): number {
    return this.#left;
  }

  get spent(): number {
    return this.bytesMax - this.#left;
  }

  /** Returns false, and takes nothing, if the value does not fit any more. */
  take(value: unknown): boolean {
    const bytes = jsonBytes(value) + 1; // its comma
    if (bytes > this.#left) return false;
    this.#left -= bytes;
    return true;
  }

  /** Undoes what was taken since `spent` was this. */
  refundTo(spent: number): void {
    this.#left = this.bytesMax - spent;
  }
}

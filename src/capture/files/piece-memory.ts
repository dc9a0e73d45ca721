/**
 * Memory for the pieces of files, used again and again: fresh memory costs the kernel more than reading the file into
 * it, and the collector its rounds. Given back once the flush with a piece is durable; what is not is collected.
 */
import { filePieceBytes } from "../../core/files/file-entry.ts";

/** Smaller pieces are not worth a place of the largest one's size. */
const usedAgainMin = filePieceBytes / 4;
/** Places that are kept: 8 MiB. */
const keptMax = 32;

export class PieceMemory {
  readonly #free: ArrayBuffer[] = [];

  take(length: number): Buffer {
    if (length < usedAgainMin || length > filePieceBytes) return Buffer.allocUnsafeSlow(length);
    const place = this.#free.pop() ?? Buffer.allocUnsafeSlow(filePieceBytes).buffer;
    return Buffer.from(place, 0, length);
  }

  /** The bytes are not read any more, and are given back once. */
  give({ buffer }: Uint8Array): void {
    if (buffer.byteLength === filePieceBytes && this.#free.length < keptMax) this.#free.push(buffer as ArrayBuffer);
  }
}

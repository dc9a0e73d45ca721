/**
 * A part that was staged, as part of a flush: it is read back from where it was staged, so that what is hashed for its
 * record is what the vault has, and it lies in memory as it will in its record.
 *
 * Three rooms serve all parts of a batch, one after the other. A part is read when the one two before it is durable:
 * then nothing uses the room any more that the third one before it had.
 */
import type { DatabaseDelta, Page } from "../core/delta.ts";
import type { StagedPages } from "./staged-pages.ts";

const roomsPerBatch = 3;

export class Rooms {
  readonly #rooms: Uint8Array[] = [];
  #next = 0;

  take(bytes: number): Uint8Array {
    const at = this.#next;
    this.#next = (at + 1) % roomsPerBatch;
    let room = this.#rooms[at];
    if (room === undefined || room.byteLength < bytes) room = this.#rooms[at] = new Uint8Array(bytes);
    return room.subarray(0, bytes);
  }
}

/** Rejects when it is not there any more. */
export async function readStaged(
  delta: Pick<DatabaseDelta, "name" | "pageSize" | "pageCount" | "checksum">,
  { pages, staged }: StagedPages,
  headBytes: number,
  rooms: Rooms,
): Promise<DatabaseDelta> {
  const stride = 4 + delta.pageSize;
  const bytes = rooms.take(headBytes + pages.length * stride);
  await staged.read(bytes);
  const numbers = new DataView(bytes.buffer, bytes.byteOffset);
  const views = Array.from(pages, (number, i): Page => {
    const start = headBytes + i * stride;
    if (numbers.getUint32(start, true) !== number)
      throw new Error(`page ${number} of ${delta.name} is not where it was staged`);
    return { number, content: bytes.subarray(start + 4, start + stride) };
  });
  return { ...delta, pages: views, laidOut: { bytes, headBytes, staged } };
}

/**
 * A part that was staged, as part of a flush: it is read back from where it was staged, so that what is hashed for its
 * record is what the vault has, and it lies in memory as it will in its record.
 *
 * Its pages must be the bytes whose hashes went into the checksum of the database, or the record is one that no host
 * can apply. A part is therefore marked when it is staged (64 bits of a fast hash under a secret seed), and one that
 * comes back with another mark is not used.
 *
 * Three rooms serve all parts of a batch, one after the other. A part is read when the one two before it is durable:
 * then nothing uses the room any more that the third one before it had.
 */
import { randomBytes } from "node:crypto";
import type { DatabaseDelta, Page } from "../core/delta.ts";
import type { StagedPages } from "./staged-pages.ts";

const roomsPerBatch = 3;
const seed = randomBytes(8).readBigUInt64LE();

/** Recognises the pages of a part, which follow `headBytes` of room. Where parts are staged there is Bun. */
export const markOf = (part: Uint8Array, headBytes: number): bigint =>
  Bun.hash.rapidhash(part.subarray(headBytes), seed);

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

/** Rejects if it is not there any more, or is not what was staged. */
export async function readStaged(
  delta: Pick<DatabaseDelta, "name" | "pageSize" | "pageCount" | "checksum">,
  { pages, staged, mark }: StagedPages,
  headBytes: number,
  rooms: Rooms,
): Promise<DatabaseDelta> {
  const stride = 4 + delta.pageSize;
  const bytes = rooms.take(headBytes + pages.length * stride);
  await staged.read(bytes);
  if (markOf(bytes, headBytes) !== mark) throw new Error(`pages of ${delta.name} are not what was staged`);
  const views = Array.from(pages, (number, i): Page => {
    const start = headBytes + i * stride;
    return { number, content: bytes.subarray(start + 4, start + stride) };
  });
  return { ...delta, pages: views, laidOut: { bytes, headBytes, staged } };
}

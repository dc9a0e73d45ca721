/**
 * Tells from the WAL index how far the transaction that is being written has come: behind `mxFrame` the index has a
 * page number for each frame that is written already (wal.c: `walIndexAppend` follows the write), and none when the
 * transaction was rolled back (`walCleanupHash`).
 *
 * This is only a hint. The entries of a killed writer stay until the next writer comes, and tables behind the current
 * one may hold entries of an earlier generation. Frames that are read by this hint are proved at the commit
 * (read-ahead.ts).
 *
 * Layout (https://www.sqlite.org/walformat.html, section 2.2): blocks of 32 KiB, each a table of 4096 page numbers and
 * a hash table; in the first block 136 bytes of header take the place of the first 34 numbers.
 */
import { readSync } from "node:fs";
import { readFully } from "./wal-reader.ts";

const blockBytes = 32_768;
const headerBytes = 136;
const perBlock = 4096;
const inFirst = perBlock - headerBytes / 4;
const table = new Uint32Array(perBlock);
const entry = new Uint32Array(1);
const entryBytes = new Uint8Array(entry.buffer);

/** True if a frame is written, by its entry alone. Sync. */
export function isWritten(shmFd: number, frame: number): boolean {
  const { offset } = placeOf(frame);
  return readSync(shmFd, entryBytes, 0, 4, offset) === 4 && entry[0] !== 0;
}

/** Returns the last frame up to which all frames behind `from` are written; looks at `atMost` of them. Sync. */
export function writtenUpTo(shmFd: number, from: number, atMost: number): number {
  let last = from;
  while (last < from + atMost) {
    const { offset, room } = placeOf(last + 1);
    const wanted = Math.min(room, from + atMost - last);
    const bytes = new Uint8Array(table.buffer, 0, wanted * 4);
    const there = Math.floor(readFully(shmFd, bytes, offset) / 4);
    const end = table.subarray(0, there).indexOf(0);
    last += end < 0 ? there : end;
    if (end >= 0 || there < wanted) break;
  }
  return last;
}

/** Returns the offset of a frame's entry, and how many entries its table has from there on. */
function placeOf(frame: number): { offset: number; room: number } {
  if (frame <= inFirst) return { offset: headerBytes + (frame - 1) * 4, room: inFirst - frame + 1 };
  const at = frame - inFirst - 1;
  const inBlock = at % perBlock;
  return { offset: (1 + Math.floor(at / perBlock)) * blockBytes + inBlock * 4, room: perBlock - inBlock };
}

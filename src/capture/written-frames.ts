/**
 * How far the transaction that is being written has come, from the WAL index: behind `mxFrame` its table of page
 * numbers has an entry for each frame that is written already (wal.c: `walIndexAppend` follows the write), and none
 * when it was rolled back (`walCleanupHash`).
 *
 * Only a hint. A writer that was killed leaves its entries until the next one comes, and tables behind the current one
 * may hold those of an earlier generation. What is read by this hint is proved at the commit (read-ahead.ts).
 *
 * Layout (https://www.sqlite.org/walformat.html, section 2.2): blocks of 32 KiB, each a table of 4096 page numbers and
 * a hash table; in the first block 136 bytes of header take the place of the first 34 numbers.
 */
import { readFully } from "./wal-reader.ts";

const blockBytes = 32_768;
const headerBytes = 136;
const perBlock = 4096;
const inFirst = perBlock - headerBytes / 4;
const table = new Uint32Array(perBlock);

/** The last frame up to which all those behind `from` are written; looks at `atMost` of them. Sync. */
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

/** Where the entry of a frame is, and how many entries its table has from there on. */
function placeOf(frame: number): { offset: number; room: number } {
  if (frame <= inFirst) return { offset: headerBytes + (frame - 1) * 4, room: inFirst - frame + 1 };
  const at = frame - inFirst - 1;
  const inBlock = at % perBlock;
  return { offset: (1 + Math.floor(at / perBlock)) * blockBytes + inBlock * 4, room: perBlock - inBlock };
}

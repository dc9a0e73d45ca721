/** Databases of a gibibyte that take no disk and no time: their middle is a hole. */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from "node:fs";

/**
 * Makes a closed database without a log `pageCount` pages long; the added pages are zeros that nothing refers to.
 * SQLite believes the size in the header (offset 28) while the change counter there is the one at offset 92, and grows
 * from it.
 */
export function makeSparse(path: string, pageCount: number, pageSize: number): void {
  const fd = openSync(path, "r+");
  try {
    const header = Buffer.alloc(100);
    readSync(fd, header, 0, 100, 0);
    if (!header.subarray(24, 28).equals(header.subarray(92, 96)))
      throw new Error("SQLite would not believe the size in this header");
    header.writeUInt32BE(pageCount, 28);
    writeSync(fd, header, 0, 100, 0);
    ftruncateSync(fd, pageCount * pageSize);
  } finally {
    closeSync(fd);
  }
}

export function writeAt(path: string, offset: number, bytes: Uint8Array): void {
  const fd = openSync(path, "r+");
  try {
    writeSync(fd, bytes, 0, bytes.byteLength, offset);
  } finally {
    closeSync(fd);
  }
}

/** True when both have the same bytes; compared in pieces, so that a gibibyte needs no memory. */
export function sameFiles(first: string, second: string): boolean {
  const [a, b] = [openSync(first, "r"), openSync(second, "r")];
  try {
    const { size } = fstatSync(a);
    if (size === 0 || size !== fstatSync(b).size) return false;
    const [left, right] = [Buffer.alloc(2 ** 20), Buffer.alloc(2 ** 20)];
    for (let offset = 0; offset < size; offset += left.byteLength) {
      const length = Math.min(left.byteLength, size - offset);
      if (readSync(a, left, 0, length, offset) !== length || readSync(b, right, 0, length, offset) !== length)
        return false;
      if (!left.subarray(0, length).equals(right.subarray(0, length))) return false;
    }
    return true;
  } finally {
    closeSync(a);
    closeSync(b);
  }
}

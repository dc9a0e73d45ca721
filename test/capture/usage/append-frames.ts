/**
 * Appends one committed transaction (page 2 as it is) to the write-ahead log of the database at argv[2], and nothing
 * else: no index, no lock.
 */
import { closeSync, fstatSync, openSync, readSync, writeSync } from "node:fs";
import {
  addChecksum,
  frameBytes,
  frameHeaderBytes,
  frameOffset,
  parseWalHeader,
  takeFrame,
  walHeaderBytes,
} from "../../../src/capture/wal-frames.ts";

const path = process.argv[2] ?? "";
const wal = openSync(`${path}-wal`, "r+");
const read = (bytes: number, position: number): Uint8Array => {
  const buffer = new Uint8Array(bytes);
  readSync(wal, buffer, 0, bytes, position);
  return buffer;
};
const header = parseWalHeader(read(walHeaderBytes, 0));
if (header === undefined) throw new Error("no log");
const size = frameBytes(header.pageSize);
const sum = { ...header.checksum };
let last: Uint8Array | undefined;
let frame = 1;
for (; ; frame++) {
  const bytes = read(size, frameOffset(frame, header.pageSize));
  const before = { ...sum };
  if (takeFrame(bytes, 0, header, sum) === undefined) {
    Object.assign(sum, before);
    break;
  }
  last = bytes;
}
if (last === undefined) throw new Error("an empty log");
const view = new DataView(last.buffer);
addChecksum(sum, new Int32Array(last.buffer, 0, 2), header.bigEndian);
addChecksum(sum, new Int32Array(last.buffer, frameHeaderBytes, header.pageSize / 4), header.bigEndian);
view.setUint32(16, sum.s1);
view.setUint32(20, sum.s2);
writeSync(wal, last, 0, size, frameOffset(frame, header.pageSize));
if (fstatSync(wal).size < frameOffset(frame + 1, header.pageSize)) throw new Error("it was not written");
closeSync(wal);

/**
 * The calls of a file system that the files beside the databases need. All but one are those of node:fs, and come back
 * when they are done; the simulation has its own.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  read,
  readdirSync,
  readlinkSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeSync,
} from "node:fs";
import { promisify } from "node:util";

const readAsync = promisify(read);

const calls = {
  ...{ chmodSync, chownSync, closeSync, existsSync, fstatSync, ftruncateSync, lchownSync, lstatSync, mkdirSync },
  ...{ openSync, readdirSync, readlinkSync, readSync, renameSync, rmdirSync, rmSync, symlinkSync, unlinkSync },
  ...{ utimesSync, writeSync },
};

export type FileSystem = typeof calls & {
  /** As `readSync`, off the event loop. */
  readLater(fd: number, into: Uint8Array, offset: number, length: number, position: number): Promise<number>;
};

export const systemFiles: FileSystem = {
  ...calls,
  readLater: async (fd, into, offset, length, position) =>
    (await readAsync(fd, into, offset, length, position)).bytesRead,
};

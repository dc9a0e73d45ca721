/**
 * The file system calls of the fs store, as promises over the callback API on plain descriptors. It is a port, so that
 * tests can make a call fail after it has taken effect, as NFS does.
 *
 * The calls are asynchronous on purpose: a synchronous call costs less on a local disk, but a slow NFS server would
 * then stop the whole process, its status stream included. Every call is one hop to the thread pool, so the store
 * minimises their number, and a thread of its own makes small puts (put-thread.ts).
 */
import fs from "node:fs";
import { promisify } from "node:util";
import { writeBytesMax } from "../../runtime/write-size.ts";

export interface FsCalls {
  open(path: string, flags: number, mode?: number): Promise<number>;
  close(fd: number): Promise<void>;
  /** All of the bytes, from the start of the file. */
  write(fd: number, bytes: Uint8Array): Promise<void>;
  /** The size of a regular file; undefined: it is something else. */
  sizeOfFile(fd: number): Promise<number | undefined>;
  /** The first `size` bytes of an open file: all of them. */
  read(fd: number, size: number): Promise<Uint8Array>;
  /** Its beginning, until the buffer is full. */
  readInto(fd: number, bytes: Uint8Array): Promise<void>;
  /** Up to the buffer's length, from an offset; returns how many there are before the end of the file. */
  readAt(fd: number, bytes: Uint8Array, offset: number): Promise<number>;
  /** All of the bytes, from an offset. */
  writeAt(fd: number, bytes: Uint8Array, offset: number): Promise<void>;
  fsync(fd: number): Promise<void>;
  /** The content, and not the times of the file. */
  fdatasync(fd: number): Promise<void>;
  link(existing: string, path: string): Promise<void>;
  unlink(path: string): Promise<void>;
  mkdir(path: string): Promise<void>;
  rmdir(path: string): Promise<void>;
  readdir(path: string): Promise<readonly { readonly name: string; isDirectory(): boolean }[]>;
  /** Identifies a file. Exact: 64-bit inode numbers do not fit into doubles (CephFS, GlusterFS, XFS with inode64). */
  identify(fd: number): Promise<{ readonly ino: bigint; readonly dev: bigint }>;
}

export const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_DIRECTORY } = fs.constants;
/**
 * Added to every open of a name that another may have made: a link is not followed, and a pipe or a device does not
 * make the open, or a read, wait. It changes nothing for regular files and folders.
 */
export const O_CAREFUL = fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK;

const fstat = promisify(fs.fstat) as (fd: number) => Promise<fs.Stats>;
const fstatWhole = promisify(fs.fstat) as (fd: number, options: { readonly bigint: true }) => Promise<fs.BigIntStats>;

export const systemCalls: FsCalls = {
  open: promisify(fs.open),
  close: promisify(fs.close),
  fsync: promisify(fs.fsync),
  fdatasync: promisify(fs.fdatasync),
  link: promisify(fs.link),
  unlink: promisify(fs.unlink),
  rmdir: promisify(fs.rmdir),
  mkdir: promisify<string, void>(fs.mkdir),
  readdir: (path) => promisify(fs.readdir)(path, { withFileTypes: true }),
  identify: (fd) => fstatWhole(fd, { bigint: true }),

  write: (fd, bytes) => writeAll(fd, bytes, 0),
  writeAt: writeAll,

  async readAt(fd, bytes, offset) {
    let count = 0;
    for (let got = -1; got !== 0 && count < bytes.length; count += got)
      got = await readOnce(fd, bytes, count, offset + count);
    return count;
  },

  async sizeOfFile(fd) {
    const stats = await fstat(fd);
    return stats.isFile() ? stats.size : undefined;
  },

  async read(fd, size) {
    // Without zeros: `fill` fills all of it, or rejects.
    const bytes = new Uint8Array(Buffer.allocUnsafeSlow(size).buffer);
    await fill(fd, bytes);
    return bytes;
  },

  readInto: fill,
};

async function fill(fd: number, bytes: Uint8Array): Promise<void> {
  for (let offset = 0; offset < bytes.length; ) {
    const got = await readOnce(fd, bytes, offset, offset);
    if (got === 0)
      throw Object.assign(new Error(`the file ended at ${offset} of ${bytes.length} bytes`), { code: "EIO" });
    offset += got;
  }
}

async function writeAll(fd: number, bytes: Uint8Array, start: number): Promise<void> {
  for (let count = 0; count < bytes.length; ) {
    const written = await writeOnce(fd, bytes, count, start + count);
    if (written === 0) throw Object.assign(new Error("wrote nothing"), { code: "EIO" });
    count += written;
  }
}

/** The bytes from `from` on, to the offset `at` of the file. */
function writeOnce(fd: number, bytes: Uint8Array, from: number, at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(fd, bytes, from, Math.min(bytes.length - from, writeBytesMax), at, (error, written) =>
      error === null ? resolve(written) : reject(error),
    );
  });
}

function readOnce(fd: number, bytes: Uint8Array, from: number, at: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(fd, bytes, from, bytes.length - from, at, (error, got) => (error === null ? resolve(got) : reject(error)));
  });
}

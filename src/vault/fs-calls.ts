/**
 * The file system calls of the fs store, as promises over the callback API on plain descriptors.
 *
 * Asynchronous on purpose: a synchronous call costs less on a local disk, but a slow NFS server would then stop the whole
 * process, its status stream included. Every call is one hop to the thread pool, so the store counts them.
 */
import fs from "node:fs";
import { promisify } from "node:util";

export const open: (path: string, flags: number, mode?: number) => Promise<number> = promisify(fs.open);
export const close: (fd: number) => Promise<void> = promisify(fs.close);
export const fsync: (fd: number) => Promise<void> = promisify(fs.fsync);
export const link: (existing: string, path: string) => Promise<void> = promisify(fs.link);
export const unlink: (path: string) => Promise<void> = promisify(fs.unlink);
export const rmdir: (path: string) => Promise<void> = promisify(fs.rmdir);
export const mkdir = promisify(fs.mkdir) as (path: string) => Promise<void>;
export const readdir = promisify(fs.readdir) as (path: string, options: { withFileTypes: true }) => Promise<fs.Dirent[]>;
export const fstat = promisify(fs.fstat) as (fd: number) => Promise<fs.Stats>;
export const stat = promisify(fs.stat) as (path: string) => Promise<fs.Stats>;

export const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_DIRECTORY } = fs.constants;

/** Writes all of the bytes, however few each call takes. */
export async function writeAll(fd: number, bytes: Uint8Array): Promise<void> {
  let offset = 0;
  while (offset < bytes.length) {
    const written = await writeOnce(fd, bytes, offset);
    if (written === 0) throw Object.assign(new Error("wrote nothing"), { code: "EIO" });
    offset += written;
  }
}

function writeOnce(fd: number, bytes: Uint8Array, offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.write(fd, bytes, offset, bytes.length - offset, offset, (error, written) => (error === null ? resolve(written) : reject(error)));
  });
}

/** The whole content of an open file, whose size is known. */
export async function readAll(fd: number, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  let offset = 0;
  while (offset < size) {
    const got = await readOnce(fd, bytes, offset);
    if (got === 0) throw Object.assign(new Error(`the file ended at ${offset} of ${size} bytes`), { code: "EIO" });
    offset += got;
  }
  return bytes;
}

function readOnce(fd: number, bytes: Uint8Array, offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    fs.read(fd, bytes, offset, bytes.length - offset, offset, (error, got) => (error === null ? resolve(got) : reject(error)));
  });
}

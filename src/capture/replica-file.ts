/** One database file of a replica: created whole, written at offsets, without the companions that SQLite would believe. */
import { closeSync, fsync, ftruncateSync, openSync, writeSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { promisify } from "node:util";

const companions = ["-wal", "-shm", "-journal"];
const fsyncAsync = promisify(fsync);

export class ReplicaFile {
  readonly #path: string;
  readonly #fd: number;
  #size = 0;
  #open = true;

  private constructor(path: string, fd: number) {
    this.#path = path;
    this.#fd = fd;
  }

  static async create(path: string): Promise<ReplicaFile> {
    await mkdir(dirname(path), { recursive: true });
    for (const suffix of companions) await rm(path + suffix, { force: true });
    return new ReplicaFile(path, openSync(path, "w+", 0o640));
  }

  /** Bytes added read as zeros. */
  resize(size: number): void {
    if (size === this.#size) return;
    ftruncateSync(this.#fd, size);
    this.#size = size;
  }

  write(offset: number, bytes: Uint8Array): void {
    let done = 0;
    while (done < bytes.byteLength) done += writeSync(this.#fd, bytes, done, bytes.byteLength - done, offset + done);
    this.#size = Math.max(this.#size, offset + bytes.byteLength);
  }

  async sync(): Promise<void> {
    await fsyncAsync(this.#fd);
  }

  async remove(): Promise<void> {
    await this.close();
    for (const suffix of ["", ...companions]) await rm(this.#path + suffix, { force: true });
  }

  close(): Promise<void> {
    if (this.#open) closeSync(this.#fd);
    this.#open = false;
    return Promise.resolve();
  }
}

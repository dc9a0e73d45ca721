/**
 * Brings what is written on its way to the disk while more is written, for a file that is synced in the end: the last
 * sync then finds little to do. One sync at a time.
 *
 * An error of a sync is kept: the kernel tells it once, and a later sync does not tell of the pages that are lost.
 */

/** Bytes after which the next sync begins. */
const syncAfterBytes = 64 * 1024 * 1024;

export class WriteBack {
  readonly #syncFile: () => Promise<void>;
  #bytes = 0;
  #running: Promise<void> | undefined;
  #failure: { readonly error: unknown } | undefined;

  constructor(syncFile: () => Promise<void>) {
    this.#syncFile = syncFile;
  }

  /** So many bytes were written. */
  wrote(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < syncAfterBytes || this.#running !== undefined) return;
    this.#bytes = 0;
    this.#running = this.#run();
  }

  /** Nothing is in progress any more, whatever became of it. */
  async settled(): Promise<void> {
    await this.#running;
  }

  /** Everything is durable. Throws the error of any sync so far. */
  async sync(): Promise<void> {
    await this.#running;
    if (this.#failure === undefined) await this.#run();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async #run(): Promise<void> {
    try {
      await this.#syncFile();
    } catch (error) {
      this.#failure ??= { error };
    } finally {
      this.#running = undefined;
    }
  }
}

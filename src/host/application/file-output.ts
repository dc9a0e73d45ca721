/**
 * The application's output in a file of its own, byte for byte.
 *
 * Bounded: what a slow or full disk does not take is left out, and its size is written once there is room again. The
 * file is opened for each write, so that one that was moved away (logrotate) is left at once. No link is followed: the
 * host may do more than who owns the folder.
 */
import { Buffer } from "node:buffer";
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import type { Clock, Timer } from "../../runtime/clock.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import type { OutputSink } from "./watcher.ts";

/** Output is collected for this long: an application that logs a line per request costs no write for each. */
const writeEveryMs = 100;
const waitingBytesMax = 4 * 1024 * 1024;
const mode = 0o640;
const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW, O_NONBLOCK } = constants;
const flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK;

export interface FileOutputOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly onWarning: (text: string) => void;
}

export class FileOutput implements OutputSink {
  readonly #options: FileOutputOptions;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #leftBytes = 0;
  #timer: Timer | undefined;
  #writing: Promise<void> | undefined;
  #isFailing = false;

  constructor(options: FileOutputOptions) {
    this.#options = options;
  }

  take(bytes: Uint8Array): void {
    if (this.#waitingBytes + bytes.byteLength > waitingBytesMax) {
      this.#leftBytes += bytes.byteLength;
      return;
    }
    this.#waiting.push(bytes);
    this.#waitingBytes += bytes.byteLength;
    this.#timer ??= this.#options.clock.setTimer(writeEveryMs, () => this.#flush());
  }

  /** What waits is still written. The next start of the application may use this again. */
  close(): void {
    this.#timer?.cancel();
    this.#flush();
  }

  /** Resolves when what was taken is written, or left out. */
  async settled(): Promise<void> {
    this.close();
    while (this.#writing !== undefined) await this.#writing;
  }

  #flush(): void {
    this.#timer = undefined;
    if (this.#writing !== undefined) return;
    this.#writing = this.#writeWaiting().finally(() => (this.#writing = undefined));
  }

  /** Never rejects. */
  async #writeWaiting(): Promise<void> {
    while (this.#waiting.length > 0) {
      const bytes = Buffer.concat(this.#waiting);
      this.#waiting = [];
      this.#waitingBytes = 0;
      const left = this.#leftBytes;
      const gap = left === 0 ? "" : `\n(stead: ${left} bytes of output left out: this file could not be written)\n`;
      try {
        await this.#append(Buffer.concat([Buffer.from(gap), bytes]));
        this.#leftBytes -= left;
        this.#isFailing = false;
      } catch (error) {
        this.#leftBytes += bytes.byteLength;
        this.#fail(error);
      }
    }
  }

  async #append(bytes: Buffer): Promise<void> {
    const file = await open(this.#options.path, flags, mode);
    try {
      for (let at = 0; at < bytes.byteLength; ) at += (await file.write(bytes, at)).bytesWritten;
    } finally {
      await file.close();
    }
  }

  #fail(error: unknown): void {
    if (!this.#isFailing)
      this.#options.onWarning(
        `host.application.log: output of the application is left out, since ${this.#options.path} cannot be written: ${messageOf(error)}`,
      );
    this.#isFailing = true;
  }
}

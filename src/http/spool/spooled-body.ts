/**
 * The body of one request in a file, so that the request can be resent although its body is too long for the memory.
 *
 * It is written as it arrives, in blocks. A block is in memory until it is written; its checksum stays there, and what
 * is read is compared with it before it is used: no byte leaves that did not arrive. While `isCongested` the client
 * must wait, so that a slow disk does not fill the memory.
 *
 * A file that fails, or is full, costs no request anything: what arrives from then on stays in memory, and once that is
 * too much the body `isHeld` no more. Only `append` ends that, which is called while an attempt takes the body as it
 * arrives: a request that waits for its next attempt keeps what it has.
 *
 * Attacked in test/http/spool/spooled-body.test.ts: "a block that changed on the disk is not used".
 */
import zlib from "node:zlib";
import type { SpoolFile } from "./spool-file.ts";

export const spoolBlockBytes = 64 * 1024;
/** Blocks that wait to be written before the client must wait. */
const waitingBlocksMax = 2;

/** `kept`: as long as it was needed. `full`: there was no room for it. `failed`: its file could not be used. */
export const spoolEnds = ["kept", "full", "failed"] as const;
export type SpoolEnd = (typeof spoolEnds)[number];

/** What a body needs of its spool. */
export interface SpoolRoom {
  /** Bytes in memory, together with others; it is not checked here. */
  readonly memory: { total: number };
  readonly hasMemory: boolean;
  /** Opens a file that no other process can find. */
  open(): Promise<SpoolFile>;
  /** Returns false if that much more does not fit. */
  reserve(bytes: number): boolean;
  free(bytes: number): void;
  /** Calls `onLate` unless it is cancelled in time. */
  watch(onLate: () => void): { cancel(): void };
  onWritten(): void;
  onFailed(error: unknown): void;
  /** It is held no more. */
  onEnd(end: SpoolEnd): void;
}

interface Block {
  readonly sum: number;
  /** Undefined once they are in the file. */
  bytes: Buffer | undefined;
}

export class SpooledBody {
  /** All that has arrived can be read. */
  isHeld = true;
  readonly #room: SpoolRoom;
  readonly #onFlow: () => void;
  #blocks: Block[] = [];
  /** The first blocks, which are in the file. */
  #written = 0;
  #last: Buffer | undefined;
  #lastBytes = 0;
  #reservedBytes: number;
  #memoryBytes = 0;
  #file: SpoolFile | undefined;
  #isWriting = false;
  /** Undefined: the file takes more. */
  #whyNoMore: "full" | "failed" | undefined;
  #isOver = false;
  #reading: SpoolReading | undefined;
  #late: { cancel(): void } | undefined;

  /** `reservedBytes`: by its user. `onFlow`: `isCongested` may have changed. */
  constructor(room: SpoolRoom, reservedBytes: number, onFlow: () => void) {
    this.#room = room;
    this.#reservedBytes = reservedBytes;
    this.#onFlow = onFlow;
  }

  /** Blocks wait to be written. */
  get isCongested(): boolean {
    return !this.#isOver && this.#whyNoMore === undefined && this.#waiting >= waitingBlocksMax;
  }

  get size(): number {
    return this.#blocks.length * spoolBlockBytes + this.#lastBytes;
  }

  get #waiting(): number {
    return this.#blocks.length - this.#written;
  }

  get #mayWrite(): boolean {
    const isReserved = (this.#written + 1) * spoolBlockBytes <= this.#reservedBytes;
    return this.#waiting > 0 && isReserved && this.#whyNoMore !== "failed" && !this.#isOver;
  }

  /** Takes the next part, which is copied. Does nothing once it is not needed. */
  append(data: Buffer): void {
    for (let at = 0; at < data.length && (this.isHeld || this.#reading !== undefined); ) {
      const last = (this.#last ??= this.#nextBlock());
      if (last === undefined) return;
      const taken = data.copy(last, this.#lastBytes, at);
      at += taken;
      this.#lastBytes += taken;
      if (this.#lastBytes === spoolBlockBytes) this.#completeBlock(last);
    }
  }

  /** Returns undefined if there is no room for one. */
  #nextBlock(): Buffer | undefined {
    const more = (this.#blocks.length + 1) * spoolBlockBytes - this.#reservedBytes;
    if (more > 0 && this.#whyNoMore === undefined) {
      if (this.#room.reserve(more)) this.#reservedBytes += more;
      else this.#whyNoMore = "full";
    }
    const isTooMuch = this.#whyNoMore !== undefined && this.#waiting >= waitingBlocksMax;
    // A reader needs what follows too, and lets its client wait meanwhile, so that little more arrives.
    if ((isTooMuch || !this.#room.hasMemory) && this.#reading === undefined) {
      this.#abort(this.#whyNoMore ?? "full");
      return undefined;
    }
    this.#remember(spoolBlockBytes);
    return Buffer.allocUnsafeSlow(spoolBlockBytes);
  }

  #completeBlock(bytes: Buffer): void {
    this.#blocks.push({ sum: zlib.crc32(bytes), bytes });
    this.#last = undefined;
    this.#lastBytes = 0;
    if (!this.#isWriting) this.#write().catch((error: unknown) => this.#fail(error));
    if (this.isCongested) this.#late ??= this.#room.watch(() => this.#onLate());
  }

  async #write(): Promise<void> {
    this.#isWriting = true;
    try {
      while (this.#mayWrite) {
        const file = (this.#file ??= await this.#room.open());
        await this.#writeBlock(file);
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#isWriting = false;
    if (this.#isOver) this.#closeFile();
    else this.#onFlow();
  }

  async #writeBlock(file: SpoolFile): Promise<void> {
    const block = this.#blocks[this.#written];
    const bytes = block?.bytes;
    if (block === undefined || bytes === undefined) return;
    await file.write(bytes, this.#written * spoolBlockBytes);
    if (this.#isOver) return;
    block.bytes = undefined;
    this.#written += 1;
    this.#remember(-spoolBlockBytes);
    this.#late?.cancel();
    this.#late = undefined;
    this.#room.onWritten();
    if (this.#waiting === waitingBlocksMax - 1) this.#onFlow();
    if (this.isCongested) this.#late = this.#room.watch(() => this.#onLate());
  }

  #onLate(): void {
    this.#late = undefined;
    this.#fail(new Error("the disk takes too long"));
    this.#onFlow();
  }

  #fail(error: unknown): void {
    if (this.#whyNoMore === "failed" || this.#isOver) return;
    this.#whyNoMore = "failed";
    this.#room.onFailed(error);
  }

  /** Reads from the beginning. One reader at a time: another one ends it. */
  read(): SpoolReading {
    this.closeReading();
    const reading = new SpoolReading((at) => this.#readAt(at));
    this.#reading = reading;
    return reading;
  }

  closeReading(): void {
    if (this.#reading === undefined) return;
    this.#reading.isOver = true;
    this.#reading = undefined;
    if (!this.isHeld) this.#close();
  }

  #readAt(at: number): Buffer | Promise<Buffer> | undefined {
    if (at >= this.size) return undefined;
    const index = Math.floor(at / spoolBlockBytes);
    const from = at % spoolBlockBytes;
    const block = this.#blocks[index];
    if (block === undefined) return this.#last?.subarray(from, this.#lastBytes);
    return block.bytes?.subarray(from) ?? this.#readBlock(index, block.sum, from);
  }

  async #readBlock(index: number, sum: number, from: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafeSlow(spoolBlockBytes);
    try {
      if ((await this.#file?.read(bytes, index * spoolBlockBytes)) !== true)
        throw new Error("its file is shorter than what arrived");
      if (zlib.crc32(bytes) !== sum) throw new Error("its file has other bytes than those that arrived");
    } catch (error) {
      this.#fail(error);
      this.#abort("failed");
      throw error;
    }
    return bytes.subarray(from);
  }

  /** It is not needed for another attempt; what reads it continues. */
  release(): void {
    this.#abort("kept");
  }

  #abort(end: SpoolEnd): void {
    if (!this.isHeld) return;
    this.isHeld = false;
    this.#room.onEnd(end);
    if (this.#reading === undefined) this.#close();
  }

  #close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#late?.cancel();
    this.#remember(-this.#memoryBytes);
    this.#room.free(this.#reservedBytes);
    this.#blocks = [];
    this.#last = undefined;
    if (!this.#isWriting) this.#closeFile();
  }

  #closeFile(): void {
    this.#file?.close().catch((error: unknown) => this.#room.onFailed(error));
    this.#file = undefined;
  }

  #remember(bytes: number): void {
    this.#memoryBytes += bytes;
    this.#room.memory.total += bytes;
  }
}

/** Reads a body from its beginning to what has arrived last. */
export class SpoolReading {
  /** It was ended: what it read last must not be used. */
  isOver = false;
  #at = 0;
  readonly #readAt: (at: number) => Buffer | Promise<Buffer> | undefined;

  constructor(readAt: (at: number) => Buffer | Promise<Buffer> | undefined) {
    this.#readAt = readAt;
  }

  /** Undefined: all that has arrived was read. Rejects with `SpoolError` and with errors of the file system. */
  next(): Buffer | Promise<Buffer> | undefined {
    const next = this.#readAt(this.#at);
    if (next === undefined) return undefined;
    if (!(next instanceof Promise)) return this.#took(next);
    return next.then((bytes) => this.#took(bytes));
  }

  #took(bytes: Buffer): Buffer {
    this.#at += bytes.length;
    return bytes;
  }
}

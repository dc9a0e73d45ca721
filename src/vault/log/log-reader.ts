/**
 * Reads the log in order and verifies everything: magic, version, hashes, service, position (record-codec.ts), and what
 * only the order shows: the chain, and that epochs increase by one, at `epoch` records only, each with a new nonce.
 *
 * The end of the log is a position without a record. A record deleted by retention looks the same, so the reader reads
 * the boundary at the first end that it meets and then at regular intervals of ends in a row. That is for liveness; a
 * claim in a hole is caught by the claim itself (R4, log-writer.ts). The record of such a claim stays, and a reader
 * that was left behind would find it and take it for a primary's: therefore no `epoch` record is accepted at or below
 * the boundary. The record that was there before was deleted after the boundary was durable, so a reader that can read
 * its replacement can read the boundary.
 *
 * A reader that finds record after record is behind, and looks up the following ones at the same time: with one look-up
 * in flight it would read no faster than a primary writes, and never catch up on a vault with latency. A miss of such a
 * look-ahead says nothing about the present: the end of the log is accepted only from a look-up that began in `next`
 * (R1).
 */
import type { Rules } from "../../core/rules.ts";
import { CorruptRecordError, LeftBehindError } from "../errors.ts";
import { endsOfLogPerBoundaryCheck, readAheadBytesMax, readAheadRecordsMax } from "../limits.ts";
import { decodeOf, type Log } from "./log.ts";
import type { LogRecord, Position } from "../record.ts";

export interface LogStart {
  /** Position of the last record already known; 0: none. */
  readonly position: Position;
  readonly hash: string;
  /**
   * Epoch of that record, from the checkpoint's manifest. Undefined: unknown until the first record is read (0 at
   * position 0).
   */
  readonly epoch?: number;
}

export interface LogReaderOptions {
  readonly log: Log;
  readonly start: LogStart;
  readonly rules: Rules;
}

export class LogReader {
  readonly log: Log;
  readonly #rules: Rules;
  #position: Position;
  #hash: string;
  #epoch: number | undefined;
  #nonce: string | undefined;
  #last: { readonly record: LogRecord; readonly bytes: Uint8Array } | undefined;
  #ends = 0;
  #isBoundarySeen = false;
  /** Records found in a row. */
  #found = 0;
  /** Look-ups in flight, of consecutive positions. */
  #ahead: { readonly position: Position; readonly bytes: Promise<Uint8Array | undefined> }[] = [];

  constructor(options: LogReaderOptions) {
    this.log = options.log;
    this.#rules = options.rules;
    this.#position = options.start.position;
    this.#hash = options.start.hash;
    this.#epoch = options.start.epoch ?? (options.start.position === 0 ? 0 : undefined);
  }

  /** Position of the last record read, or of the start. */
  get position(): Position {
    return this.#position;
  }

  get hash(): string {
    return this.#hash;
  }

  /** Epoch of the last record read; 0 before the first if the start did not give it. */
  get epoch(): number {
    return this.#epoch ?? 0;
  }

  get isEpochKnown(): boolean {
    return this.#epoch !== undefined;
  }

  get last(): LogRecord | undefined {
    return this.#last?.record;
  }

  /** The stored bytes of `last`: a claimant puts them again before its own record. */
  get lastBytes(): Uint8Array | undefined {
    return this.#last?.bytes;
  }

  /** True when the last `next()` found no record. */
  get isAtEnd(): boolean {
    return this.#ends > 0;
  }

  /**
   * Returns the next record, verified, or undefined if the log ends here; call it again later then. Throws
   * CorruptRecordError, UnknownFormatError, LeftBehindError, StoreError; the reader stays at its position.
   */
  async next(): Promise<LogRecord | undefined> {
    const position = this.#position + 1;
    const bytes = await this.#lookUp(position);
    if (bytes === undefined) {
      if (!this.#isBoundarySeen || this.#ends % endsOfLogPerBoundaryCheck === endsOfLogPerBoundaryCheck - 1)
        await this.#assertNotLeftBehind(position);
      this.#isBoundarySeen = true;
      this.#ends += 1;
      return undefined;
    }
    const record = await decodeOf(this.log, position, bytes);
    this.#assertContinues(record);
    if (record.body.kind === "epoch" && this.#rules.has("R4-boundary-check")) await this.#assertNotLeftBehind(position);
    this.#position = position;
    this.#hash = record.hash;
    this.#epoch = record.header.epoch;
    this.#nonce = record.header.nonce;
    this.#last = { record, bytes };
    this.#ends = 0;
    return record;
  }

  /** Throws LeftBehindError if retention may have deleted the next record. */
  async assertNotLeftBehind(): Promise<void> {
    await this.#assertNotLeftBehind(this.#position + 1);
  }

  async #lookUp(position: Position): Promise<Uint8Array | undefined> {
    // After a failure the next call meets a look-ahead of another position, and drops them all.
    const ahead = this.#ahead.shift();
    const early = ahead?.position === position ? await ahead.bytes : undefined;
    if (early === undefined) this.#ahead = [];
    const bytes = early ?? (await this.log.get(position));
    this.#found = bytes === undefined ? 0 : this.#found + 1;
    if (bytes !== undefined) this.#lookAhead(position, bytes.byteLength);
    return bytes;
  }

  /** Looks further ahead the more records were found in a row, within the bytes that they seem to need. */
  #lookAhead(position: Position, bytes: number): void {
    if (this.#found < 2) return;
    const wanted = Math.min(readAheadRecordsMax, 2 ** (this.#found - 2), Math.floor(readAheadBytesMax / bytes));
    while (this.#ahead.length < wanted) {
      const next = position + 1 + this.#ahead.length;
      const found = this.log.get(next);
      found.catch(() => undefined); // Handled when the reader gets there.
      this.#ahead.push({ position: next, bytes: found });
    }
  }

  async #assertNotLeftBehind(next: Position): Promise<void> {
    const boundary = await this.log.boundary();
    if (boundary >= next) throw new LeftBehindError(this.#position, boundary);
  }

  #assertContinues(record: LogRecord): void {
    const { header, body } = record;
    const corrupt = (found: string, expected: string): CorruptRecordError =>
      new CorruptRecordError(header.position, this.log.nameOf(header.position), found, expected);
    if (this.#rules.has("chain") && header.previousHash !== this.#hash) {
      throw corrupt(`a record that follows ${header.previousHash}`, `one that follows ${this.#hash}`);
    }
    if (body.kind === "epoch") {
      if (this.#epoch !== undefined && header.epoch !== this.#epoch + 1)
        throw corrupt(`a claim of epoch ${header.epoch}`, `epoch ${this.#epoch + 1}`);
      if (header.nonce === this.#nonce) throw corrupt("a claim with the nonce of the claim before", "a new nonce");
      return;
    }
    if (this.#epoch !== undefined && header.epoch !== this.#epoch)
      throw corrupt(`a record of epoch ${header.epoch}`, `epoch ${this.#epoch}`);
    if (this.#nonce !== undefined && header.nonce !== this.#nonce)
      throw corrupt(`a record of the writer ${header.nonce}`, `the writer of the epoch, ${this.#nonce}`);
  }
}

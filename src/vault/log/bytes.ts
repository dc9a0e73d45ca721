/**
 * Reads and writes little-endian fields with bounds: the building block of the record payloads.
 *
 * The reader throws `MalformedBytes` with what was found; the codec turns it into an error that names the key. It never
 * allocates by a length that it has not checked against the available bytes.
 */
import { recordStringBytesMax } from "../limits.ts";

/** Internal: the bytes are not what this version expects. Never leaves the vault's codecs. */
abstract class BytesError extends Error {
  readonly found: string;
  readonly expected: string;
  constructor(found: string, expected: string) {
    super(`found ${found}, expected ${expected}`);
    this.found = found;
    this.expected = expected;
  }
}

/** The bytes violate the format. */
export class MalformedBytes extends BytesError {
  override readonly name = "MalformedBytes";
}

/** Content of the sections that this version does not know and must not skip. */
export class UnknownSection extends BytesError {
  override readonly name = "UnknownSection";
}

/** A lone surrogate: UTF-8 cannot carry it, and it would come back as another string. */
export const loneSurrogate = /\p{Surrogate}/u;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Returns the bytes of a string with its length; throws RangeError if it cannot be stored unchanged. */
export function stringBytes(text: string): number {
  const bytes = Buffer.byteLength(text, "utf8");
  if (bytes > recordStringBytesMax)
    throw new RangeError(`a string of ${bytes} bytes, at most ${recordStringBytesMax} can be stored`);
  if (loneSurrogate.test(text)) throw new RangeError("a string with a lone surrogate cannot be stored");
  return 2 + bytes;
}

export class ByteWriter {
  readonly #bytes: Buffer;
  #offset: number;

  constructor(bytes: Buffer, offset: number) {
    this.#bytes = bytes;
    this.#offset = offset;
  }

  get offset(): number {
    return this.#offset;
  }

  u8(value: number): void {
    this.#offset = this.#bytes.writeUInt8(value, this.#offset);
  }

  u32(value: number): void {
    this.#offset = this.#bytes.writeUInt32LE(value, this.#offset);
  }

  u64(value: number): void {
    this.#offset = this.#bytes.writeBigUInt64LE(BigInt(value), this.#offset);
  }

  bytes(value: Uint8Array): void {
    this.#bytes.set(value, this.#offset);
    this.#offset += value.length;
  }

  /** u16 length, then UTF-8. The caller has called `stringBytes` before. */
  string(text: string): void {
    const written = this.#bytes.write(text, this.#offset + 2, "utf8");
    this.#bytes.writeUInt16LE(written, this.#offset);
    this.#offset += 2 + written;
  }
}

export class ByteReader {
  readonly #bytes: Buffer;
  #offset: number;

  constructor(bytes: Buffer, offset: number) {
    this.#bytes = bytes;
    this.#offset = offset;
  }

  get remaining(): number {
    return this.#bytes.length - this.#offset;
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#take(1));
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#take(4));
  }

  /** A u64 that must be a safe integer. */
  u64(): number {
    const value = Number(this.#bytes.readBigUInt64LE(this.#take(8)));
    if (!Number.isSafeInteger(value)) throw new MalformedBytes(`the number ${value}`, "a number below 2^53");
    return value;
  }

  /** Returns a view, not a copy; a plain one, whose slice() copies. */
  bytes(length: number): Uint8Array {
    const start = this.#take(length);
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + start, length);
  }

  string(): string {
    const length = this.#bytes.readUInt16LE(this.#take(2));
    if (length > recordStringBytesMax)
      throw new MalformedBytes(`a string of ${length} bytes`, `at most ${recordStringBytesMax}`);
    try {
      return decoder.decode(this.bytes(length));
    } catch (error) {
      if (error instanceof MalformedBytes) throw error;
      throw new MalformedBytes("a string that is not UTF-8", "UTF-8");
    }
  }

  expectEnd(): void {
    if (this.remaining !== 0) throw new MalformedBytes(`${this.remaining} bytes after the end`, "none");
  }

  #take(length: number): number {
    const start = this.#offset;
    if (length > this.#bytes.length - start)
      throw new MalformedBytes(`${this.#bytes.length - start} bytes`, `at least ${length}`);
    this.#offset = start + length;
    return start;
  }
}

/**
 * The bytes of a chunk: one MiB of a database (the last chunk: less), compressed, named by its content.
 *
 *     offset  bytes
 *          0      4  magic "STCK"
 *          4      1  format version, 1
 *          5      1  0: stored as it is, 1: zstd
 *          6      2  zeros
 *          8      4  length of the content, u32 little-endian
 *         12      …  content
 *
 * Its key carries the name of the content (store/chunk-names.ts), which a reader verifies whatever the compression.
 * Compression is a port: zstd on the thread pool in production, none in the simulation, where time must not depend on
 * threads. In an encrypted vault these bytes are what the store encrypts (store/keyed-store.ts).
 */
// Imported as a whole: Node 20, where the simulation also runs, has no zstd and would refuse to load the names.
import * as zlib from "node:zlib";
import { DamagedChunkError, quoteFound, UnknownFormatError } from "../errors.ts";
import { chunkBytes } from "../limits.ts";
import type { ChunkNames } from "../store/chunk-names.ts";

const magic = 0x4b435453;
const formatVersion = 1;
const headerBytes = 12;
export const storedChunkBytesMax = headerBytes + chunkBytes;

export interface Compression {
  /** Returns the compressed bytes, or undefined if the content is to be stored uncompressed. */
  compress(content: Uint8Array): Promise<Uint8Array | undefined>;
}

/**
 * zstd at its fastest level: half the bytes of typical databases for a few milliseconds per MiB, off the event loop.
 */
export const zstdCompression: Compression = {
  compress: (content) =>
    new Promise((resolve, reject) => {
      const params = { [zlib.constants.ZSTD_c_compressionLevel]: 1 };
      zlib.zstdCompress(content, { params, chunkSize: roomFor(content.length) }, (error, bytes) => {
        if (error !== null) reject(error);
        else resolve(bytes.length < content.length ? bytes : undefined);
      });
    }),
};

/** As much as zstd makes of so many bytes at worst (ZSTD_COMPRESSBOUND): in one piece, where 16 KiB are usual. */
const roomFor = (bytes: number): number => bytes + (bytes >> 8) + 1024;

export const noCompression: Compression = { compress: () => Promise.resolve(undefined) };

export async function encodeChunk(content: Uint8Array, compression: Compression): Promise<Uint8Array> {
  if (content.length < 1 || content.length > chunkBytes) throw new RangeError(`a chunk of ${content.length} bytes`);
  const compressed = await compression.compress(content);
  const body = compressed ?? content;
  const bytes = Buffer.allocUnsafeSlow(headerBytes + body.length);
  bytes.fill(0, 0, headerBytes);
  bytes.writeUInt32LE(magic, 0);
  bytes.writeUInt8(formatVersion, 4);
  bytes.writeUInt8(compressed === undefined ? 0 : 1, 5);
  bytes.writeUInt32LE(content.length, 8);
  bytes.set(body, headerBytes);
  return bytes;
}

/** A chunk as it is looked for. */
export interface NamedChunk {
  readonly key: string;
  readonly name: string;
  readonly names: ChunkNames;
  /** For the message only. */
  readonly database: string;
  /** The content that has this name: one is compared with it, which costs less than finding its name again. */
  readonly proven?: Uint8Array | undefined;
}

/** Returns the verified content. Throws DamagedChunkError or UnknownFormatError. */
export async function decodeChunk(chunk: NamedChunk, stored: Uint8Array): Promise<Uint8Array> {
  const { key, name, names, database, proven } = chunk;
  const bytes = Buffer.from(stored.buffer, stored.byteOffset, stored.byteLength);
  const damaged = (found: string, expected: string): DamagedChunkError =>
    new DamagedChunkError(key, found, expected, database);
  if (bytes.length < headerBytes) throw damaged(`${bytes.length} bytes`, `at least ${headerBytes}`);
  if (bytes.readUInt32LE(0) !== magic) throw damaged(`magic ${quoteFound(bytes.toString("latin1", 0, 4))}`, '"STCK"');
  const [version, encoding, length] = [bytes.readUInt8(4), bytes.readUInt8(5), bytes.readUInt32LE(8)];
  if (version !== formatVersion) throw new UnknownFormatError(key, `version ${version}`, `version ${formatVersion}`);
  if (encoding > 1) throw new UnknownFormatError(key, `encoding ${encoding}`, "0 (stored) and 1 (zstd)");
  if (bytes.readUInt16LE(6) !== 0) throw damaged("reserved bytes in use", "zeros");
  if (length < 1 || length > chunkBytes) throw damaged(`a content of ${length} bytes`, `1 to ${chunkBytes}`);
  const body = bytes.subarray(headerBytes);
  const content = encoding === 0 ? body : await decompress(body, length, damaged);
  if (content.length !== length) throw damaged(`${content.length} bytes`, `${length}`);
  if (proven !== undefined ? Buffer.compare(content, proven) !== 0 : !names.of(content).includes(name))
    throw damaged(`a content that is named ${names.of(content)[0]}`, name);
  return new Uint8Array(content.buffer, content.byteOffset, content.byteLength);
}

function decompress(
  body: Uint8Array,
  length: number,
  damaged: (found: string, expected: string) => Error,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    zlib.zstdDecompress(body, { maxOutputLength: chunkBytes, chunkSize: roomFor(length) }, (error, content) => {
      if (error !== null) reject(damaged("bytes that do not decompress", "zstd"));
      else resolve(content);
    });
  });
}

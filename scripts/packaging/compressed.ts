/** Compression of what people download: zstd, which unpacks equally fast from every level. */
import type { Buffer } from "node:buffer";
import { constants, zstdCompressSync } from "node:zlib";

/** Bytes of the input that a match may reach back to: 2^27, the most that zstd unpacks without an option. */
const windowLog = 27;

export const levels = { least: 1, most: 19 } as const;

export const squeeze = (bytes: Uint8Array, level: number): Buffer =>
  zstdCompressSync(bytes, {
    params: {
      [constants.ZSTD_c_compressionLevel]: level,
      [constants.ZSTD_c_windowLog]: windowLog,
      [constants.ZSTD_c_checksumFlag]: 1,
    },
  });

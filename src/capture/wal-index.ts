/**
 * The header of the WAL index (`-shm`), read from outside with one `pread`.
 *
 * Layout (https://www.sqlite.org/walformat.html, section 2.1): two copies of a 48-byte header, then the checkpoint
 * information. All numbers are in the machine's byte order, except the salts, which are copied from the WAL as they
 * are.
 *
 *      0 version (3007000)   8 change counter   12 is-initialised u8   13 big-endian checksums u8   14 page size u16
 *     16 mxFrame            20 nPage            24 checksum of the last frame, 2 x u32   32 salts, 8 bytes
 *     40 checksum of bytes 0..39, 2 x u32       48 the second copy       96 nBackfill   100 five read marks   128 nBackfillAttempted
 *
 * A commit writes copy 2, a barrier, then copy 1, and returns to the application only after both. So a header whose
 * copies differ is a commit that no reader has seen yet, or a writer that died in between (the next reader repairs
 * that).
 */
import { readSync } from "node:fs";

export const walIndexBytes = 136;
const version = 3_007_000;

/** A consistent look at the index. Positions in the log compare by salts and frame, never by time. */
export interface WalIndex {
  readonly pageSize: number;
  readonly bigEndian: boolean;
  /** The two salts as in the WAL, read big-endian: together they name a generation of the log. */
  readonly salt1: number;
  readonly salt2: number;
  /** Frames 1..mxFrame of this generation are committed. */
  readonly mxFrame: number;
  /** Pages of the database after the last commit; meaningless if mxFrame is 0. */
  readonly pageCount: number;
  /** Cumulative checksum after frame mxFrame; meaningless if mxFrame is 0. */
  readonly checksum1: number;
  readonly checksum2: number;
  /** Frames 1..nBackfill are in the database file. */
  readonly nBackfill: number;
  /** A checkpoint has begun to copy frames up to this one. */
  readonly nBackfillAttempted: number;
}

export type WalIndexLook =
  | { readonly kind: "index"; readonly index: WalIndex }
  /** The two copies differ, or the checksum is wrong: look again. */
  | { readonly kind: "torn" }
  /** An unknown format. */
  | { readonly kind: "unknown"; readonly version: number };

/** Reads the index header of one database; owns its buffer, so one instance per database. */
export class WalIndexReader {
  readonly #files: { readonly shmFd: number };
  readonly #bytes = new Uint8Array(walIndexBytes);
  readonly #words = new Uint32Array(this.#bytes.buffer);
  readonly #view = new DataView(this.#bytes.buffer);
  /** The words of the last look that found an index, and the index. */
  readonly #knownWords = new Uint32Array(walIndexBytes / 4);
  #known: Extract<WalIndexLook, { kind: "index" }> | undefined;

  /** `shmFd` is read at each look: it changes when the files are reopened. */
  constructor(files: { readonly shmFd: number }) {
    this.#files = files;
  }

  /**
   * True if both copies of the header have exactly this position: nothing was committed since. About half a
   * microsecond. Sound without comparing the rest, because every commit in a generation raises mxFrame and every new
   * generation changes a salt.
   */
  isAt(salt1: number, salt2: number, mxFrame: number): boolean {
    if (readSync(this.#files.shmFd, this.#bytes, 0, walIndexBytes, 0) < walIndexBytes) return false;
    const words = this.#words;
    return (
      words[4] === mxFrame &&
      words[16] === mxFrame &&
      this.#view.getUint32(32) === salt1 &&
      this.#view.getUint32(36) === salt2 &&
      this.#view.getUint32(80) === salt1 &&
      this.#view.getUint32(84) === salt2
    );
  }

  /** Returns the same object while nothing in the header changes. */
  look(): WalIndexLook {
    if (readSync(this.#files.shmFd, this.#bytes, 0, walIndexBytes, 0) < walIndexBytes) return { kind: "torn" };
    if (this.#known !== undefined && this.#isKnown()) return this.#known;
    const look = this.#parse();
    this.#known = look.kind === "index" ? look : undefined;
    this.#knownWords.set(this.#words);
    return look;
  }

  #isKnown(): boolean {
    const [words, known] = [this.#words, this.#knownWords];
    for (let i = 0; i < known.length; i++) if (words[i] !== known[i]) return false;
    return true;
  }

  #parse(): WalIndexLook {
    const words = this.#words;
    for (let i = 0; i < 12; i++) if (words[i] !== words[i + 12]) return { kind: "torn" };
    if (this.#bytes[12] !== 1 || !this.#checksumHolds()) return { kind: "torn" };
    const found = words[0] ?? 0;
    if (found !== version) return { kind: "unknown", version: found };
    // Bytes 14 and 15 of a little-endian word, as on all targets.
    const sizeField = (words[3] ?? 0) >>> 16;
    return {
      kind: "index",
      index: {
        pageSize: (sizeField & 0xfe00) + ((sizeField & 1) << 16),
        bigEndian: this.#bytes[13] === 1,
        salt1: this.#view.getUint32(32),
        salt2: this.#view.getUint32(36),
        mxFrame: words[4] ?? 0,
        pageCount: words[5] ?? 0,
        checksum1: words[6] ?? 0,
        checksum2: words[7] ?? 0,
        nBackfill: words[24] ?? 0,
        nBackfillAttempted: words[32] ?? 0,
      },
    };
  }

  /**
   * Returns up to which frame readers of slots 0 to 4 read, if there are readers: marks stay when readers end. Empty
   * while there is no index.
   */
  readMarks(): number[] {
    if (readSync(this.#files.shmFd, this.#bytes, 0, walIndexBytes, 0) < walIndexBytes) return [];
    return [...this.#words.subarray(25, 30)];
  }

  /** The header's own checksum: always in native byte order, from a seed of zero. */
  #checksumHolds(): boolean {
    const words = this.#words;
    let s1 = 0;
    let s2 = 0;
    for (let i = 0; i < 10; i += 2) {
      s1 = (s1 + (words[i] ?? 0) + s2) >>> 0;
      s2 = (s2 + (words[i + 1] ?? 0) + s1) >>> 0;
    }
    return s1 === words[10] && s2 === words[11];
  }
}

/** Same generation and same frame: the same committed state. */
export function samePosition(
  a: Pick<WalIndex, "salt1" | "salt2" | "mxFrame">,
  b: Pick<WalIndex, "salt1" | "salt2" | "mxFrame">,
): boolean {
  return a.mxFrame === b.mxFrame && sameGeneration(a, b);
}

export function sameGeneration(a: Pick<WalIndex, "salt1" | "salt2">, b: Pick<WalIndex, "salt1" | "salt2">): boolean {
  return a.salt1 === b.salt1 && a.salt2 === b.salt2;
}

/**
 * Makes the content of a file under a temporary name: from the flush, the vault, the files as they were before the
 * flush, or those of an earlier run, each piece proven by its hash. Nothing can be seen of it until it is put in place.
 */
import { fdatasync } from "node:fs";
import { promisify } from "node:util";
import type { FetchPiece } from "../../../capture/files/files-snapshot.ts";
import { ReplicaError } from "../../../capture/replica-error.ts";
import type { PutFile } from "../../../core/files/file-change.ts";
import { filePieceBytes, type FilePiece, pieceLength, type PiecePlace } from "../../../core/files/file-entry.ts";
import { EventLoopBudget } from "../../../runtime/event-loop-budget.ts";
import type { FileSystem } from "../../../runtime/file-system.ts";
import { inParallel } from "../../../runtime/in-parallel.ts";
import type { LocalPieces } from "./local-pieces.ts";

/** A piece that the state before the flush does not have. */
export const nowhere: PiecePlace = { kind: "record", position: 0 };

/** Pieces of one file that are made at the same time. */
const piecesAtOnce = 4;
const sync = promisify(fdatasync);

/** A file whose content is made: at a temporary path, or still under the name of the file that it was. */
export interface MadeFile {
  readonly temporary: string;
  readonly put: PutFile;
}

export interface FileMakerParts {
  readonly fs: FileSystem;
  /** Returns a path for a file that is being written. */
  readonly newTemporary: () => string;
  /** Returns a piece from where the vault has it, proven by its hash. */
  readonly fetch: FetchPiece;
  /** True for files that this host has. */
  readonly isOurs: (path: string) => boolean;
  /** Each file is synced. */
  readonly isDurable: boolean;
}

export class FileMaker {
  readonly #parts: FileMakerParts;

  constructor(parts: FileMakerParts) {
    this.#parts = parts;
  }

  /** `places`: where the vault has pieces, by index. */
  async make(put: PutFile, local: LocalPieces | undefined, places: readonly FilePiece[]): Promise<MadeFile> {
    const { fs, newTemporary, isDurable } = this.#parts;
    const { path, size, mtimeMs } = put;
    const temporary = newTemporary();
    if (local !== undefined && local.mayMove && (await isSame(put, local)) && local.hasMovedTo(temporary)) {
      fs.utimesSync(temporary, mtimeMs / 1000, mtimeMs / 1000);
      return { temporary, put };
    }
    const fd = fs.openSync(temporary, "wx", 0o600);
    try {
      fs.ftruncateSync(fd, size);
      await inParallel(piecesAtOnce, [...put.pieces.keys()], async (index) => {
        const bytes = await this.#pieceOf(put, index, local, places[index]);
        if (bytes.length !== pieceLength(size, index))
          throw refused(`piece ${index} of ${path} with ${bytes.length} bytes`, `${pieceLength(size, index)}`);
        // What was a hole stays one.
        if (!isZero(bytes)) writeAll(fs, fd, bytes, index * filePieceBytes);
      });
      if (isDurable) await sync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.utimesSync(temporary, mtimeMs / 1000, mtimeMs / 1000);
    return { temporary, put };
  }

  async #pieceOf(
    { path, size, base, pieces }: PutFile,
    index: number,
    local: LocalPieces | undefined,
    before: FilePiece | undefined,
  ): Promise<Uint8Array> {
    const piece = pieces[index];
    if (piece === undefined) throw new RangeError(`no piece ${index} of ${path}`);
    const { hash, source } = piece;
    if (source.kind === "inline") return source.bytes;
    const here = local?.read(source.kind === "same" ? source.index : index, hash);
    if (here !== undefined) return here;
    const place = source.kind === "chunk" && before?.place.kind !== "chunk" ? source : before?.place;
    // This host leaves out the file from which this one was renamed, and so has nothing of it.
    const isElsewhere = base !== undefined && !this.#parts.isOurs(base) && place !== nowhere;
    const length = pieceLength(size, index);
    if (place !== undefined && (place.kind === "chunk" || isElsewhere))
      return this.#parts.fetch({ place, hash, length, path });
    throw new ReplicaError(
      base ?? path,
      "a file that was changed by something other than this host",
      "a copy that only the journal changes; nothing else may write to the files of a secondary",
      "foreign",
    );
  }
}

export const refused = (found: string, accepted: string): ReplicaError => new ReplicaError("files", found, accepted);

/** True if a file of an earlier run has exactly this content. */
async function isSame({ size, pieces }: PutFile, local: LocalPieces): Promise<boolean> {
  if (local.size !== size) return false;
  const budget = new EventLoopBudget();
  for (const [index, { hash }] of pieces.entries()) {
    if (!local.has(index, hash)) return false;
    await budget.yieldIfDue();
  }
  return true;
}

const zeros = Buffer.alloc(filePieceBytes);
const isZero = (bytes: Uint8Array): boolean => Buffer.compare(bytes, zeros.subarray(0, bytes.length)) === 0;

function writeAll(fs: FileSystem, fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length; ) done += fs.writeSync(fd, bytes, done, bytes.length - done, position + done);
}

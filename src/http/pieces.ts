/**
 * Output as a list of pieces (latin1 strings and buffers) and how it is written: small pieces are joined, because one system
 * call costs more than copying some kilobytes.
 */
import { Buffer } from "node:buffer";

export type Piece = string | Buffer;

/** Up to this size pieces are joined; above it copying costs more than another write. */
const joinBytesMax = 128 * 1024;

interface Writable {
  write(data: string | Uint8Array, encoding?: "latin1"): unknown;
}

/** Writes all pieces in order, in as few writes as is sensible. */
export function writePieces(target: Writable, pieces: readonly Piece[]): void {
  if (pieces.length === 1) {
    writePiece(target, pieces[0] as Piece);
    return;
  }
  let total = 0;
  for (const piece of pieces) total += piece.length;
  if (total > joinBytesMax) {
    for (const piece of pieces) writePiece(target, piece);
    return;
  }
  if (total === 0) return;
  const joined = Buffer.allocUnsafe(total);
  let at = 0;
  for (const piece of pieces) {
    if (typeof piece === "string") joined.write(piece, at, "latin1");
    else joined.set(piece, at);
    at += piece.length;
  }
  target.write(joined);
}

function writePiece(target: Writable, piece: Piece): void {
  if (piece.length === 0) return;
  if (typeof piece === "string") target.write(piece, "latin1");
  else target.write(piece);
}

/** Adds one chunk of the chunked coding to `pieces`; an empty one would end the body and is left out. */
export function pushChunk(pieces: Piece[], data: Buffer): void {
  if (data.length === 0) return;
  pieces.push(`${data.length.toString(16)}\r\n`, data, "\r\n");
}

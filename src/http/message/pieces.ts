/** The chunked coding of what is sent (RFC 9112, 7.1). */
import type { Buffer } from "node:buffer";
import type { Piece } from "../../runtime/tcp/tcp.ts";

/** Adds one chunk to `pieces`; an empty one would end the body and is left out. */
export function pushChunk(pieces: Piece[], data: Buffer): void {
  if (data.length === 0) return;
  pieces.push(`${data.length.toString(16)}\r\n`, data, "\r\n");
}

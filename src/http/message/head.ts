/** Heads outside the codec. Strings hold one character per byte (latin1), so they leave exactly as they arrived. */
import type { HeaderList } from "./headers.ts";

export type HttpVersion = "1.0" | "1.1";

export interface RequestHead {
  readonly method: string;
  /** The request target, byte for byte as received. */
  readonly target: string;
  readonly version: HttpVersion;
  readonly headers: HeaderList;
}

export interface ResponseHead {
  readonly status: number;
  /** The reason phrase as received, possibly empty. */
  readonly reason: string;
  readonly version: HttpVersion;
  readonly headers: HeaderList;
}

/** Where a body ends (RFC 9112, 6.3). */
export type Framing =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly bytes: number }
  | { readonly kind: "chunked" }
  /** A response that ends with its connection. */
  | { readonly kind: "close" };

/** An address and port as in a URL or in Host: IPv6 in brackets. */
export function authority(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

export const noBody: Framing = { kind: "none" };
export const chunkedBody: Framing = { kind: "chunked" };
export const closeDelimitedBody: Framing = { kind: "close" };

/**
 * The fields that the codec itself must understand, recognised by length and first letter before anything is compared.
 * Numbers instead of strings because this runs for every field of every message.
 */
export const OTHER = 0;
export const HOST = 1;
export const CONTENT_LENGTH = 2;
export const TRANSFER_ENCODING = 3;
export const CONNECTION = 4;
export const KEEP_ALIVE = 5;
export const TE = 6;
export const UPGRADE = 7;
export const EXPECT = 8;
export const PROXY_CONNECTION = 9;
export const HTTP2_SETTINGS = 10;
export type KnownField = number;

const lowerFirst = (name: string): number => name.charCodeAt(0) | 0x20;
const is = (name: string, known: string): boolean => name === known || name.toLowerCase() === known;

/** Which of the known fields `name` is, or `OTHER`. */
export function knownField(name: string): KnownField {
  switch (name.length) {
    case 2:
      return lowerFirst(name) === 0x74 && is(name, "te") ? TE : OTHER;
    case 4:
      return lowerFirst(name) === 0x68 && is(name, "host") ? HOST : OTHER;
    case 6:
      return lowerFirst(name) === 0x65 && is(name, "expect") ? EXPECT : OTHER;
    case 7:
      return lowerFirst(name) === 0x75 && is(name, "upgrade") ? UPGRADE : OTHER;
    case 10:
      if (lowerFirst(name) === 0x63 && is(name, "connection")) return CONNECTION;
      return lowerFirst(name) === 0x6b && is(name, "keep-alive") ? KEEP_ALIVE : OTHER;
    case 14:
      if (lowerFirst(name) === 0x63 && is(name, "content-length")) return CONTENT_LENGTH;
      return lowerFirst(name) === 0x68 && is(name, "http2-settings") ? HTTP2_SETTINGS : OTHER;
    case 16:
      return lowerFirst(name) === 0x70 && is(name, "proxy-connection") ? PROXY_CONNECTION : OTHER;
    case 17:
      return lowerFirst(name) === 0x74 && is(name, "transfer-encoding") ? TRANSFER_ENCODING : OTHER;
    default:
      return OTHER;
  }
}

/** Fields that end at this hop whether or not `Connection` names them (RFC 9110, 7.6.1). */
export function isHopByHop(field: KnownField): boolean {
  return (
    field === CONNECTION || field === KEEP_ALIVE || field === TE || field === UPGRADE || field === PROXY_CONNECTION ||
    field === TRANSFER_ENCODING || field === HTTP2_SETTINGS
  );
}

/** Writes DER (ITU-T X.690): only what a certificate of the cluster consists of. */

const tag = {
  boolean: 0x01,
  integer: 0x02,
  bits: 0x03,
  octets: 0x04,
  object: 0x06,
  utf8: 0x0c,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Returns `content` as one element; its length is in the short form below 128, else in the long one (X.690, 8.1.3). */
function element(kind: number, ...content: readonly Uint8Array[]): Buffer {
  const bytes = Buffer.concat(content);
  return Buffer.concat([Buffer.from([kind, ...lengthOf(bytes.length)]), bytes]);
}

function lengthOf(length: number): readonly number[] {
  if (length < 0x80) return [length];
  const octets: number[] = [];
  for (let rest = length; rest > 0; rest >>>= 8) octets.unshift(rest & 0xff);
  return [0x80 | octets.length, ...octets];
}

export const sequence = (...items: readonly Uint8Array[]): Buffer => element(tag.sequence, ...items);
export const set = (...items: readonly Uint8Array[]): Buffer => element(tag.set, ...items);
export const boolean = (value: boolean): Buffer => element(tag.boolean, Buffer.from([value ? 0xff : 0]));
export const octets = (bytes: Uint8Array): Buffer => element(tag.octets, bytes);
export const utf8 = (text: string): Buffer => element(tag.utf8, Buffer.from(text));

/** An integer that is not negative, from its big-endian bytes. */
export function integer(bytes: Uint8Array): Buffer {
  const first = bytes.findIndex((byte) => byte !== 0);
  const digits = first === -1 ? Buffer.alloc(1) : Buffer.from(bytes.subarray(first));
  return element(tag.integer, (digits[0] ?? 0) >= 0x80 ? Buffer.from([0]) : Buffer.alloc(0), digits);
}

/** `unused`: how many of the last bits do not count. */
export const bits = (bytes: Uint8Array, unused = 0): Buffer => element(tag.bits, Buffer.from([unused]), bytes);

/** An object identifier in dotted form. */
export function object(dotted: string): Buffer {
  const [first = 0, second = 0, ...others] = dotted.split(".").map(Number);
  return element(tag.object, Buffer.from([first * 40 + second, ...others.flatMap(base128)]));
}

function base128(value: number): readonly number[] {
  const octets = [value & 0x7f];
  for (let rest = value >>> 7; rest > 0; rest >>>= 7) octets.unshift(0x80 | (rest & 0x7f));
  return octets;
}

/** To the second, UTC (RFC 5280, 4.1.2.5.2). */
export const generalizedTime = (ms: number): Buffer =>
  element(tag.generalizedTime, Buffer.from(`${new Date(ms).toISOString().replace(/\.\d+|[-:T]/g, "")}`));

/** A context-specific element that replaces the tag of its content. */
export const implicit = (number: number, content: Uint8Array): Buffer => element(0x80 | number, content);
/** A context-specific element around its content. */
export const explicit = (number: number, content: Uint8Array): Buffer => element(0xa0 | number, content);

/**
 * The fields that this code must understand or may have to change, recognised while a head is scanned: by length, then
 * letter by letter. They are numbers, because this runs for every field of every message, and so that a set of them is
 * one number.
 */
import type { Buffer } from "node:buffer";

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
/** Fields that identify the client: `Forwarded`, `X-Forwarded-For/-Proto/-Host`, `X-Real-IP`. */
export const FORWARDED = 11;
export const X_REQUEST_ID = 12;
export const TRACEPARENT = 13;
/** Our own: every field that begins with `Stead-`. */
export const STEAD = 14;
/** Fields by which a connection may be logged in: credentials, challenges, and `Persistent-Auth`. */
export const LOGIN = 15;
/** Other fields that claim to come from a proxy: every `X-Forwarded-*`, and names for the client's address. */
export const CLAIM = 16;
/** The name has characters other than letters, digits and hyphens. It is a mark beside the field, not a field. */
export const ODD = 17;
export type KnownField = number;

/** A set of known fields, one bit each. */
export type FieldSet = number;

export const fieldSet = (...fields: readonly KnownField[]): FieldSet =>
  fields.reduce((set, field) => set | (1 << field), 0);

/** Fields that end at this hop whether or not `Connection` names them (RFC 9110, 7.6.1). */
const hopByHop = fieldSet(CONNECTION, KEEP_ALIVE, TE, UPGRADE, PROXY_CONNECTION, TRANSFER_ENCODING, HTTP2_SETTINGS);

export const isHopByHop = (field: KnownField): boolean => (hopByHop & (1 << field)) !== 0;

const names: Readonly<Record<string, KnownField>> = {
  host: HOST,
  "content-length": CONTENT_LENGTH,
  "transfer-encoding": TRANSFER_ENCODING,
  connection: CONNECTION,
  "keep-alive": KEEP_ALIVE,
  te: TE,
  upgrade: UPGRADE,
  expect: EXPECT,
  "proxy-connection": PROXY_CONNECTION,
  "http2-settings": HTTP2_SETTINGS,
  forwarded: FORWARDED,
  "x-forwarded-for": FORWARDED,
  "x-forwarded-proto": FORWARDED,
  "x-forwarded-host": FORWARDED,
  "x-real-ip": FORWARDED,
  "x-client-ip": CLAIM,
  "client-ip": CLAIM,
  "true-client-ip": CLAIM,
  "x-cluster-client-ip": CLAIM,
  "x-original-forwarded-for": CLAIM,
  "x-request-id": X_REQUEST_ID,
  traceparent: TRACEPARENT,
  authorization: LOGIN,
  "proxy-authorization": LOGIN,
  "www-authenticate": LOGIN,
  "proxy-authenticate": LOGIN,
  "persistent-auth": LOGIN,
};
const ours = "stead-";
const proxys = "x-forwarded-";

interface Candidate {
  readonly name: string;
  readonly field: KnownField;
}

const byLength: Candidate[][] = [];
for (const [name, field] of Object.entries(names)) (byLength[name.length] ??= []).push({ name, field });

/** Returns the known field whose name is at `from`, or `OTHER`. The name is a token, so case changes bit 5 only. */
export function knownFieldAt(bytes: Buffer, from: number, end: number): KnownField {
  const candidates = byLength[end - from];
  if (candidates !== undefined) {
    for (let i = 0; i < candidates.length; i++) {
      const { name, field } = candidates[i] as Candidate;
      if (isAt(bytes, from, name)) return field;
    }
  }
  if (end - from > ours.length && isAt(bytes, from, ours)) return STEAD;
  return end - from > proxys.length && isAt(bytes, from, proxys) ? CLAIM : OTHER;
}

function isAt(bytes: Buffer, from: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    if (((bytes[from + i] as number) | 0x20) !== name.charCodeAt(i)) return false;
  }
  return true;
}

/** Same for a name that has been cut out. */
export function knownField(name: string): KnownField {
  const lower = name.toLowerCase();
  const known = names[lower];
  if (known !== undefined) return known;
  if (lower.length > ours.length && lower.startsWith(ours)) return STEAD;
  return lower.length > proxys.length && lower.startsWith(proxys) ? CLAIM : OTHER;
}

/**
 * True if a name is not that of a known field, and would be taken for one by an application that sees the names of
 * fields as variables: CGI, WSGI and others write both `X-Forwarded-For` and `X_Forwarded_For` as
 * `HTTP_X_FORWARDED_FOR` (RFC 3875, 4.1.18), and some do so with any other character.
 */
export function imitatesKnownField(name: string): boolean {
  const usual = name.replaceAll(/[^A-Za-z0-9]/g, "-");
  return usual !== name && knownField(usual) !== OTHER;
}

/**
 * The PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt): a load balancer identifies the client at the
 * start of a connection. It is read only from configured addresses, and required from them, because a connection
 * without the header cannot be told from one whose client forged its first line.
 */
import { Buffer } from "node:buffer";
import { isIPv4, isIPv6 } from "node:net";
import { ProtocolError } from "../message/protocol-error.ts";

export interface ProxySource {
  readonly address: string;
  readonly port: number;
}

export interface ProxyHeader {
  /** Undefined: the balancer connects for itself (health checks) or does not know the client. */
  readonly source: ProxySource | undefined;
  /** Offset of the first byte after the header. */
  readonly end: number;
}

const signatureV2 = Buffer.from([13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10]);
const signatureV1 = Buffer.from("PROXY ", "latin1");
/** The longest line that version 1 allows, with its line end. */
const lineBytesMax = 107;
/** Addresses and extensions of version 2; client certificates are not expected here. */
const payloadBytesMax = 2_048;

/** Reads the header at the start of `bytes`; returns undefined if it is not complete yet; throws `ProtocolError`. */
export function readProxyHeader(bytes: Buffer): ProxyHeader | undefined {
  if (startsAs(bytes, signatureV1)) return bytes.length < signatureV1.length ? undefined : readV1(bytes);
  if (startsAs(bytes, signatureV2)) return bytes.length < 16 ? undefined : readV2(bytes);
  throw malformed("the connection must start with a PROXY protocol header");
}

/** True if one is a prefix of the other. */
function startsAs(bytes: Buffer, signature: Buffer): boolean {
  const length = Math.min(bytes.length, signature.length);
  return bytes.compare(signature, 0, length, 0, length) === 0;
}

function readV1(bytes: Buffer): ProxyHeader | undefined {
  const lineEnd = bytes.indexOf(10);
  if (lineEnd === -1 && bytes.length < lineBytesMax) return undefined;
  if (lineEnd === -1 || lineEnd >= lineBytesMax || bytes[lineEnd - 1] !== 13)
    throw malformed("a PROXY line must end with CR LF within 107 bytes");
  const line = bytes.toString("latin1", 0, lineEnd - 1);
  const end = lineEnd + 1;
  if (line === "PROXY UNKNOWN" || line.startsWith("PROXY UNKNOWN ")) return { source: undefined, end };
  const [, family, source = "", destination = "", sourcePort = "", destinationPort = "", more] = line.split(" ");
  const isAddress = family === "TCP4" ? isIPv4 : family === "TCP6" ? isIPv6 : undefined;
  if (
    isAddress?.(source) !== true ||
    !isAddress(destination) ||
    !isPort(sourcePort) ||
    !isPort(destinationPort) ||
    more !== undefined
  ) {
    throw malformed("a PROXY line must be PROXY TCP4 or TCP6, two addresses and two ports");
  }
  return { source: { address: source, port: Number(sourcePort) }, end };
}

const isPort = (text: string): boolean => /^(?:0|[1-9]\d{0,4})$/.test(text) && Number(text) <= 65_535;

function readV2(bytes: Buffer): ProxyHeader | undefined {
  const versionAndCommand = bytes[12];
  const family = bytes[13];
  const length = bytes.readUInt16BE(14);
  const end = 16 + length;
  if (versionAndCommand !== 0x20 && versionAndCommand !== 0x21)
    throw malformed("a PROXY header must have version 2 and a known command");
  if (length > payloadBytesMax) throw malformed("a PROXY header is larger than accepted");
  if (bytes.length < end) return undefined;
  // LOCAL: the balancer's own connection; its addresses are to be ignored.
  if (versionAndCommand === 0x20) return { source: undefined, end };
  if (family === 0x11) {
    if (length < 12) throw malformed("a PROXY header is too short for its addresses");
    return { source: { address: [...bytes.subarray(16, 20)].join("."), port: bytes.readUInt16BE(24) }, end };
  }
  if (family === 0x21) {
    if (length < 36) throw malformed("a PROXY header is too short for its addresses");
    const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(16 + i * 2).toString(16));
    return { source: { address: canonicalIPv6(groups), port: bytes.readUInt16BE(48) }, end };
  }
  return { source: undefined, end };
}

/** RFC 5952, 4.2: the longest run of at least two zero groups is omitted, the first of several. */
function canonicalIPv6(groups: readonly string[]): string {
  let start = -1;
  let length = 1;
  for (let from = 0; from < 8; from++) {
    let to = from;
    while (to < 8 && groups[to] === "0") to++;
    if (to - from > length) {
      start = from;
      length = to - from;
    }
  }
  if (start === -1) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + length).join(":")}`;
}

const malformed = (why: string): ProtocolError => new ProtocolError(400, "proxy_header_malformed", why);

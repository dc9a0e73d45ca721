/** Reads what a TLS client offers in its first message (RFC 8446, 4.1.2), before its handshake: name and protocols. */
import type { Buffer } from "node:buffer";

export interface ClientHello {
  /** RFC 6066, 3; in lower case. Undefined: none. */
  readonly serverName: string | undefined;
  /** RFC 7301. */
  readonly protocols: readonly string[];
}

const nothing: ClientHello = { serverName: undefined, protocols: [] };
const recordBytesMax = 16 * 1024;

/** Undefined: more is to come. What cannot be read offers nothing: the handshake itself refuses it. */
export function readClientHello(bytes: Buffer): ClientHello | undefined {
  if (bytes.length > 0 && bytes[0] !== 22) return nothing;
  if (bytes.length < 5) return undefined;
  const length = bytes.readUInt16BE(3);
  if (length > recordBytesMax) return nothing;
  if (bytes.length < 5 + length) return undefined;
  try {
    return helloOf(bytes.subarray(5, 5 + length));
  } catch (error) {
    // Shorter than its lengths say, or continued in another record.
    if (error instanceof RangeError) return nothing;
    throw error;
  }
}

function helloOf(message: Buffer): ClientHello {
  if (message[0] !== 1) return nothing;
  let at = 4 + 2 + 32;
  at += 1 + message.readUInt8(at); // session
  at += 2 + message.readUInt16BE(at); // cipher suites
  at += 1 + message.readUInt8(at); // compression
  const end = at + 2 + message.readUInt16BE(at);
  let found = nothing;
  for (at += 2; at < end; ) {
    const kind = message.readUInt16BE(at);
    const length = message.readUInt16BE(at + 2);
    const content = message.subarray(at + 4, at + 4 + length);
    if (content.length < length) throw new RangeError("cut");
    if (kind === 0) found = { ...found, serverName: serverNameOf(content) };
    if (kind === 16) found = { ...found, protocols: protocolsOf(content) };
    at += 4 + length;
  }
  return found;
}

function serverNameOf(content: Buffer): string | undefined {
  if (content.length < 5 || content[2] !== 0) return undefined;
  return content.toString("latin1", 5, 5 + content.readUInt16BE(3)).toLowerCase();
}

function protocolsOf(content: Buffer): string[] {
  const protocols: string[] = [];
  for (let at = 2; at < content.length; ) {
    const length = content.readUInt8(at);
    protocols.push(content.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  return protocols;
}

/**
 * Names of databases: paths below the data folder with forward slashes, as the journal, the vault and operators see
 * them.
 *
 * A file's name on Linux is bytes. In a database name, each byte that is not part of valid UTF-8, and each backslash,
 * is written as `\xHH` (two lower-case hexadecimal digits); everything else stands for itself. A backslash in a name
 * therefore always begins an escape, two different files never have the same name, and each name leads back to exactly
 * its original bytes. A name with any other backslash (`\x2f` for a slash, `\x61` for a letter, a lone one) is invalid:
 * no name leads out of the folder, and no file has two names. Names without backslashes are unchanged from versions
 * without escapes.
 */
const escape = /\\x([0-9a-f]{2})/g;

/** Returns the name of a path (relative, or one segment of it) given as bytes by the file system. */
export function nameOfBytes(bytes: Uint8Array): string {
  let name = "";
  for (let at = 0; at < bytes.length; ) {
    const length = validLength(bytes, at);
    if (length === 0 || bytes[at] === backslash) {
      name += `\\x${(bytes[at] ?? 0).toString(16).padStart(2, "0")}`;
      at += 1;
    } else {
      name += decoder.decode(bytes.subarray(at, at + length));
      at += length;
    }
  }
  return name;
}

/** Returns the bytes of the path of a name. */
export function bytesOfName(name: string): Uint8Array {
  const parts: number[] = [];
  let from = 0;
  for (const match of name.matchAll(escape)) {
    parts.push(...encoder.encode(name.slice(from, match.index)), Number.parseInt(match[1] ?? "", 16));
    from = match.index + match[0].length;
  }
  parts.push(...encoder.encode(name.slice(from)));
  return new Uint8Array(parts);
}

/** True if the name is not itself a UTF-8 path and must go through `bytesOfName`. */
export const hasEscapes = (name: string): boolean => name.includes("\\");

/** Names come from the vault and become paths on a host: none may lead out of its data folder. */
export function isDatabaseName(name: string): boolean {
  if (name === "" || name.includes("\0") || !isCanonical(name)) return false;
  return name.split("/").every((segment) => segment !== "" && segment !== "." && segment !== "..");
}

/** True if each backslash begins an escape of a byte that must be escaped. */
export const isCanonical = (name: string): boolean => !hasEscapes(name) || nameOfBytes(bytesOfName(name)) === name;

const backslash = 0x5c;
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Returns the length of the UTF-8 sequence (RFC 3629, section 4) that begins there; 0 if there is none. */
function validLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  if (first < 0x80) return 1;
  const [length, low, high] = sequenceOf(first);
  for (let i = 1; i < length; i++) {
    const next = bytes[at + i] ?? 0;
    if (next < (i === 1 ? low : 0x80) || next > (i === 1 ? high : 0xbf)) return 0;
  }
  return length;
}

/** Length of the sequence and range of its second byte. */
function sequenceOf(first: number): [length: number, low: number, high: number] {
  if (first >= 0xc2 && first <= 0xdf) return [2, 0x80, 0xbf];
  if (first === 0xe0) return [3, 0xa0, 0xbf];
  if (first === 0xed) return [3, 0x80, 0x9f];
  if (first >= 0xe1 && first <= 0xef) return [3, 0x80, 0xbf];
  if (first === 0xf0) return [4, 0x90, 0xbf];
  if (first >= 0xf1 && first <= 0xf3) return [4, 0x80, 0xbf];
  if (first === 0xf4) return [4, 0x80, 0x8f];
  return [0, 0, 0];
}

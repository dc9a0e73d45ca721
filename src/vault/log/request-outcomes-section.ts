/**
 * The section `outcomes` of a flush's first record: what the application answered to named requests whose commits are
 * in this flush or an earlier one (src/core/request-names.ts). Raw deflate of the outcomes, one behind the other (few
 * are stored, not compressed); big-endian:
 *
 *     run 8 bytes, count u48, status u16, kind u8 (bit 7: with a fingerprint), fingerprint 16 bytes if so
 *     kind 0 (whole): length of reason u16, reason, number of fields u16, for each: length u16, name, length u32, value,
 *                     length of body u32, body; it is read, and not written any more
 *     kind 1 (answered): length of the body u48, its SHA-256 32 bytes
 *     kind 2 (whole): length of reason u16, reason, length of the fields' lines u32, these lines, length of body u32,
 *                     body
 *
 * It is optional, and no promise rests on it: for a reader that skips it the names are in doubt, as the section
 * `requests` has them, and their repetitions are answered as unknown. So it is for a version before kind 2.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { Section } from "../../core/flush.ts";
import type { NamedOutcome } from "../../core/request-names.ts";
import type { RequestOutcome } from "../../core/request-outcome.ts";
import { MalformedBytes } from "./bytes.ts";

export const outcomesKind = "outcomes";
/** Of all outcomes of a flush, before compression: a damaged section must not take all memory. */
const inflatedBytesMax = 64 * 1024 * 1024;
/** Fewer bytes are not deflated: that would take longer than everything else about them, in each flush. */
const deflatedFrom = 8 * 1024;
const runBytes = 8;
const hashBytes = 32;
const [splitTag, answeredTag, wholeTag, printedFlag] = [0, 1, 2, 0x80];
const fingerprintBytes = 16;

/** `isKeyed`: as in `FlushNames`. */
export function outcomesSection(outcomes: readonly NamedOutcome[], level: 0 | 1 = 1, isKeyed = false): Section {
  const plain = Buffer.allocUnsafe(outcomes.reduce((sum, each) => sum + bytesOf(each), 0));
  outcomes.reduce((at, each) => writeOutcome(plain, at, each), 0);
  const content = plain.length < deflatedFrom ? storedDeflate(plain) : deflateRawSync(plain, { level });
  return { kind: outcomesKind, isRequired: isKeyed, content };
}

/** Deflate without compression: one stored block, the last one (RFC 1951, 3.2.4). Little-endian. */
function storedDeflate(plain: Buffer): Buffer {
  const head = Buffer.allocUnsafe(5);
  head.writeUInt8(1, 0);
  head.writeUInt16LE(plain.length, 1);
  head.writeUInt16LE(~plain.length & 0xffff, 3);
  return Buffer.concat([head, plain]);
}

function bytesOf({ outcome, fingerprint }: NamedOutcome): number {
  const head = runBytes + 6 + 2 + 1 + (fingerprint === undefined ? 0 : fingerprintBytes);
  if (outcome.kind === "answered") return head + 6 + hashBytes;
  return head + 2 + outcome.reason.length + 4 + outcome.fields.length + 4 + outcome.body.byteLength;
}

/** One after the other, because this runs for each answer: returns the place behind it. */
function writeOutcome(plain: Buffer, from: number, { name, outcome, fingerprint }: NamedOutcome): number {
  let at = from + plain.write(name.run, from, runBytes, "hex");
  at = plain.writeUIntBE(name.count, at, 6);
  at = plain.writeUInt16BE(outcome.status, at);
  const tag = outcome.kind === "answered" ? answeredTag : wholeTag;
  at = plain.writeUInt8(fingerprint === undefined ? tag : tag | printedFlag, at);
  if (fingerprint !== undefined) at += plain.write(fingerprint, at, fingerprintBytes, "hex");
  if (outcome.kind === "answered") {
    at = plain.writeUIntBE(outcome.bodyBytes, at, 6);
    return at + plain.write(outcome.sha256, at, hashBytes, "hex");
  }
  at = plain.writeUInt16BE(outcome.reason.length, at);
  at += plain.write(outcome.reason, at, "latin1");
  at = plain.writeUInt32BE(outcome.fields.length, at);
  at += plain.write(outcome.fields, at, "latin1");
  at = plain.writeUInt32BE(outcome.body.byteLength, at);
  plain.set(outcome.body, at);
  return at + outcome.body.byteLength;
}

/** Empty: the record has no such section, or one that cannot be read. */
export function requestOutcomesOf(sections: readonly Section[]): NamedOutcome[] {
  const section = sections.find(({ kind }) => kind === outcomesKind);
  if (section === undefined) return [];
  try {
    const plain = inflateRawSync(section.content, { maxOutputLength: inflatedBytesMax });
    return [...readOutcomes(Buffer.from(plain))];
  } catch (error) {
    if (error instanceof MalformedBytes || isOfZlib(error)) return [];
    throw error;
  }
}

const isOfZlib = (error: unknown): boolean =>
  error instanceof Error &&
  "code" in error &&
  (String(error.code).startsWith("Z_") || error.code === "ERR_BUFFER_TOO_LARGE");

function* readOutcomes(plain: Buffer): Generator<NamedOutcome> {
  let at = 0;
  const take = (bytes: number): Buffer => {
    if (at + bytes > plain.length) throw new MalformedBytes(`${plain.length - at} bytes`, `${bytes}`);
    return plain.subarray(at, (at += bytes));
  };
  const readNumber = (bytes: number): number => take(bytes).readUIntBE(0, bytes);
  const readText = (lengthBytes: number): string => take(readNumber(lengthBytes)).toString("latin1");
  const readOutcome = (status: number, tag: number): RequestOutcome => {
    if (tag === answeredTag)
      return { kind: "answered", status, bodyBytes: readNumber(6), sha256: take(hashBytes).toString("hex") };
    if (tag !== wholeTag && tag !== splitTag) throw new MalformedBytes(`an outcome of kind ${tag}`, "0, 1 or 2");
    const reason = readText(2);
    let fields = tag === wholeTag ? readText(4) : "";
    if (tag === splitTag)
      for (let left = readNumber(2); left > 0; left--) fields += `${readText(2)}: ${readText(4)}\r\n`;
    return { kind: "whole", status, reason, fields, body: Buffer.from(take(readNumber(4))) };
  };
  while (at < plain.length) {
    const name = { run: take(runBytes).toString("hex"), count: readNumber(6) };
    const [status, kind] = [readNumber(2), readNumber(1)];
    const isPrinted = (kind & printedFlag) !== 0;
    const fingerprint = isPrinted ? take(fingerprintBytes).toString("hex") : undefined;
    const outcome = readOutcome(status, kind & ~printedFlag);
    yield isPrinted ? { name, outcome, fingerprint } : { name, outcome };
  }
}

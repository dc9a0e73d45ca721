/**
 * The section `outcomes` of a flush's first record: what the application answered to named requests whose commits are
 * in this flush or an earlier one (src/core/request-names.ts). Raw deflate of the outcomes, one behind the other;
 * big-endian:
 *
 *     run 8 bytes, count u48, status u16, kind u8 (bit 7: with a fingerprint), fingerprint 16 bytes if so
 *     kind 0 (whole): length of reason u16, reason, number of fields u16, for each: length u16, name, length u32, value,
 *                     length of body u32, body
 *     kind 1 (answered): length of the body u48, its SHA-256 32 bytes
 *
 * It is optional, and no promise rests on it: for a reader that skips it the names are in doubt, as the section
 * `requests` has them, and their repetitions are answered as unknown.
 */
import { deflateRawSync, inflateRawSync } from "node:zlib";
import type { Section } from "../../core/flush.ts";
import type { NamedOutcome } from "../../core/request-names.ts";
import type { RequestOutcome } from "../../core/request-outcome.ts";
import { MalformedBytes } from "./bytes.ts";

export const outcomesKind = "outcomes";
/** Of all outcomes of a flush, before compression: a damaged section must not take all memory. */
const inflatedBytesMax = 64 * 1024 * 1024;
const runBytes = 8;
const hashBytes = 32;
const [wholeTag, answeredTag, printedFlag] = [0, 1, 0x80];
const fingerprintBytes = 16;

export function outcomesSection(outcomes: readonly NamedOutcome[], level: 0 | 1 = 1): Section {
  const plain = Buffer.concat(outcomes.flatMap(partsOf));
  return { kind: outcomesKind, isRequired: false, content: deflateRawSync(plain, { level }) };
}

function partsOf({ name, outcome, fingerprint }: NamedOutcome): Buffer[] {
  const head = Buffer.alloc(runBytes + 6 + 3);
  head.write(name.run, 0, runBytes, "hex");
  head.writeUIntBE(name.count, runBytes, 6);
  head.writeUInt16BE(outcome.status, runBytes + 6);
  const isPrinted = fingerprint !== undefined;
  const print = Buffer.from(fingerprint ?? "", "hex");
  head.writeUInt8((outcome.kind === "whole" ? wholeTag : answeredTag) | (isPrinted ? printedFlag : 0), runBytes + 8);
  if (outcome.kind === "answered")
    return [head, print, number(outcome.bodyBytes, 6), Buffer.from(outcome.sha256, "hex")];
  const fields = outcome.fields.flatMap(([field, value]) => [...text(field, 2), ...text(value, 4)]);
  const body = Buffer.from(outcome.body.buffer, outcome.body.byteOffset, outcome.body.byteLength);
  return [
    head,
    print,
    ...text(outcome.reason, 2),
    number(outcome.fields.length, 2),
    ...fields,
    number(body.length, 4),
    body,
  ];
}

function number(value: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntBE(value, 0, bytes);
  return buffer;
}

const text = (value: string, lengthBytes: number): Buffer[] => [
  number(value.length, lengthBytes),
  Buffer.from(value, "latin1"),
];

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
    if (tag !== wholeTag) throw new MalformedBytes(`an outcome of kind ${tag}`, "0 or 1");
    const reason = readText(2);
    const fields = Array.from({ length: readNumber(2) }, () => [readText(2), readText(4)] as const);
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

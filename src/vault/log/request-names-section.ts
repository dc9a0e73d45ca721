/**
 * The section `requests` of a flush's first record: the names of requests that its primary gave to the application
 * since the flush before (src/core/request-names.ts); and of the record of a checkpoint: all names that the primary
 * knows. Big-endian.
 *
 *     flags u8: bit 0: names are left out; the others are zero
 *     for each run: 8 bytes, number of names u16, each u48
 *
 * It is optional, and nothing is lost where a reader skips it: a version that does not know it never decides by names,
 * and one that does takes a flush without it for one whose names are unknown.
 */
import type { Section } from "../../core/flush.ts";
import type { FlushNames, RequestName } from "../../core/request-names.ts";

export const requestsKind = "requests";
const leftOutFlag = 1;
const runBytes = 8;
const countBytes = 6;
/** A run with more stands there again. */
const runNamesMax = 0xffff;

export function requestsSection({ names, isComplete }: FlushNames): Section {
  const runs = new Map<string, number[]>();
  for (const { run, count } of names) {
    const counts = runs.get(run);
    if (counts === undefined) runs.set(run, [count]);
    else counts.push(count);
  }
  const parts = [...runs].flatMap(([run, counts]) =>
    Array.from({ length: Math.ceil(counts.length / runNamesMax) }, (_, at) => {
      return { run, counts: counts.slice(at * runNamesMax, (at + 1) * runNamesMax) };
    }),
  );
  const bytes = 1 + parts.length * (runBytes + 2) + names.length * countBytes;
  const content = Buffer.alloc(bytes);
  let at = content.writeUInt8(isComplete ? 0 : leftOutFlag, 0);
  for (const { run, counts } of parts) {
    at += content.write(run, at, runBytes, "hex");
    at = content.writeUInt16BE(counts.length, at);
    for (const count of counts) at = content.writeUIntBE(count, at, countBytes);
  }
  return { kind: requestsKind, isRequired: false, content };
}

/** Undefined: the record has no such section, or one that cannot be read. */
export function requestNamesOf(sections: readonly Section[]): FlushNames | undefined {
  const section = sections.find(({ kind }) => kind === requestsKind);
  if (section === undefined) return undefined;
  const { buffer, byteOffset, byteLength } = section.content;
  const content = Buffer.from(buffer, byteOffset, byteLength);
  const names: RequestName[] = [];
  try {
    for (let at = 1; at < byteLength; ) {
      const run = content.subarray(at, at + runBytes).toString("hex");
      const end = at + runBytes + 2 + content.readUInt16BE(at + runBytes) * countBytes;
      for (at += runBytes + 2; at < end; at += countBytes)
        names.push({ run, count: content.readUIntBE(at, countBytes) });
    }
    return { names, isComplete: (content.readUInt8(0) & leftOutFlag) === 0 };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/**
 * The section `requests` of a flush's first record: the names of requests that its primary gave to the application
 * since the flush before (src/core/request-names.ts); and of the record of a checkpoint: all names that the primary
 * knows. Big-endian.
 *
 *     flags u8: bit 0: names are left out; the others are zero
 *     for each run: 8 bytes, number of names u16, each u48
 *
 * It is optional, and nothing is lost where a reader skips it: a version that does not know it never decides by names,
 * and one that does takes a flush without it for one whose names are unknown. It is required where requests are named
 * by their clients' keys: a client that repeats such a request does not know of a first try, so an unknown name would
 * be executed a second time.
 */
import type { Section } from "../../core/flush.ts";
import type { FlushNames, RequestName } from "../../core/request-names.ts";

export const requestsKind = "requests";
const leftOutFlag = 1;
const runBytes = 8;
const countBytes = 6;
/** A run with more stands there again. */
const runNamesMax = 0xffff;

export function requestsSection({ names, isComplete, isKeyed = false }: FlushNames): Section {
  const groups = groupByRun(names);
  const content = Buffer.allocUnsafe(1 + groups.length * (runBytes + 2) + names.length * countBytes);
  const view = new DataView(content.buffer, content.byteOffset);
  let at = content.writeUInt8(isComplete ? 0 : leftOutFlag, 0);
  for (const { run, counts } of groups) {
    at += content.write(run, at, runBytes, "hex");
    at = content.writeUInt16BE(counts.length, at);
    // Not writeUIntBE, which is a call for each: a checkpoint has 65,536 names.
    for (const count of counts) {
      view.setUint16(at, Math.floor(count / 2 ** 32));
      view.setUint32(at + 2, count % 2 ** 32);
      at += countBytes;
    }
  }
  return { kind: requestsKind, isRequired: isKeyed, content };
}

interface RunGroup {
  readonly run: string;
  readonly counts: number[];
}

/** Mostly all are of one gateway. */
function groupByRun(names: readonly RequestName[]): readonly RunGroup[] {
  const groups: RunGroup[] = [];
  const open = new Map<string, RunGroup>();
  let group: RunGroup | undefined;
  for (const { run, count } of names) {
    if (group?.run !== run) group = open.get(run);
    if (group === undefined || group.counts.length === runNamesMax) {
      group = { run, counts: [] };
      groups.push(group);
      open.set(run, group);
    }
    group.counts.push(count);
  }
  return groups;
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
    return { names, isComplete: (content.readUInt8(0) & leftOutFlag) === 0, isKeyed: section.isRequired };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

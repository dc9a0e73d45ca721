/**
 * The section `rewound` of the first record of a flush that makes an earlier state of the service its state again
 * (src/host/primary/prepared-rewind.ts): which state that is, and what becomes of requests by it. Big-endian.
 *
 *     flags u8: bit 0: requests are left out, because they are too many; the others are zero
 *     position of the state u48, its wall-clock time f64, position up to which records are undone u48
 *     three times: length u32, requests as in the section `requests`: undone, unanswered, restored
 *
 * The flush is one like any other without it: its pages and files make the state. It is optional as long as it restores
 * no request: a reader that skips it knows more requests than it needs to, and executes none twice. It is required
 * where requests come back whose names an earlier rewind had hosts forget: a host that forgot them, and skips this,
 * would execute them a second time.
 */
import type { Section } from "../../core/flush.ts";
import type { RequestName, RewoundRequests } from "../../core/request-names.ts";
import type { Position } from "../record.ts";
import { requestNamesOf, requestsKind, requestsSection } from "./request-names-section.ts";

export const rewoundKind = "rewound";
const leftOutFlag = 1;
const headBytes = 1 + 6 + 8 + 6;

/** What a flush that rewinds says of itself. */
export interface Rewound {
  /** The state that is the service's again: the one after this record. */
  readonly to: Position;
  /** Of that record, milliseconds since 1970. */
  readonly toMs: number;
  /** The last record that is undone. */
  readonly undoneTo: Position;
  readonly requests: RewoundRequests;
}

export function rewoundSection({ to, toMs, undoneTo, requests }: Rewound): Section {
  const { isComplete, undone, unanswered, restored } = requests;
  const head = Buffer.alloc(headBytes);
  head.writeUInt8(isComplete ? 0 : leftOutFlag, 0);
  head.writeUIntBE(to, 1, 6);
  head.writeDoubleBE(toMs, 7);
  head.writeUIntBE(undoneTo, 15, 6);
  const lists = [undone, unanswered, restored].flatMap((names) => {
    const { content } = requestsSection({ names, isComplete: true });
    const length = Buffer.alloc(4);
    length.writeUInt32BE(content.byteLength, 0);
    return [length, content];
  });
  return { kind: rewoundKind, isRequired: restored.length > 0, content: Buffer.concat([head, ...lists]) };
}

/** Undefined: the flush does not rewind, or its section cannot be read. */
export function rewoundOf(sections: readonly Section[]): Rewound | undefined {
  const section = sections.find(({ kind }) => kind === rewoundKind);
  if (section === undefined) return undefined;
  const { buffer, byteOffset, byteLength } = section.content;
  const content = Buffer.from(buffer, byteOffset, byteLength);
  try {
    const lists: (readonly RequestName[])[] = [];
    let at = headBytes;
    for (let list = 0; list < 3; list += 1) {
      const end = at + 4 + content.readUInt32BE(at);
      const names = requestNamesOf([requestsIn(content.subarray(at + 4, end))])?.names;
      if (names === undefined || end > byteLength) return undefined;
      lists.push(names);
      at = end;
    }
    const [undone = [], unanswered = [], restored = []] = lists;
    const isComplete = (content.readUInt8(0) & leftOutFlag) === 0;
    return {
      to: content.readUIntBE(1, 6),
      toMs: content.readDoubleBE(7),
      undoneTo: content.readUIntBE(15, 6),
      requests: { isComplete, undone, unanswered, restored },
    };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

const requestsIn = (content: Uint8Array): Section => ({ kind: requestsKind, isRequired: false, content });

/** `traceparent` of W3C Trace Context, level 1 (3.2). */
export interface TraceParent {
  readonly traceId: string;
  /** The span of the sender. */
  readonly parentId: string;
  /** The sender may have recorded the trace, and wishes that others do (3.2.2.5.1). */
  readonly isSampled: boolean;
}

const pattern = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;
const sampledBit = 1;

/** Returns undefined for a value that the specification says to ignore; of later versions what level 1 defines. */
export function parseTraceParent(value: string): TraceParent | undefined {
  const [, version = "", traceId = "", parentId = "", flags = "", more] = pattern.exec(value) ?? [];
  if (version === "" || (version === "00" && more !== undefined)) return undefined;
  return { traceId, parentId, isSampled: (Number.parseInt(flags, 16) & sampledBit) !== 0 };
}

/**
 * A span of OpenTelemetry. The ids of a failover's spans follow from the failover: a gateway that knows it knows its
 * trace and can link to it, and a span that is sent twice is one.
 */
import { hash } from "node:crypto";

export type AttributeValue = string | number | boolean;
/** An undefined one is left out. Whole numbers become integers. */
export type Attributes = Readonly<Record<string, AttributeValue | undefined>>;

export interface SpanContext {
  /** 32 hexadecimal digits, not all 0. */
  readonly traceId: string;
  /** 16 hexadecimal digits, not all 0. */
  readonly spanId: string;
}

export interface Span extends SpanContext {
  readonly parentSpanId: string | undefined;
  readonly name: string;
  /** By the wall clock. */
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: Attributes;
  /** Why it is an error; undefined: it is none. */
  readonly error: string | undefined;
  readonly links: readonly SpanContext[];
}

const traceDigits = 32;
const spanDigits = 16;

/** `id`: of the failover. */
export const failoverTraceId = (id: string): string => digits(`trace\n${id}`, traceDigits);
/** `part`: which span of that failover. */
export const failoverSpanId = (id: string, part: string): string => digits(`span\n${id}\n${part}`, spanDigits);

const digits = (text: string, count: number): string => hash("sha256", text, "hex").slice(0, count);

/**
 * OTLP/HTTP with JSON (OpenTelemetry Protocol Specification, OTLP/HTTP, and opentelemetry/proto/trace/v1): a request
 * with spans, and what its answer means. Ids are hexadecimal there, 64-bit integers and times decimal strings,
 * enumerations numbers.
 */
import type { TracesConfig } from "../../config/types.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import { programVersion } from "../../runtime/program-version.ts";
import type { AttributeValue, Attributes, Span } from "./span.ts";

/** Who tells: `service.name` is the program; the service that it serves is an attribute of each span. */
export interface TraceResource {
  readonly cluster: string;
  readonly gateway: string;
}

export type ExportOutcome =
  /** `rejected`: spans that the receiver did not take; another attempt is forbidden. */
  | { readonly kind: "sent"; readonly rejected: number; readonly why: string | undefined }
  | { readonly kind: "refused"; readonly why: string }
  /** `afterMs`: what the receiver asked for. */
  | { readonly kind: "failed"; readonly why: string; readonly afterMs: number | undefined };

export type ExportSpans = (body: string, signal: AbortSignal) => Promise<ExportOutcome>;

const spanKindInternal = 1;
const statusError = 2;

export const exportRequestOf = (spans: readonly Span[], { cluster, gateway }: TraceResource): unknown => ({
  resourceSpans: [
    {
      resource: {
        attributes: attributesOf({
          "service.name": "stead",
          "service.namespace": cluster,
          "service.instance.id": gateway,
          "service.version": programVersion,
        }),
      },
      scopeSpans: [{ scope: { name: "stead", version: programVersion }, spans: spans.map(spanOf) }],
    },
  ],
});

const spanOf = (span: Span): unknown => ({
  traceId: span.traceId,
  spanId: span.spanId,
  ...(span.parentSpanId === undefined ? {} : { parentSpanId: span.parentSpanId }),
  name: span.name,
  kind: spanKindInternal,
  startTimeUnixNano: nanoseconds(span.startMs),
  endTimeUnixNano: nanoseconds(span.endMs),
  attributes: attributesOf(span.attributes),
  ...(span.links.length === 0 ? {} : { links: span.links.map(({ traceId, spanId }) => ({ traceId, spanId })) }),
  ...(span.error === undefined ? {} : { status: { code: statusError, message: span.error } }),
});

/** To the microsecond: a double holds no more of a time in milliseconds since 1970. */
const nanoseconds = (ms: number): string => `${Math.round(ms * 1_000)}000`;

const attributesOf = (attributes: Attributes): unknown[] =>
  Object.entries(attributes).flatMap(([key, value]) => (value === undefined ? [] : [{ key, value: anyValue(value) }]));

function anyValue(value: AttributeValue): unknown {
  if (typeof value === "string") return { stringValue: value };
  if (typeof value === "boolean") return { boolValue: value };
  return Number.isSafeInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}

/** The status codes that permit another attempt; all others forbid it. */
const retryable: ReadonlySet<number> = new Set([429, 502, 503, 504]);
/** The answer says little; one that does not end is not read to its end. */
const answerBytesMax = 64 * 1024;

/** Sends over `fetch`. Never rejects. */
export function exporterTo({ endpoint, headers, timeoutMs }: TracesConfig): ExportSpans {
  return async function exportSpans(body, signal) {
    try {
      const response = await fetch(endpoint, {
        method: "POST",
        headers: { "user-agent": `stead/${programVersion}`, ...headers, "content-type": "application/json" },
        body,
        // A redirection would take the headers, which may be secrets, to another receiver.
        redirect: "manual",
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
      return await outcomeOf(response);
    } catch (error) {
      return { kind: "failed", why: messageOf(error), afterMs: undefined };
    }
  };
}

async function outcomeOf(response: Response): Promise<ExportOutcome> {
  const { status } = response;
  if (response.ok) return rejectedIn(await startOf(response));
  await response.body?.cancel();
  const why = `answered with ${status}`;
  if (!retryable.has(status)) return { kind: "refused", why };
  const seconds = Number(response.headers.get("retry-after") ?? Number.NaN);
  return { kind: "failed", why, afterMs: Number.isFinite(seconds) && seconds >= 0 ? seconds * 1_000 : undefined };
}

async function startOf(response: Response): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const part of response.body ?? []) {
    text += decoder.decode(part, { stream: true });
    if (text.length > answerBytesMax) break;
  }
  return text;
}

/** An answer that is no ExportTraceServiceResponse tells nothing: the status says that the spans were taken. */
function rejectedIn(text: string): ExportOutcome {
  const partial = partialSuccessOf(text);
  const rejected = Number(partial?.rejectedSpans ?? 0);
  const why = partial?.errorMessage;
  return {
    kind: "sent",
    rejected: Number.isSafeInteger(rejected) && rejected > 0 ? rejected : 0,
    why: typeof why === "string" && why !== "" ? why : undefined,
  };
}

function partialSuccessOf(text: string): { rejectedSpans?: unknown; errorMessage?: unknown } | undefined {
  try {
    return (JSON.parse(text) as { partialSuccess?: { rejectedSpans?: unknown } } | undefined)?.partialSuccess;
  } catch {
    return undefined;
  }
}

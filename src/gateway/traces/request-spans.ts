/**
 * What a failover meant for one request, as spans in the client's own trace: one for each wait in the hold and one for
 * each repetition, below the span that the client named, linked to the trace of the failover.
 */
import type { TracedRequest } from "../../http/proxy/request-trace.ts";
import type { Random } from "../../runtime/random.ts";
import type { Span, SpanContext } from "./span.ts";

export interface RequestPlace {
  readonly service: string;
  readonly gateway: string;
  /** The trace of the failover that it waited for; undefined: unknown. */
  readonly failover: SpanContext | undefined;
}

const spanBytes = 8;

export function requestSpans(request: TracedRequest, place: RequestPlace, random: Random): readonly Span[] {
  const { traceId, parentId, requestId, method, end, replays } = request;
  return request.steps.map(({ kind, startMs, endMs, why, result }) => ({
    ...{ traceId, spanId: Buffer.from(random.bytes(spanBytes)).toString("hex"), parentSpanId: parentId },
    ...{ name: `stead.request.${kind}`, startMs, endMs },
    attributes: {
      "stead.service": place.service,
      "stead.gateway": place.gateway,
      "stead.request.id": requestId,
      "http.request.method": method,
      "stead.request.end": end,
      "stead.request.replays": replays,
      [`stead.${kind}.result`]: result,
      "stead.replay.why": why,
    },
    error: end === "unknown" || end === "failed" ? `the request ended as ${end}` : undefined,
    links: place.failover === undefined ? [] : [place.failover],
  }));
}

const ratioDigits = 14;
const ratioMax = 16 ** ratioDigits;

/**
 * Decides by the trace alone, so that all gateways and processes that do the same agree: its last 56 bits, which are
 * random (W3C Trace Context, level 2), below that share of all. That is OpenTelemetry's TraceIdRatioBased.
 */
export const isInSample = (traceId: string, sample: number): boolean =>
  Number.parseInt(traceId.slice(-ratioDigits), 16) < sample * ratioMax;

/**
 * Gives each request an id that gateway, host, application and logs share: `X-Request-Id`, and `traceparent` if wanted.
 */
import type { Random } from "../../runtime/random.ts";
import type { EditRequestFields } from "../upstream/exchange.ts";
import type { HeaderList } from "../message/headers.ts";
import { fieldSet, TRACEPARENT, X_REQUEST_ID } from "../message/known-fields.ts";
import { RandomNames } from "../../runtime/random-names.ts";

const idBytesMax = 128;
const idField = fieldSet(X_REQUEST_ID);
const traceField = fieldSet(TRACEPARENT);

/** Returns the client's id for the request if it is short and plain enough for logs; otherwise a new one. */
export function requestIdOf(headers: HeaderList, names: RandomNames): string {
  const given = headers.mayHave(idField) ? headers.get("x-request-id") : undefined;
  return given !== undefined && /^[\w.:=+/@-]+$/.test(given) && given.length <= idBytesMax ? given : names.hex(16);
}

/**
 * Use the result as `editRequestFields`: adds missing fields and passes existing ones on (W3C Trace Context, level 1).
 */
export function requestIdFields(options: {
  readonly traceparent: "pass" | "make";
  readonly random: Random;
}): EditRequestFields {
  const names = new RandomNames(options.random);
  return function addRequestId(headers, exchange) {
    const { requestId } = exchange;
    const given = headers.mayHave(idField) ? headers.get("x-request-id") : undefined;
    let named = headers;
    if (given === undefined) named = headers.withLines(`X-Request-Id: ${requestId}\r\n`, idField);
    else if (given !== requestId) named = headers.with("X-Request-Id", requestId);
    if (options.traceparent === "pass" || (headers.mayHave(traceField) && headers.has("traceparent"))) return named;
    return named.withLines(`traceparent: 00-${names.hex(16)}-${names.hex(8)}-01\r\n`, traceField);
  };
}

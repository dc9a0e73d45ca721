/** Gives each request a name that gateway, host, application and logs can share: `X-Request-Id`, and `traceparent` if wanted. */
import { Buffer } from "node:buffer";
import type { Random } from "../runtime/random.ts";
import type { Exchange, RequestHead } from "./exchange.ts";
import { HeaderList } from "./headers.ts";

const idBytesMax = 128;

/** What the client calls the request, when that is short and plain enough to go into logs; otherwise a name of our own. */
export function requestIdOf(head: RequestHead, random: Random): string {
  const given = head.headers.get("x-request-id");
  return given !== undefined && /^[\w.:=+/@-]+$/.test(given) && given.length <= idBytesMax ? given : hex(random.bytes(16));
}

/** Use the result as `editRequestHead`: adds what is missing and passes on what is there (W3C Trace Context, level 1). */
export function requestIdFields(options: { readonly traceparent: "pass" | "make"; readonly random: Random }): (head: RequestHead, exchange: Exchange) => RequestHead {
  return function addRequestId(head, exchange) {
    const { requestId } = exchange;
    let { headers } = head;
    const given = headers.get("x-request-id");
    if (given === undefined) headers = new HeaderList([...headers.flat, "X-Request-Id", requestId]);
    else if (given !== requestId) headers = headers.with("X-Request-Id", requestId);
    if (options.traceparent === "make" && !headers.has("traceparent")) {
      const trace = hex(options.random.bytes(24));
      headers = new HeaderList([...headers.flat, "traceparent", `00-${trace.slice(0, 32)}-${trace.slice(32)}-01`]);
    }
    return headers === head.headers ? head : { ...head, headers };
  };
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

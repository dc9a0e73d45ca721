/** The answer of a listener that only sends clients to https. */
import type { Exchange, LocalReply } from "../upstream/exchange.ts";
import { errorReply } from "./local-reply.ts";

/** 308 keeps method and body (RFC 9110, 15.4.9). `port`: where the same gateway is reached by https. */
export function redirectToHttps({ request }: Pick<Exchange, "request">, port: number): LocalReply {
  const host = request.headers.get("host");
  if (host === undefined || host === "")
    return errorReply(400, "no_host", "a request without a host cannot be redirected", request.headers.get("accept"));
  const name = host.replace(/:\d*$/, "");
  // A target in absolute form has been checked against Host; `*` has no path.
  const path = request.target.replace(/^https?:\/\/[^/?]*/i, "").replace(/^(?!\/)\*?/, "/");
  const location = `https://${name}${port === 443 ? "" : `:${port}`}${path}`;
  return {
    status: 308,
    headers: [
      ["Location", location],
      ["Content-Type", "text/plain; charset=utf-8"],
    ],
    body: "This address is served by https.\n",
  };
}

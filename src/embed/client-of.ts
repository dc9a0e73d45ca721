/**
 * Who sent a request, by what a server of each runtime passes to `app.fetch` beside it: Bun.serve its server,
 * Deno.serve the address, @hono/node-server the message. Unknown is an error, not a default: limits for each address
 * and `X-Forwarded-For` depend on it.
 */
import type { Context } from "hono";
import type { FetchClient } from "../http/embed/fetch-adapter.ts";
import { OperatorError } from "../runtime/operator-error.ts";

interface Address {
  readonly address: string;
  readonly port: number;
}

/** What may be in a context's environment; everything else there is not looked at. */
interface Surroundings {
  /** Bun.serve's server, as the environment itself or in it. */
  readonly requestIP?: (request: Request) => Address | null;
  readonly server?: Surroundings;
  /** Deno.serve's second argument. */
  readonly remoteAddr?: { readonly hostname?: string; readonly port?: number };
  /** @hono/node-server's. */
  readonly incoming?: {
    readonly socket: { readonly remoteAddress?: string; readonly remotePort?: number; readonly encrypted?: boolean };
  };
}

export function clientOf(context: Context): FetchClient {
  const request = context.req.raw;
  const secure = new URL(request.url).protocol === "https:";
  const surroundings = (context.env ?? {}) as Surroundings;
  const socket = surroundings.incoming?.socket;
  if (socket?.remoteAddress !== undefined)
    return { address: socket.remoteAddress, port: socket.remotePort ?? 0, secure: socket.encrypted === true };
  const { remoteAddr } = surroundings;
  if (remoteAddr?.hostname !== undefined) return { address: remoteAddr.hostname, port: remoteAddr.port ?? 0, secure };
  const server = typeof surroundings.requestIP === "function" ? surroundings : surroundings.server;
  const found = server?.requestIP?.(request);
  if (found !== undefined && found !== null) return { address: found.address, port: found.port, secure };
  throw new OperatorError("unexpected", {
    found: "a request whose client's address is not known",
    accepted: "app.fetch(request, env), where env is what Bun.serve, Deno.serve or @hono/node-server passes beside it",
    advice: "pass that on, or say who sent a request with the option `clientOf`",
  });
}

/**
 * A request that asks for another protocol: it goes around the app, since `Request` and `Response` have no place for a
 * connection. Its bytes and all that follow pass the same server's own code.
 */
import { Buffer } from "node:buffer";
import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { MemorySocket } from "../../runtime/tcp/memory-socket.ts";
import { isEncrypted } from "./node-messages.ts";
import type { ProxySource } from "../server/proxy-protocol.ts";
import type { HttpServer } from "../server/server.ts";

export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  /** What came after the head. */
  readonly rest: Buffer;
  /** Named by a load balancer. Undefined: the other end. */
  readonly client: ProxySource | undefined;
}

export function upgradeThrough(server: HttpServer, { request, socket, rest, client }: Upgrade): void {
  const { remoteAddress = "", remotePort = 0 } = request.socket;
  const [near, far] = MemorySocket.pair(client?.address ?? remoteAddress, client?.port ?? remotePort);
  server.adopt(far, { secure: isEncrypted(request.socket), isCounted: true });
  let head = `${request.method ?? "GET"} ${request.url ?? "/"} HTTP/${request.httpVersion}\r\n`;
  const raw = request.rawHeaders;
  for (let at = 0; at + 1 < raw.length; at += 2) head += `${raw[at]}: ${raw[at + 1]}\r\n`;
  near.write(Buffer.from(`${head}\r\n`, "latin1"));
  if (rest.length > 0) near.write(rest);
  for (const [end, other] of [
    [socket, near],
    [near, socket],
  ] as const) {
    end.on("error", () => undefined); // `close` follows
    end.once("close", () => other.destroy());
    end.pipe(other);
  }
}

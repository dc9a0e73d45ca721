/** The listener of the control API: @hono/node-server, on Bun, Deno and Node alike. */
import type { Server } from "node:http";
import { serve } from "@hono/node-server";
import type { Hono } from "hono";
import type { Address } from "../../config/types.ts";
import { OperatorError } from "../../runtime/operator-error.ts";

export interface ControlServer {
  readonly port: number;
  /** Ends the listener and every connection. */
  close(): void;
}

/** The address is taken or not ours. */
export class ControlListenError extends OperatorError {
  constructor(address: Address, cause: Error) {
    const found = `cannot listen on ${address.host}:${address.port} for the control API: ${cause.message}`;
    super(
      "resource",
      {
        found,
        advice:
          "another process listens there (is this host running already?), or the address is not this machine's; change `control` in [host]",
      },
      { cause },
    );
  }
}

/** Rejects with `ControlListenError`. */
export function serveControl(app: Hono, address: Address): Promise<ControlServer> {
  return new Promise((resolve, reject) => {
    const server = serve(
      { fetch: app.fetch, hostname: address.host, port: address.port, overrideGlobalObjects: false },
      (info) => {
        resolve({
          port: info.port,
          close: () => {
            (server as Server).close();
            (server as Server).closeAllConnections();
          },
        });
      },
    );
    server.once("error", (error: Error) => reject(new ControlListenError(address, error)));
  });
}

/** The listener of an API: @hono/node-server, on Bun, Deno and Node alike. */
import { serve } from "@hono/node-server";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Api } from "./api.ts";

export interface ApiListener {
  readonly port: number;
  /** Also ends open connections, including streams. The port is free when it resolves. */
  close(): Promise<void>;
}

/** Rejects with the system's error if the address cannot be used. */
export function listenApi(
  app: Pick<Api, "fetch">,
  { host, port }: { readonly host: string; readonly port: number },
): Promise<ApiListener> {
  return new Promise((resolve, reject) => {
    // `serve` returns an HTTP/1.1 server unless its options ask for another one.
    const server = serve({ fetch: app.fetch, hostname: host, port, overrideGlobalObjects: false }) as Server;
    const close = (): Promise<void> =>
      new Promise((closed) => {
        server.close(() => closed());
        server.closeAllConnections();
      });
    server.once("error", reject);
    server.once("listening", () => resolve({ port: (server.address() as AddressInfo).port, close }));
  });
}

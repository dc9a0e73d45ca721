/** The admin listener: the Hono app on a server of its own. */
import { serve, type ServerType } from "@hono/node-server";
import type { createAdminApp } from "./admin.ts";

/** Rejects with the system's error when the address cannot be used. */
export function listenAdmin(
  app: ReturnType<typeof createAdminApp>,
  hostname: string,
  port: number,
): Promise<ServerType> {
  return new Promise((resolve, reject) => {
    const server = serve({ fetch: app.fetch, hostname, port, overrideGlobalObjects: false });
    server.once("listening", () => resolve(server));
    server.once("error", reject);
  });
}

/** Ends its connections too, streams among them; the port is free when it resolves. */
export async function closeAdmin(server: ServerType): Promise<void> {
  if ("closeAllConnections" in server) server.closeAllConnections();
  await new Promise<void>((resolve) => server.close(() => resolve()));
}

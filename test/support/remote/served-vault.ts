/** A vault server in this process over a fresh folder, with clients whose connections a test may break. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RemoteStore } from "../../../src/remote/remote-store.ts";
import { type RunningVaultServer, serveVault } from "../../../src/remote/serve-vault.ts";
import { VaultClient, type VaultClientOptions } from "../../../src/remote/vault-client.ts";
import { systemClock } from "../../../src/runtime/clock.ts";
import type { Logger } from "../../../src/runtime/log.ts";
import { systemRandom } from "../../../src/runtime/random.ts";
import { systemTcp } from "../../../src/runtime/tcp/system-tcp.ts";
import { createVault } from "../../../src/vault/store/open-store.ts";

export const secret = "a secret of the cluster";
const quiet: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
} as unknown as Logger;

export const serveFolder = (folder: string, port = 0, log = quiet): Promise<RunningVaultServer> =>
  serveVault({
    folder,
    host: "127.0.0.1",
    port,
    secrets: () => [secret],
    clock: systemClock,
    random: systemRandom,
    log,
  });

export function clientOf(port: number, changes: Partial<VaultClientOptions> = {}): VaultClient {
  return new VaultClient({
    url: `stead://127.0.0.1:${port}`,
    address: { host: "127.0.0.1", port },
    secrets: () => [secret],
    clock: systemClock,
    random: systemRandom,
    tcp: systemTcp,
    timeoutMs: 10_000,
    ...changes,
  });
}

export interface ServedFolder {
  readonly parent: string;
  readonly folder: string;
  readonly port: number;
  server: RunningVaultServer;
  open(changes?: Partial<VaultClientOptions>): RemoteStore;
  /** Ends the server and starts another one on the folder, at the same port. */
  restart(): Promise<void>;
  dispose(): Promise<void>;
}

export async function makeServedFolder(service = "notes"): Promise<ServedFolder> {
  const parent = await mkdtemp(join(tmpdir(), "stead-served-"));
  const folder = join(parent, "vault");
  await (await createVault(folder, service, { log: "segments" })).close();
  const stores: RemoteStore[] = [];
  const server = await serveFolder(folder);
  const served: ServedFolder = {
    parent,
    folder,
    port: server.port,
    server,
    open: (changes) => {
      const store = new RemoteStore(clientOf(server.port, changes));
      stores.push(store);
      return store;
    },
    restart: async () => {
      await served.server.close();
      served.server = await serveFolder(folder, server.port);
    },
    dispose: async () => {
      for (const store of stores) await store.close();
      await served.server.close();
      await rm(parent, { recursive: true, force: true });
    },
  };
  return served;
}

/** What a host proves itself with, and how it judges who calls it: the cluster's secrets, and its certificate. */
import { ClusterSecrets } from "../config/cluster-secrets.ts";
import type { HostConfig } from "../config/types.ts";
import { ChannelClient } from "../control/channel/client.ts";
import { Keyring } from "../control/channel/keyring.ts";
import { ChannelServer } from "../control/channel/server.ts";
import { StrangerLog } from "../control/channel/stranger-log.ts";
import { hostParty } from "../control/channel/transcript.ts";
import { secretStatus } from "../control/secret-status.ts";
import { type Authenticator, bearerAccepted, clusterSecret, onlyFor } from "../control/server/authentication.ts";
import { ClusterTls } from "../control/tls/cluster-tls.ts";
import { isVaultUrl } from "../core/vault-address.ts";
import type { Clock } from "../runtime/clock.ts";
import type { Logger } from "../runtime/log.ts";
import type { HostPorts } from "./host-ports.ts";
import type { VaultSecrets } from "./machine/vault-secrets.ts";

export interface HostChannel {
  readonly secrets: ClusterSecrets;
  /** Undefined: connections are in clear text. */
  readonly tls: ClusterTls | undefined;
  readonly caller: ChannelClient;
  readonly server: ChannelServer;
  /** Of calls without the channel. */
  readonly authenticator: Authenticator;
  /** What the host's status tells. */
  told(vault: VaultSecrets): HostPorts["secret"];
  close(): void;
}

/** Follows the files from now on; `config.secret` is the present one. Throws ClusterTlsError. */
export function openHostChannel(config: HostConfig, clock: Clock, log: Logger): HostChannel {
  const { secret, cluster, service, id, vaultUrl } = config;
  const self = hostParty(service, id);
  const tls =
    cluster.tls === undefined
      ? undefined
      : new ClusterTls({ config: cluster.tls, cluster: cluster.name, self: [self], clock, log }).watch();
  const secrets = new ClusterSecrets({ secret, from: cluster.secretFrom, clock, log }).watch();
  const keyring = new Keyring(secrets.valid, cluster.name);
  secrets.use((valid) => {
    keyring.replace(valid);
    Object.assign(config, { secret: valid[0] });
  });
  const strangers = new StrangerLog({ keyring, place: () => secrets.place, clock, log });
  const server = isVaultUrl(vaultUrl) ? vaultUrl : undefined;
  return {
    ...{ secrets, tls },
    caller: new ChannelClient(keyring, self, clock, tls),
    server: new ChannelServer(keyring, self, clock, strangers),
    authenticator: bearers(config, secrets, log),
    told: (vault) => ({
      status: () => secretStatus(keyring, secrets, { server, keys: vault.opens }),
      get warnings() {
        return [...secrets.warnings, ...vault.warnings];
      },
    }),
    close: () => {
      tls?.close();
      secrets.close();
    },
  };
}

/** Without the channel only metrics are told, unless the operator wants to admit older versions. */
function bearers({ cluster: { acceptBearer } }: HostConfig, secrets: ClusterSecrets, log: Logger): Authenticator {
  if (acceptBearer) log.warn(bearerAccepted);
  return onlyFor(
    (_, path) => acceptBearer || path === "/metrics",
    clusterSecret(() => secrets.valid),
  );
}

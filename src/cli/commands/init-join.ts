/**
 * `stead init --join`: what the file of another machine needs to know of a cluster, from one of its gateways, and the
 * entry of a new host in the registry. The cluster's secret is in no answer: the file with it is copied first, and
 * compared with what the gateway tells of its own. A token is used for these calls alone and written nowhere.
 */
import { fileURLToPath } from "node:url";
import type { AccessToken } from "../../control/access-token.ts";
import { ChannelClient } from "../../control/channel/client.ts";
import { clusterNameDefault, Keyring } from "../../control/channel/keyring.ts";
import { operator } from "../../control/channel/transcript.ts";
import type { ClusterService, ClusterStatus } from "../../control/gateway-api.ts";
import { GatewayClient } from "../../control/gateway-client.ts";
import { systemClock } from "../../runtime/clock.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { requireAnswer } from "./gateway-connection.ts";
import type { InitRole } from "./init-template.ts";

export interface JoinOptions {
  /** Admin address of a gateway. */
  readonly url: string;
  readonly token: AccessToken | undefined;
  readonly secret: string;
  readonly role: InitRole;
  readonly service: string | undefined;
  readonly host: string | undefined;
  /** `http://address:port` of the new host's control API. */
  readonly controlUrl: string;
  readonly gatewayId: string | undefined;
  readonly signal: AbortSignal;
}

/** What the file is made of. */
export interface Joined {
  readonly client: GatewayClient;
  readonly service: string;
  readonly hostId: string;
  readonly gatewayId: string;
  readonly peers: readonly string[];
  readonly hosts: readonly { readonly id: string; readonly control: string }[];
  /** A folder's path, or the address of a vault server or bucket; undefined: no host that is heard has told. */
  readonly vault: string | undefined;
  /** Undefined: the usual one. */
  readonly cluster: string | undefined;
}

export async function joinCluster(options: JoinOptions): Promise<Joined> {
  const { url, token, secret, role, signal } = options;
  const channel = new ChannelClient(new Keyring([secret]), operator, systemClock);
  const client = new GatewayClient(url, token ?? channel, systemClock);
  const status = requireAnswer(await client.cluster(signal), url);
  const { settings } = requireAnswer(await client.config(signal), url);
  const cluster = String(settings["cluster.name"] ?? clusterNameDefault);
  assertSecret(status, new Keyring([secret], cluster), url);
  const service = serviceOf(status, options.service);
  const ownHost = { id: hostIdOf(service, options), control: options.controlUrl };
  const others = service.hosts.map(({ id, controlUrl }) => ({ id, control: controlUrl }));
  return {
    ...{ client, service: service.name, hostId: ownHost.id },
    gatewayId:
      options.gatewayId ?? firstFree(namesOf("gw", 1_000), (id) => status.gateways.every((each) => each.id !== id)),
    peers: status.gateways.map(({ adminUrl }) => adminUrl),
    hosts: role === "gateway" ? others : [...others.filter(({ id }) => id !== ownHost.id), ownHost],
    vault: vaultOf(service),
    cluster: cluster === clusterNameDefault ? undefined : cluster,
  };
}

/** Registers the host with the gateways. Returns why it was refused; undefined: it is registered. */
export async function registerHost(
  { client, service, hostId: id }: Joined,
  controlUrl: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const answer = await client.addHost({ service, id, controlUrl }, signal);
  if (answer.kind === "ok") return undefined;
  return answer.kind === "refused-by-gateway" ? answer.error : answer.message;
}

function assertSecret({ secret, gateway }: ClusterStatus, keyring: Keyring, url: string): void {
  const [own] = keyring.keys;
  if (secret === null || own === undefined || own.id === secret.id || own.id === secret.former?.id) return;
  throw new OperatorError("configuration", {
    found: `the secret here is not that of the gateway ${gateway} at ${url}; nothing was written`,
    accepted: "the secret's file of another machine of the cluster",
    advice: "copy it from there, then run the command again",
  });
}

function serviceOf({ services }: ClusterStatus, name: string | undefined): ClusterService {
  const known = services.map((service) => service.name).join(", ");
  const found = name === undefined ? services[0] : services.find((service) => service.name === name);
  if (found !== undefined && (name !== undefined || services.length === 1)) return found;
  throw new OperatorError(name === undefined ? "usage" : "refused", {
    found: name === undefined ? `the cluster has ${services.length} services` : `the cluster has no service "${name}"`,
    accepted: known === "" ? "a gateway with a [[service]]" : known,
    advice: "name one of them with --service",
  });
}

function hostIdOf({ hosts }: ClusterService, { host, controlUrl, role }: JoinOptions): string {
  const known = hosts.find(({ id }) => id === host);
  if (role !== "gateway" && known !== undefined && known.controlUrl !== controlUrl)
    throw new OperatorError("usage", {
      found: `there is a host "${known.id}" already, at ${known.controlUrl}`,
      accepted: `an id that no other host of the service has; there are ${hosts.map(({ id }) => id).join(", ")}`,
      advice: "choose another --host, or leave it out",
    });
  return (
    host ??
    hosts.find((each) => each.controlUrl === controlUrl)?.id ??
    firstFree([..."abcdefghijklmnopqrstuvwxyz", ...namesOf("host-", 1_000)], (id) =>
      hosts.every((each) => each.id !== id),
    )
  );
}

const namesOf = (prefix: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`);

function firstFree(names: readonly string[], isFree: (name: string) => boolean): string {
  const found = names.find(isFree);
  if (found === undefined) throw new Error("every name is taken");
  return found;
}

function vaultOf({ hosts }: ClusterService): string | undefined {
  const url = hosts.flatMap(({ program }) => program?.vaultUrl ?? []).at(0);
  return url?.startsWith("file:") === true ? fileURLToPath(url) : url;
}

/**
 * Asks the processes of a cluster which of its secrets they know. Gateways are asked one by one, hosts by the gateways
 * that watch them, and vault servers by whether they take the new secret.
 */
import type { ChannelClient } from "../../control/channel/client.ts";
import type { ClusterHost, ClusterStatus } from "../../control/gateway-api.ts";
import { GatewayClient } from "../../control/gateway-client.ts";
import { plainPrefix } from "../../core/base-url.ts";
import { openVault } from "../../remote/open-vault.ts";
import { systemClock } from "../../runtime/clock.ts";
import { messageOf } from "../../runtime/operator-error.ts";
import { requireAnswer } from "./gateway-connection.ts";
import type { SurveyedProcess } from "./rotation.ts";

export interface SurveyOptions {
  /** Admin address of the gateway that is asked first. */
  readonly url: string;
  readonly caller: ChannelClient;
  /** The new secret. */
  readonly secret: string;
  readonly signal: AbortSignal;
}

const vaultTimeoutMs = 5_000;
/** A host that was not heard for longer may have another secret by now. */
const heardMsMax = 5_000;

/** Throws OperatorError if the gateway does not answer. */
export async function surveySecrets({ url, caller, secret, signal }: SurveyOptions): Promise<SurveyedProcess[]> {
  const ask = (address: string) => new GatewayClient(address, caller, systemClock).cluster(signal);
  const first = requireAnswer(await ask(url), url);
  const others = await Promise.all(
    first.gateways.filter(({ self }) => !self).map(async ({ id, adminUrl }) => ({ id, answer: await ask(adminUrl) })),
  );
  const told = [first, ...others.flatMap(({ answer }) => (answer.kind === "ok" ? [answer.value] : []))];
  const silent = others.flatMap(({ id, answer }): SurveyedProcess[] =>
    answer.kind === "ok" ? [] : [{ name: `gateway:${id}`, told: { kind: "silent", why: whyOf(answer) } }],
  );
  const hosts = hostsOf(told);
  return [...told.map(ofGateway), ...silent, ...hosts, ...(await vaultServers(hosts, secret))];
}

const whyOf = (answer: object): string =>
  "message" in answer ? String(answer.message) : "error" in answer ? String(answer.error) : "no answer";

const ofGateway = ({ gateway, secret }: ClusterStatus): SurveyedProcess => ({
  name: `gateway:${gateway}`,
  told: secret === null ? anEarlierVersion : { kind: "status", secret },
});

const anEarlierVersion = { kind: "silent", why: "it is of a version that cannot rotate: upgrade it" } as const;

/** Each host by the gateway that has heard of it last. */
function hostsOf(told: readonly ClusterStatus[]): SurveyedProcess[] {
  const known = new Map<string, ClusterHost>();
  for (const { services } of told)
    for (const { name, hosts } of services)
      for (const host of hosts) {
        const key = `host:${name}/${host.id}`;
        if (host.controlUrl.startsWith(plainPrefix)) continue;
        const before = known.get(key);
        if (before === undefined || heardAgo(host) < heardAgo(before)) known.set(key, host);
      }
  return [...known].map(([name, host]) => ({ name, told: ofHost(host) }));
}

const heardAgo = ({ heardMsAgo }: ClusterHost): number => heardMsAgo ?? Infinity;

function ofHost(host: ClusterHost): SurveyedProcess["told"] {
  if (heardAgo(host) > heardMsMax) return { kind: "silent", why: host.notes.at(-1) ?? "no gateway hears of it" };
  return host.secret === null ? anEarlierVersion : { kind: "status", secret: host.secret };
}

function vaultServers(hosts: readonly SurveyedProcess[], secret: string): Promise<SurveyedProcess[]> {
  const urls = hosts.flatMap(({ told }) => (told.kind === "status" ? [told.secret.vaultServer] : []));
  const named = [...new Set(urls)].filter((url) => url !== null);
  return Promise.all(named.map(async (url) => ({ name: `vault:${url}`, told: await askVaultServer(url, secret) })));
}

async function askVaultServer(url: string, secret: string): Promise<SurveyedProcess["told"]> {
  try {
    await (await openVault(url, { secrets: () => [secret], timeoutMs: vaultTimeoutMs })).close();
    return { kind: "proof", takes: true };
  } catch (error) {
    const why = messageOf(error);
    return /secret/.test(why) ? { kind: "proof", takes: false } : { kind: "silent", why };
  }
}

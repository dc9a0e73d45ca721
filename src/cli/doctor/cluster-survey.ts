/**
 * Asks the gateways of a cluster, beginning with those that the configuration names: each one for its status, which has
 * what it hears of gateways and hosts. Hosts are not called, since a token does not open their API; connections to
 * their addresses are tried, and nothing is sent.
 */
import { connect } from "node:net";
import type { ClusterHost, ClusterStatus } from "../../control/gateway-api.ts";
import type { GatewayAnswer, GatewayClient } from "../../control/gateway-client.ts";
import { plainPrefix } from "../../core/base-url.ts";
import { versionText } from "../../runtime/program-version.ts";
import type { Cluster, GatewayLook, HostLook, HostTold, Told } from "./cluster.ts";

export interface SurveyedFrom {
  /** Admin addresses in the configuration, and the gateway that was named. */
  readonly gateways: readonly string[];
  readonly hosts: readonly { readonly service: string; readonly id: string; readonly controlUrl: string }[];
}

interface Answered {
  readonly look: GatewayLook;
  readonly status: ClusterStatus | undefined;
}

const gatewaysMax = 100;

export async function surveyCluster(
  from: SurveyedFrom,
  clientOf: (url: string) => Pick<GatewayClient, "cluster">,
  signal: AbortSignal,
): Promise<Cluster> {
  const answered = new Map<string, Answered>();
  let asked = from.gateways.map((url): Named => ({ url, saidBy: "the configuration", expectedId: undefined }));
  while (asked.length > 0 && answered.size < gatewaysMax) {
    const round = await Promise.all(asked.map((named) => ask(named, clientOf(named.url), signal)));
    for (const answer of round) answered.set(keyOf(answer.look), answer);
    const named = round.flatMap(({ status }) => (status === undefined ? [] : namedBy(status)));
    asked = [...new Map(named.map((each) => [keyOf(each), each])).values()].filter((each) => !isKnown(answered, each));
  }
  const told = [...answered.values()].flatMap(({ status, look }) =>
    status === undefined ? [] : [{ status, clockAheadMs: aheadOf(look) }],
  );
  const byId = [...new Map(told.map((each) => [each.status.gateway, each])).values()];
  return {
    version: versionText(),
    gateways: [...answered.values()].map(({ look }) => look),
    hosts: await hostsOf(from, byId),
  };
}

interface Named {
  readonly url: string;
  readonly saidBy: string;
  readonly expectedId: string | undefined;
}

const keyOf = ({ url, expectedId }: Named): string => `${expectedId ?? ""} ${url}`;

/** An address that is silent, or at which the gateway that is meant has answered, is not asked again. */
const isKnown = (answered: ReadonlyMap<string, Answered>, { url, expectedId }: Named): boolean =>
  [...answered.values()].some(
    ({ look, status }) =>
      look.url === url && (status === undefined || status.gateway === expectedId || look.expectedId === expectedId),
  );

/** The gateways in its status. The id of one that was never heard is its address. */
const namedBy = ({ gateway, gateways }: ClusterStatus): Named[] =>
  gateways.map(({ id, adminUrl }) => ({
    url: adminUrl,
    saidBy: `gateway ${gateway}`,
    expectedId: id === adminUrl ? undefined : id,
  }));

async function ask(named: Named, client: Pick<GatewayClient, "cluster">, signal: AbortSignal): Promise<Answered> {
  const startedAtMs = Date.now();
  const answer = await client.cluster(signal);
  const middleMs = (startedAtMs + Date.now()) / 2;
  if (answer.kind !== "ok") return { look: { ...named, answer: refusalOf(answer) }, status: undefined };
  const { gateway: id, program, secret, gateways } = answer.value;
  const told: Told = {
    version: program?.version,
    clockAheadMs: program === null ? undefined : program.wallTimeMs - middleMs,
    secrets: secretsOf(secret),
  };
  const unheard = gateways.flatMap(({ id: other, adminUrl, self, trouble }) =>
    self || trouble === null ? [] : [{ id: other, url: adminUrl, why: trouble }],
  );
  return { look: { ...named, answer: { kind: "status", id, told, unheard } }, status: answer.value };
}

function refusalOf(answer: Exclude<GatewayAnswer<unknown>, { readonly kind: "ok" }>): GatewayLook["answer"] {
  if (answer.kind === "unauthorized") return { kind: "secret-refused", why: answer.message };
  return { kind: "silent", why: answer.kind === "refused-by-gateway" ? answer.error : answer.message };
}

const secretsOf = (secret: ClusterStatus["secret"]): readonly string[] | undefined =>
  secret === null ? undefined : [secret.id, ...(secret.former === null ? [] : [secret.former.id])];

const aheadOf = ({ answer }: GatewayLook): number => (answer.kind === "status" ? (answer.told.clockAheadMs ?? 0) : 0);

interface ToldBy {
  readonly status: ClusterStatus;
  readonly clockAheadMs: number;
}

interface Seen {
  readonly by: ToldBy;
  readonly host: ClusterHost;
}

async function hostsOf(from: SurveyedFrom, gateways: readonly ToldBy[]): Promise<HostLook[]> {
  const seen = new Map<string, { readonly service: string; readonly views: [Seen, ...Seen[]] }>();
  for (const by of gateways)
    for (const { name: service, hosts } of by.status.services)
      for (const host of hosts) {
        if (host.controlUrl.startsWith(plainPrefix)) continue;
        const key = `${service}/${host.id}`;
        const known = seen.get(key);
        if (known === undefined) seen.set(key, { service, views: [{ by, host }] });
        else known.views.push({ by, host });
      }
  const unknown = from.hosts
    .filter(({ service, id, controlUrl }) => !seen.has(`${service}/${id}`) && !controlUrl.startsWith(plainPrefix))
    .map((host): HostLook => ({ ...host, heardBy: [], unheardBy: [], told: undefined, opens: undefined }));
  const known = await Promise.all([...seen.values()].map(({ service, views }) => lookOf(service, views)));
  return [...known, ...unknown];
}

async function lookOf(service: string, views: readonly [Seen, ...Seen[]]): Promise<HostLook> {
  const heard = views.filter(({ host }) => host.health === "up");
  const [latest] = heard.toSorted((a, b) => (a.host.heardMsAgo ?? Infinity) - (b.host.heardMsAgo ?? Infinity));
  const { id, controlUrl } = (latest ?? views[0]).host;
  const dataUrl = latest?.host.dataUrl ?? undefined;
  const opens =
    dataUrl === undefined
      ? undefined
      : { control: await takesConnection(controlUrl, connectMs), data: await takesConnection(dataUrl, connectMs) };
  return {
    ...{ service, id, controlUrl, opens },
    heardBy: heard.map(({ by }) => by.status.gateway),
    unheardBy: views
      .filter(({ host }) => host.health !== "up")
      .map(({ by, host }) => ({ gateway: by.status.gateway, why: host.notes.at(-1) ?? "it was never heard" })),
    told: latest === undefined ? undefined : toldOf(latest),
  };
}

function toldOf({ by, host: { program, secret, dataUrl, lease, vault } }: Seen): HostTold {
  return {
    version: program?.version,
    clockAheadMs: program === null ? undefined : program.clockAheadMs + by.clockAheadMs,
    secrets: secretsOf(secret),
    controlUrl: program?.controlUrl,
    dataUrl: dataUrl ?? undefined,
    leaseMs: lease?.ms,
    vault:
      vault === null
        ? undefined
        : {
            id: vault.id ?? undefined,
            latencyMs: vault.latencyMs ?? undefined,
            error: vault.writeError ?? undefined,
          },
  };
}

const connectMs = 2_000;

function takesConnection(url: string, timeoutMs: number): Promise<boolean> {
  const { hostname, port, protocol } = new URL(url);
  return new Promise((resolve) => {
    const socket = connect({
      host: hostname.replace(/^\[|\]$/g, ""),
      port: Number(port === "" ? (protocol === "https:" ? 443 : 80) : port),
    });
    const settle = (isOpen: boolean): void => {
      socket.destroy();
      resolve(isOpen);
    };
    socket.setTimeout(timeoutMs, () => settle(false));
    socket.once("connect", () => settle(true));
    socket.once("error", () => settle(false));
  });
}

/**
 * Judges a cluster by what its gateways answer: versions, clocks, addresses, secrets, and the vault's speed against the
 * lease. Pure; cluster-survey.ts asks.
 */
import type { Fault } from "./checks.ts";

export const clusterCheckNames = ["clock", "secret", "versions", "vault", "addresses"] as const;

export interface Cluster {
  /** Version of this command. */
  readonly version: string;
  readonly gateways: readonly GatewayLook[];
  readonly hosts: readonly HostLook[];
}

/** A gateway as it answers at one of the addresses at which it is said to be. */
export interface GatewayLook {
  readonly url: string;
  /** Who says so: `the configuration`, or `gateway g1`. */
  readonly saidBy: string;
  /** Whom they mean; undefined: any gateway. */
  readonly expectedId: string | undefined;
  readonly answer:
    | { readonly kind: "status"; readonly id: string; readonly told: Told; readonly unheard: readonly Unheard[] }
    | { readonly kind: "secret-refused"; readonly why: string }
    | { readonly kind: "silent"; readonly why: string };
}

/** What a process tells of itself. Undefined: an earlier version. */
export interface Told {
  readonly version: string | undefined;
  /** Against this machine. */
  readonly clockAheadMs: number | undefined;
  /** Ids of the secrets that it knows. */
  readonly secrets: readonly string[] | undefined;
}

/** Another gateway with which a gateway has no exchange. */
export interface Unheard {
  readonly id: string;
  readonly url: string;
  readonly why: string;
}

export interface HostLook {
  readonly service: string;
  readonly id: string;
  /** As it is registered, or in the configuration. */
  readonly controlUrl: string;
  /** Gateways that hear it, and those that do not, with their reason. Both empty: no gateway knows it. */
  readonly heardBy: readonly string[];
  readonly unheardBy: readonly { readonly gateway: string; readonly why: string }[];
  /** From the gateway that heard it last; undefined: none did. */
  readonly told: HostTold | undefined;
  /** Whether a connection from this machine was accepted; undefined: it was not tried. */
  readonly opens: { readonly control: boolean; readonly data: boolean } | undefined;
}

export interface HostTold extends Told {
  /** As the host itself says. */
  readonly controlUrl: string | undefined;
  readonly dataUrl: string | undefined;
  readonly leaseMs: number | undefined;
  readonly vault:
    | { readonly id: string | undefined; readonly latencyMs: number | undefined; readonly error: string | undefined }
    | undefined;
}

type Said = Omit<Fault, "check">;

/** Certificates, tokens and events of several machines need roughly one time. */
const clockAheadMsMax = 2_000;
/** A primary puts every half lease, and one put may be slow. */
const vaultLeaseShare = 0.25;

export function findClusterFaults(cluster: Cluster): readonly Fault[] {
  return clusterCheckNames.flatMap((check) => checks[check](cluster).map((said) => ({ check, ...said })));
}

const checks: Readonly<Record<(typeof clusterCheckNames)[number], (cluster: Cluster) => readonly Said[]>> = {
  clock: (cluster) => {
    const clocks = [
      { of: "this machine", aheadMs: 0 },
      ...processesOf(cluster).flatMap(({ name, told }) =>
        told.clockAheadMs === undefined ? [] : [{ of: name, aheadMs: told.clockAheadMs }],
      ),
    ];
    const middle = clocks.map(({ aheadMs }) => aheadMs).toSorted((a, b) => a - b)[clocks.length >> 1] ?? 0;
    return clocks
      .map(({ of, aheadMs }) => ({ of, byMs: aheadMs - middle }))
      .filter(({ byMs }) => Math.abs(byMs) > clockAheadMsMax)
      .map(({ of, byMs }) => ({
        found: `the clock of ${of} is ${seconds(byMs)} ${byMs > 0 ? "ahead of" : "behind"} most of the cluster`,
        accepted: `at most ${seconds(clockAheadMsMax)} apart`,
        advice: "let chrony or systemd-timesyncd set it (`timedatectl`)",
      }));
  },
  secret: (cluster) => {
    const refusing = cluster.gateways.flatMap(({ url, answer }) =>
      answer.kind === "secret-refused" ? [{ of: `the gateway at ${url}`, why: answer.why }] : [],
    );
    const unheard = cluster.hosts.flatMap(({ service, id, unheardBy }) =>
      unheardBy.filter(({ why }) => isAboutSecret(why)).map(({ why }) => ({ of: hostName(service, id), why })),
    );
    const between = gatewaysOf(cluster).flatMap(({ id, unheard: others }) =>
      others
        .filter(({ why }) => isAboutSecret(why))
        .map(({ id: other, why }) => ({ of: `gateway ${other}, asked by ${id},`, why })),
    );
    const processes = processesOf(cluster).flatMap(({ name, told: { secrets } }) =>
      secrets === undefined ? [] : [{ name, secrets }],
    );
    const common = mostCommon(processes.flatMap(({ secrets }) => secrets));
    return [
      ...[...refusing, ...unheard, ...between].map(({ of, why }) => ({
        found: `${of} refuses the secret: ${why}`,
        accepted: "one secret, and one `cluster.name`, for all processes",
        advice: "copy the secret's file of the others there; `stead secret rotate` replaces one everywhere",
      })),
      ...processes
        .filter(({ secrets }) => common !== undefined && !secrets.includes(common))
        .map(({ name }) => ({
          found: `${name} has another secret than most of the cluster`,
          accepted: "one secret for all processes",
          advice: "copy the secret's file of the others there, or let `stead secret rotate` finish",
        })),
    ];
  },
  versions: (cluster) => {
    const versions = [
      { name: "this command", version: cluster.version },
      ...processesOf(cluster).map(({ name, told }) => ({ name, version: told.version ?? "an earlier version" })),
    ];
    const common = mostCommon(versions.map(({ version }) => version));
    return versions
      .filter(({ version }) => version !== common)
      .map(({ name, version }) => ({
        found: `${name} is of ${version === "an earlier version" ? version : `version ${version}`}; most of the cluster is of ${common ?? ""}`,
        accepted: "one version, except while the cluster is upgraded",
        advice: "finish the upgrade: secondaries first, then a switchover, then the former primary, then the gateways",
      }));
  },
  vault: ({ hosts }) =>
    hosts.flatMap((host) => {
      const { told } = host;
      const name = hostName(host.service, host.id);
      if (told?.vault === undefined) return [];
      const { error, latencyMs, id } = told.vault;
      const isSlow =
        latencyMs !== undefined && told.leaseMs !== undefined && latencyMs > told.leaseMs * vaultLeaseShare;
      const of = hosts.filter(({ service }) => service === host.service).map((each) => each.told?.vault?.id);
      const common = mostCommon(of.filter((each) => each !== undefined));
      return [
        ...(error === undefined
          ? []
          : [
              {
                found: `${name} cannot write to the vault: ${error}`,
                accepted: "a vault that every host can write to",
                advice: "mend its mount, the way to the vault server or the bucket, or the permissions",
              },
            ]),
        ...(isSlow
          ? [
              {
                found: `${name} needs ${Math.round(latencyMs)} ms for a put into the vault, with a lease of ${told.leaseMs} ms`,
                accepted: `at most ${Math.round(told.leaseMs * vaultLeaseShare)} ms, a quarter of the lease`,
                advice: `a faster vault, or \`lease = "${Math.ceil(latencyMs / vaultLeaseShare)}ms"\` in [host] of every host`,
              },
            ]
          : []),
        ...(id === undefined || common === undefined || id === common
          ? []
          : [
              {
                found: `${name} uses the vault ${id}, other hosts of the service use ${common}`,
                accepted: "one vault for all hosts of a service",
                advice: "correct host.vault, or the mount at that place",
              },
            ]),
      ];
    }),
  addresses: ({ gateways, hosts }) => {
    const silent = gateways.flatMap(({ url, answer }) => (answer.kind === "silent" ? [url] : []));
    return [...gateways.flatMap((look) => gatewayAddress(look, silent)), ...hosts.flatMap(hostAddress)];
  },
};

/** `silent`: addresses that are named once, as not answering. */
function gatewayAddress({ url, saidBy, expectedId, answer }: GatewayLook, silent: readonly string[]): readonly Said[] {
  const whom = expectedId === undefined ? "a gateway" : `gateway ${expectedId}`;
  switch (answer.kind) {
    case "secret-refused":
      return [];
    case "silent":
      return [
        {
          found: `${saidBy} says that ${whom} is at ${url}, which does not answer: ${answer.why}`,
          accepted: "an address at which the gateway answers from every machine of the cluster",
          advice: "start it, correct gateway.advertise_admin there, or remove it (`stead gateways remove`)",
        },
      ];
    case "status":
      return [
        ...(expectedId === undefined || expectedId === answer.id
          ? []
          : [
              {
                found: `${saidBy} says that ${whom} is at ${url}, where gateway ${answer.id} answers`,
                accepted: "an address of its own for each gateway",
                advice: `correct gateway.advertise_admin of ${expectedId} and of ${answer.id}`,
              },
            ]),
        ...answer.unheard
          .filter((other) => !isAboutSecret(other.why) && !silent.includes(other.url))
          .map((other) => ({
            found: `gateway ${answer.id} has no exchange with ${other.id} at ${other.url}: ${other.why}`,
            accepted: "gateways that reach each other",
            advice: `correct gateway.advertise_admin of ${other.id}, or the network between the two`,
          })),
      ];
  }
}

function hostAddress(host: HostLook): readonly Said[] {
  const name = hostName(host.service, host.id);
  const said = (found: string, key: "control" | "data"): Said => ({
    found: `${name}: ${found}`,
    accepted: "addresses at which all gateways and hosts reach it",
    advice: `correct host.advertise_${key} there${key === "control" ? " and its entry in the registry (`stead hosts add`)" : ""}, or the firewall`,
  });
  const { heardBy, told, opens, controlUrl } = host;
  const unheardBy = host.unheardBy.filter(({ why }) => !isAboutSecret(why));
  if (heardBy.length === 0 && host.unheardBy.length === 0)
    return [said(`no gateway that answers knows it, only the configuration (${controlUrl})`, "control")];
  const wrong = [
    ["advertise_control", told?.controlUrl, "control"],
    ["advertise_data", told?.dataUrl, "data"],
  ] as const;
  return [
    ...unheardBy.map(({ gateway, why }) =>
      said(`gateway ${gateway} does not hear it at ${controlUrl}: ${why}`, "control"),
    ),
    ...wrong.flatMap(([what, url, key]) =>
      url === undefined || !isLoopback(url) || isLoopback(controlUrl)
        ? []
        : [said(`its ${what} is ${url}, which on another machine means that machine`, key)],
    ),
    // A machine that does not reach the control address is outside of the cluster's network and cannot tell.
    ...(opens?.control === true && !opens.data && told?.dataUrl !== undefined && !isLoopback(told.dataUrl, controlUrl)
      ? [said(`its data address ${told.dataUrl} takes no connection, its control address does`, "data")]
      : []),
  ];
}

const gatewaysOf = ({ gateways }: Cluster) => {
  const known = new Map(
    gateways.flatMap(({ answer }) => (answer.kind === "status" ? [[answer.id, answer] as const] : [])),
  );
  return [...known.values()];
};

function processesOf(cluster: Cluster): readonly { readonly name: string; readonly told: Told }[] {
  return [
    ...gatewaysOf(cluster).map(({ id, told }) => ({ name: `gateway ${id}`, told })),
    ...cluster.hosts.flatMap(({ service, id, told }) =>
      told === undefined ? [] : [{ name: hostName(service, id), told }],
    ),
  ];
}

const hostName = (service: string, id: string): string => `host ${id} of ${service}`;
const isAboutSecret = (why: string): boolean => /secret|cluster\.name/i.test(why);
const seconds = (ms: number): string => `${Math.round(Math.abs(ms) / 100) / 10} s`;

/** A loopback address; with `besides`, only if that is none. */
function isLoopback(url: string, besides?: string): boolean {
  const matches = /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(new URL(url).hostname);
  return matches && (besides === undefined || !isLoopback(besides));
}

/** The first of the most frequent ones. */
function mostCommon(values: readonly string[]): string | undefined {
  const counts = new Map<string, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].toSorted(([, a], [, b]) => b - a)[0]?.[0];
}

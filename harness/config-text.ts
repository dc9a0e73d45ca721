/** The configuration files of a cluster's processes, as an operator would write them, with paths in its folder. */
import type { DemoApplication } from "./applications.ts";

export interface HostPlace {
  readonly id: string;
  /** Where it listens; the loopback address when left out. */
  readonly address?: string;
  readonly controlPort: number;
  readonly dataPort: number;
}

export interface GatewayPlace {
  readonly id: string;
  /** Where it listens; the loopback address when left out. */
  readonly address?: string;
  readonly port: number;
  readonly adminPort: number;
}

const addressAt = (port: number, address = "127.0.0.1"): string => `${address}:${port}`;
export const urlAt = (port: number, address?: string): string => `http://${addressAt(port, address)}`;
/** TOML basic strings take JSON's escapes. */
const quoted = (text: string): string => JSON.stringify(text);

/** `isTls`: with the certificates that harness/certificates.ts has written. */
const clusterTable = (isTls = false): string =>
  `[cluster]\nsecret_file = "../secret"\n${isTls ? 'tls = { ca = "../ca.pem", cert = "tls.pem", key = "tls.key" }\n' : ""}`;

export interface HostConfigParts {
  readonly place: HostPlace;
  readonly service: string;
  readonly application: DemoApplication;
  /** The host that takes its own files, or none, as the first content of the empty vault. */
  readonly bootstrap: boolean;
  /** More tables of the file, for example `[host.checkpoint]`. */
  readonly extra: string;
  /** More keys of the table `[host]`. */
  readonly keys?: string | undefined;
  /** Path of the vault as this host sees it. */
  readonly vault?: string;
  /** Path of the application's data. */
  readonly data?: string | undefined;
  readonly isTls?: boolean | undefined;
}

export function hostConfigText({
  place,
  service,
  application,
  bootstrap,
  extra,
  keys = "",
  vault = "../vault",
  data = "data",
  isTls,
}: HostConfigParts): string {
  return `${clusterTable(isTls)}
[host]
id = ${quoted(place.id)}
service = ${quoted(service)}
control = ${quoted(addressAt(place.controlPort, place.address))}
listen = ${quoted(addressAt(place.dataPort, place.address))}
data = ${quoted(data)}
databases = [${quoted(application.database)}]
vault = ${quoted(vault)}
bootstrap = ${bootstrap}
${keys}
[host.application]
command = [${application.command.map(quoted).join(", ")}]

[host.application.ready]
path = ${quoted(application.readyPath)}
${extra}`;
}

export interface VaultPlace {
  readonly address?: string;
  readonly port: number;
}

export const vaultUrlAt = ({ address, port }: VaultPlace): string => `stead://${addressAt(port, address)}`;

export const vaultConfigText = ({ address, port }: VaultPlace, folder: string): string => `${clusterTable()}
[vault]
data = ${quoted(folder)}
listen = ${quoted(addressAt(port, address))}
`;

interface GatewayConfigParts {
  readonly peers?: readonly GatewayPlace[];
  readonly isTls?: boolean | undefined;
  /** More settings of the service, a line each. */
  readonly serviceExtra?: string | undefined;
}

export function gatewayConfigText(
  place: GatewayPlace,
  service: string,
  hosts: readonly HostPlace[],
  { peers = [], isTls, serviceExtra = "" }: GatewayConfigParts = {},
): string {
  const hostTables = hosts.map(
    (host) => `
[[service.host]]
id = ${quoted(host.id)}
control = ${quoted(urlAt(host.controlPort, host.address))}
`,
  );
  return `${clusterTable(isTls)}
[gateway]
id = ${quoted(place.id)}
listen = ${quoted(addressAt(place.port, place.address))}
admin = ${quoted(addressAt(place.adminPort, place.address))}
database = "gateway.db"
${peers.length === 0 ? "" : `peers = [${peers.map((peer) => quoted(urlAt(peer.adminPort, peer.address))).join(", ")}]\n`}
[[service]]
name = ${quoted(service)}
${serviceExtra}${hostTables.join("")}`;
}

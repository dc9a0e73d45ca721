/** The configuration files of the demo's processes: what an operator would write, with paths in the demo's folder. */
import type { DemoApplication } from "./applications.ts";

export interface HostPlace {
  readonly id: string;
  readonly controlPort: number;
  readonly dataPort: number;
}

export interface GatewayPlace {
  readonly id: string;
  readonly port: number;
  readonly adminPort: number;
}

const address = (port: number): string => `127.0.0.1:${port}`;
export const urlAt = (port: number): string => `http://${address(port)}`;
/** TOML basic strings take JSON's escapes. */
const quoted = (text: string): string => JSON.stringify(text);

const cluster = `[cluster]\nsecret_file = "../secret"\n`;

export interface HostConfigParts {
  readonly place: HostPlace;
  readonly service: string;
  readonly application: DemoApplication;
  /** The host that takes its own files, or none, as the first content of the empty vault. */
  readonly bootstrap: boolean;
  /** More tables of the file, for example `[host.checkpoint]`. */
  readonly extra: string;
}

export function hostConfigText({ place, service, application, bootstrap, extra }: HostConfigParts): string {
  return `${cluster}
[host]
id = ${quoted(place.id)}
service = ${quoted(service)}
control = ${quoted(address(place.controlPort))}
listen = ${quoted(address(place.dataPort))}
data = "data"
databases = [${quoted(application.database)}]
vault = "../vault"
bootstrap = ${bootstrap}

[host.application]
command = [${application.command.map(quoted).join(", ")}]

[host.application.ready]
path = ${quoted(application.readyPath)}
${extra}`;
}

export function gatewayConfigText(place: GatewayPlace, service: string, hosts: readonly HostPlace[]): string {
  const hostTables = hosts.map(
    (host) => `
[[service.host]]
id = ${quoted(host.id)}
control = ${quoted(urlAt(host.controlPort))}
`,
  );
  return `${cluster}
[gateway]
id = ${quoted(place.id)}
listen = ${quoted(address(place.port))}
admin = ${quoted(address(place.adminPort))}
database = "gateway.db"

[[service]]
name = ${quoted(service)}
${hostTables.join("")}`;
}

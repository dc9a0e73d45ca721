/**
 * `stead init --add`: a further service on a machine that has a configuration. Its host gets a file of its own beside
 * stead.toml, SERVICE.toml, with ports that no file in the folder names; its [[service]] goes behind what the gateway's
 * stead.toml has, every byte of which stays. A running gateway reads that file again by itself.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { clusterNameDefault } from "../../control/channel/keyring.ts";
import { loadConfig, parseConfig } from "../../config/load.ts";
import { formatProblems } from "../../config/problems.ts";
import type { Config } from "../../config/types.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { defaultConfigFile } from "./config.ts";
import type { InitFlags } from "./init-flags.ts";
import { type TemplatePorts, usualPorts } from "./init-template.ts";

/** What a machine has, and what its further host takes from it. */
export interface ConfiguredMachine {
  readonly service: string;
  /** Of stead.toml. */
  readonly path: string;
  readonly text: string;
  /** As the further file names it, relative to the folder. */
  readonly secretFile: string;
  readonly secretPath: string;
  /** `cluster.name`; undefined: the usual one. */
  readonly cluster: string | undefined;
  /** At which other machines reach this one. */
  readonly address: string;
  readonly ports: TemplatePorts;
}

/** Throws OperatorError for what keeps a further service from this machine. */
export function readConfiguredMachine(folder: string, { service, role, tls }: InitFlags): ConfiguredMachine {
  const path = join(folder, defaultConfigFile);
  if (service === undefined)
    throw new OperatorError("usage", {
      found: "--add without a service's name",
      accepted: "a name that no other service of this machine has",
      advice: "name it, for example --service orders",
    });
  const config = read(path);
  const { cluster, secretPath } = clusterOf(config, path);
  if (role !== "host" && config.gateway === undefined)
    throw new OperatorError("configuration", {
      found: `${path} has no [gateway] that could serve "${service}"; nothing was written`,
      accepted: "--role host on this machine, and --role gateway on each one with a gateway",
      advice: "give the command again with --role host",
    });
  if (cluster.tls !== undefined && role !== "gateway" && !tls)
    throw new OperatorError("usage", {
      found: `the processes of ${path} call each other over TLS, and a certificate names its host; nothing was written`,
      accepted: `--tls, with the authority's ca.pem and ca.key in ${folder}`,
      advice: "put both there, give the command again with --tls, and take ca.key away afterwards",
    });
  return {
    ...{ service, path, text: readFileSync(path, "utf8"), secretPath, secretFile: placeIn(folder, secretPath) },
    cluster: cluster.name === clusterNameDefault ? undefined : cluster.name,
    address: addressIn(config.host?.controlUrl ?? config.gateway?.adminUrl ?? ""),
    ports: freePorts(folder),
  };
}

/** Returns the text of stead.toml with this part behind it. Throws OperatorError if it would be refused. */
export function withService({ path, text }: ConfiguredMachine, part: string): string {
  const whole = `${text.endsWith("\n") ? text : `${text}\n`}\n${part}`;
  const result = parseConfig(path, whole);
  if (result.kind === "ok") return whole;
  throw new OperatorError("usage", {
    found: `with this service, ${path} would be refused; nothing was written:\n${formatProblems(result.problems)}`,
    advice: "choose another --service, or name the requests that are the service's with --match-host or --match-path",
  });
}

function read(path: string): Config {
  const result = loadConfig(path);
  if (result.kind === "ok") return result.config;
  throw new OperatorError("configuration", {
    found: `${path} cannot be taken as it is; nothing was written:\n${formatProblems(result.problems)}`,
    accepted: "a machine with a configuration that `stead config check` accepts",
    advice: `correct it, or make the first one with \`stead init\` in ${dirname(path)}, without --add`,
  });
}

function clusterOf({ gateway, host }: Config, path: string) {
  const cluster = (gateway ?? host)?.cluster;
  const secretFrom = cluster?.secretFrom;
  if (cluster !== undefined && secretFrom?.kind === "file") return { cluster, secretPath: secretFrom.path };
  throw new OperatorError("configuration", {
    found: `${path} has ${cluster === undefined ? "neither a gateway nor a host" : "a secret that is in no file of its own"}; nothing was written`,
    accepted: "a gateway or a host, with `secret_file`",
    advice: "put the secret into a file and name it there, then give the command again",
  });
}

/** As a configuration in the folder names it. */
function placeIn(folder: string, path: string): string {
  const place = relative(folder, path);
  return place.startsWith("..") ? path : place;
}

/** Without the brackets of IPv6. */
const addressIn = (url: string): string => new URL(url).hostname.replace(/^\[|\]$/g, "");

/** The first pair of which no file in the folder has either. */
function freePorts(folder: string): TemplatePorts {
  const texts = readdirSync(folder)
    .filter((name) => name.endsWith(".toml"))
    .map((name) => readFileSync(join(folder, name), "utf8"));
  const isTaken = (port: number): boolean => texts.some((text) => new RegExp(`:${port}\\b`).test(text));
  let ports = usualPorts;
  while (isTaken(ports.control) || isTaken(ports.listen))
    ports = { control: ports.control + 1, listen: ports.listen + 1 };
  return ports;
}

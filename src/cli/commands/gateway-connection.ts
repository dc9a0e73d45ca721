/**
 * How commands find their gateway, and how its answers are shown at a terminal.
 *
 * The address comes from --gateway, else the environment variable STEAD_GATEWAY, else [gateway] of the configuration
 * file. A token comes from --token-file, else STEAD_TOKEN; without one the cluster secret is used, from that file, or
 * from STEAD_SECRET. The file is --config, else stead.toml in the working folder if it exists; that one is not read if
 * a token and an address are known without it. A file with [cluster] alone is enough where an address is known: it has
 * the secret, and the certificates of an operator.
 */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { ChannelClient } from "../../control/channel/client.ts";
import { Keyring } from "../../control/channel/keyring.ts";
import { ClusterTls } from "../../control/tls/cluster-tls.ts";
import { systemLog } from "../../runtime/log.ts";
import { operator } from "../../control/channel/transcript.ts";
import type { AccessToken } from "../../control/access-token.ts";
import type { GatewayAnswer } from "../../control/gateway-client.ts";
import { GatewayClient } from "../../control/gateway-client.ts";
import { ClusterSecrets } from "../../config/cluster-secrets.ts";
import type { ClusterConfig, Config } from "../../config/types.ts";
import { baseUrlAccepted, parseBaseUrl } from "../../core/base-url.ts";
import { systemClock } from "../../runtime/clock.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { defaultConfigFile, requireConfig } from "./config.ts";
import { isTokenText } from "../../control/token.ts";
import type { CliContext } from "../output/context.ts";

export interface ConnectionFlags {
  readonly gateway: string | undefined;
  readonly config: string | undefined;
  readonly tokenFile: string | undefined;
}

/** The flags of every command that talks to a gateway. */
export const connectionFlags = {
  gateway: {
    kind: "parsed",
    parse: parseUrl,
    optional: true,
    placeholder: "url",
    brief: "Admin address of a gateway (else STEAD_GATEWAY, else the configuration file)",
  },
  config: {
    kind: "parsed",
    parse: String,
    optional: true,
    placeholder: "file",
    brief: `Configuration file with address and secret (${defaultConfigFile} when it is there)`,
  },
  tokenFile: {
    kind: "parsed",
    parse: String,
    optional: true,
    placeholder: "file",
    brief: "File with a token, used instead of the cluster secret (else STEAD_TOKEN)",
  },
} as const;

export const serviceFlag = {
  service: {
    kind: "parsed",
    parse: String,
    optional: true,
    placeholder: "name",
    brief: "Service, if the gateway has several",
  },
} as const;

export const jsonFlag = {
  json: { kind: "boolean", default: false, withNegated: false, brief: "Print the answer as one JSON object" },
} as const;

export interface GatewayConnection {
  readonly client: GatewayClient;
  readonly url: string;
  /** Of the file, if one was read. */
  readonly config: Config | undefined;
  /** A client with the same credentials for another gateway. */
  clientOf(url: string): GatewayClient;
}

/** Returns the client for these flags. Ends the command with code 3 if address or secret cannot be found. */
export function connectToGateway(context: CliContext, flags: ConnectionFlags): GatewayConnection {
  const { env } = context.process;
  const token = tokenOf(context, flags);
  const named = flags.gateway ?? gatewayOf(env["STEAD_GATEWAY"]);
  const needsFile = token === undefined || named === undefined || flags.config !== undefined;
  const hasFile = flags.config !== undefined || existsSync(resolve(context.cwd, defaultConfigFile));
  const config = needsFile && hasFile ? requireConfig(context, flags.config) : undefined;
  const url = named ?? config?.gateway?.adminUrl ?? config?.gatewayUrl;
  const fromEnv = env["STEAD_SECRET"];
  const secrets = secretsOf(config) ?? (fromEnv === undefined ? undefined : [fromEnv]);
  if (url === undefined) {
    throw new OperatorError("configuration", {
      found: "no gateway is named",
      accepted: "--gateway URL, STEAD_GATEWAY, or a configuration file with [gateway], or with `gateway` in [cluster]",
      advice: "for example `--gateway http://127.0.0.1:7700`",
    });
  }
  const cluster = config?.cluster;
  const tls = tlsOf(cluster);
  const warning = token === undefined || tls !== undefined ? undefined : clearTextWarning(url);
  if (warning !== undefined) context.process.stderr.write(`warning: ${warning}\n`);
  const connected = (clientOf: (of: string) => GatewayClient): GatewayConnection => ({
    ...{ client: clientOf(url), url, config, clientOf },
  });
  if (token !== undefined) return connected((of) => new GatewayClient(of, { ...token, tls }, systemClock));
  if (secrets === undefined) {
    throw new OperatorError("configuration", {
      found: "no cluster secret and no token is known",
      accepted: "a token (--token-file, STEAD_TOKEN), a configuration file with [cluster], or STEAD_SECRET",
      advice: "name the file with --config or --token-file, or run with STEAD_TOKEN or STEAD_SECRET set",
    });
  }
  const channel = new ChannelClient(new Keyring(secrets, cluster?.name), operator, systemClock, tls);
  return connected((of) => new GatewayClient(of, channel, systemClock));
}

/** Returns what to say of a token that is sent there in clear text; undefined: it does not leave this machine. */
export const clearTextWarning = (url: string): string | undefined =>
  /^(?:localhost|127(?:\.\d+){3}|\[::1\])$/.test(new URL(url).hostname)
    ? undefined
    : `the token is sent to ${url} in clear text: who reads the network can use it. Name a file with [cluster.tls] (--config), or call the gateway on its own machine`;

/** Returns the secrets that are valid now, the one to call with first; undefined: the configuration has none. */
export function secretsOf(config: Config | undefined): readonly string[] | undefined {
  if (config?.secret === undefined) return undefined;
  const { secret, cluster } = config;
  const log = systemLog("cli");
  return new ClusterSecrets({ secret, from: cluster.secretFrom, clock: systemClock, log }).valid;
}

/** Any certificate of the cluster may call; what it may do, the gateway decides. */
export function tlsOf(cluster: ClusterConfig | undefined): ClusterTls | undefined {
  if (cluster?.tls === undefined) return undefined;
  const { name, tls: config } = cluster;
  return new ClusterTls({ config, cluster: name, self: [], clock: systemClock, log: systemLog("cli") });
}

/** Returns the token to use; undefined: none is named. Ends the command with code 3 if it is none. */
export function tokenOf(
  context: CliContext,
  { tokenFile }: Pick<ConnectionFlags, "tokenFile">,
): AccessToken | undefined {
  const text =
    tokenFile === undefined ? context.process.env["STEAD_TOKEN"] : readToken(resolve(context.cwd, tokenFile));
  if (text === undefined) return undefined;
  if (isTokenText(text)) return { token: text };
  throw new OperatorError("configuration", {
    found: `${tokenFile === undefined ? "STEAD_TOKEN" : tokenFile} does not hold a token`,
    accepted: "one line that begins with `stead_`, as `stead token add` prints it",
    advice: "make one with `stead token add NAME --role ROLE --valid DURATION`",
  });
}

function readToken(path: string): string {
  try {
    return readFileSync(path, "utf8").replace(/\r?\n$/, "");
  } catch (error) {
    throw new OperatorError("configuration", {
      found: `the token file ${path} cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
      accepted: "a readable file with the token as its only line",
      advice: "correct the path, or give this user the right to read it",
    });
  }
}

/** Returns the value of an answer; anything else ends the command with its exit code (5 refused, 6 not reached). */
export function requireAnswer<T>(answer: GatewayAnswer<T>, url: string): T {
  switch (answer.kind) {
    case "ok":
      return answer.value;
    case "refused-by-gateway":
      throw new OperatorError("refused", { found: answer.error, accepted: answer.accepted, advice: answer.advice });
    case "unauthorized":
      throw new OperatorError("refused", {
        found: `${url}: ${answer.message}`,
        advice:
          "use the cluster secret, and the `cluster.name`, that the gateway was started with, or a token that is valid there (`stead token list`); with [cluster.tls] a certificate of a role that may make this call",
      });
    case "refused":
      throw new OperatorError("unreachable", {
        found: `no gateway answers at ${url} (connection refused)`,
        advice: "start it with `stead gateway FILE`, or name another gateway with --gateway",
      });
    case "no-evidence":
    case "timeout":
    case "reset":
    case "aborted":
      throw new OperatorError("unreachable", {
        found: answer.message,
        advice:
          "try again, or use another gateway with --gateway; the order may still be carried out: see `stead status`",
      });
    case "invalid":
      throw new OperatorError("unreachable", {
        found: `${url} does not answer as a gateway of this version: ${answer.message}`,
        advice: "check the address: it must be the admin listener",
      });
  }
}

function gatewayOf(variable: string | undefined): string | undefined {
  if (variable === undefined) return undefined;
  try {
    return parseUrl(variable);
  } catch {
    throw new OperatorError("configuration", {
      found: `STEAD_GATEWAY is ${JSON.stringify(variable)}`,
      accepted: `${baseUrlAccepted}; with or without http://`,
      advice: "set it to the admin address of a gateway",
    });
  }
}

/** Parses an address of stead. Its scheme is optional. */
export function parseUrl(text: string): string {
  const url = parseBaseUrl(text.includes("://") ? text : `http://${text}`);
  if (url === undefined)
    throw new Error(`"${text}" is not an address of stead: ${baseUrlAccepted} is accepted, with or without http://`);
  return url;
}

/** Selects the vault for a command of `stead vault` from its flags and argument. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { CheckpointConfig } from "../../config/types.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { requireConfig } from "./config.ts";
import type { CliContext } from "../output/context.ts";

export interface VaultFlags {
  readonly config: string | undefined;
  readonly json: boolean;
}

export const vaultFlags = {
  config: {
    kind: "parsed",
    parse: String,
    optional: true,
    placeholder: "file",
    brief: "Configuration file whose [host] names the vault (default without a folder: stead.toml)",
  },
  json: { kind: "boolean", default: false, withNegated: false, brief: "Print one JSON object" },
} as const;

export const folderParameter = {
  kind: "tuple",
  parameters: [
    {
      brief: "Folder of the vault (default: from [host])",
      placeholder: "folder",
      parse: String,
      optional: true,
    },
  ],
} as const;

interface Meant {
  readonly url: string;
  /** Known if a configuration names the vault; a vault server needs it. */
  readonly secret: string | undefined;
  readonly service: string | undefined;
  readonly checkpoint: CheckpointConfig | undefined;
}

/** Returns the vault of the folder, or of the configuration; both at once would be ambiguous. */
export function vaultArgument(context: CliContext, flags: VaultFlags, folder: string | undefined): Meant {
  if (folder !== undefined) {
    if (flags.config !== undefined) {
      throw new OperatorError("usage", {
        found: "a folder and --config",
        accepted: "one of them",
        advice: "leave one out",
      });
    }
    return {
      url: pathToFileURL(resolve(context.cwd, folder)).href,
      service: undefined,
      secret: undefined,
      checkpoint: undefined,
    };
  }
  const { host, file } = requireConfig(context, flags.config);
  if (host === undefined) {
    throw new OperatorError("configuration", {
      found: `no [host] in ${file}`,
      advice: "name the vault's folder, or a configuration file with [host]",
    });
  }
  return { url: host.vaultUrl, service: host.service, secret: host.secret, checkpoint: host.checkpoint };
}

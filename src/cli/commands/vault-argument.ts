/** Selects the vault for a command of `stead vault` from its flags and argument. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import type { CheckpointConfig } from "../../config/types.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { requireConfig } from "./config.ts";
import type { CliContext } from "../output/context.ts";

export interface VaultFlags {
  readonly config: string | undefined;
  readonly json: boolean;
  readonly "secret-file": string | undefined;
}

export const vaultFlags = {
  config: {
    kind: "parsed",
    parse: String,
    optional: true,
    placeholder: "file",
    brief: "Configuration file whose [host] names the vault (default without a folder: stead.toml)",
  },
  "secret-file": {
    kind: "parsed",
    parse: String,
    optional: true,
    placeholder: "file",
    brief: "The cluster's secret, for a folder (default: STEAD_SECRET)",
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
  /** Known if a configuration names the vault. */
  readonly service: string | undefined;
  readonly checkpoint: CheckpointConfig | undefined;
  /** What opens the vault's keys, the cluster's first, which a vault server needs; empty: nothing was given. */
  readonly secrets: readonly string[];
}

/** Returns the secret of a file. Throws OperatorError. */
export function secretIn(path: string): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new OperatorError("usage", {
      found: `${path}, which cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
      accepted: "a file with the cluster's secret as its only line",
      advice: "correct the path, or run the command as the user that may read it",
    });
  }
  return text.replace(/\r?\n$/, "");
}

/** Returns the secret that was given for a vault without a configuration; empty: none. */
export function secretsGiven(context: CliContext, file: string | undefined): readonly string[] {
  if (file !== undefined) return [secretIn(resolve(context.cwd, file))];
  const fromEnv = context.process.env?.["STEAD_SECRET"];
  return fromEnv === undefined ? [] : [fromEnv];
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
    const secrets = secretsGiven(context, flags["secret-file"]);
    const url = pathToFileURL(resolve(context.cwd, folder)).href;
    return { url, service: undefined, checkpoint: undefined, secrets };
  }
  const { host, file } = requireConfig(context, flags.config);
  if (host === undefined) {
    throw new OperatorError("configuration", {
      found: `no [host] in ${file}`,
      advice: "name the vault's folder, or a configuration file with [host]",
    });
  }
  if (flags["secret-file"] !== undefined)
    throw new OperatorError("usage", {
      found: `--secret-file beside ${file}, which names the secret`,
      accepted: "--secret-file with a folder",
      advice: "leave it out",
    });
  return { url: host.vaultUrl, service: host.service, checkpoint: host.checkpoint, secrets: [host.secret] };
}

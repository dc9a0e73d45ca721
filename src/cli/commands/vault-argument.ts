/** Selects the vault for a command of `stead vault` from its flags and argument. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { isS3Url, type S3Settings } from "../../core/s3-place.ts";
import type { CheckpointConfig } from "../../config/types.ts";
import { vaultKeyOf } from "../../host/machine/vault-key.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { requireConfig } from "./config.ts";
import type { CliContext } from "../output/context.ts";
import { secretsOf } from "./gateway-connection.ts";

export interface VaultFlags {
  readonly config: string | undefined;
  readonly json: boolean;
  readonly "secret-file": string | undefined;
  readonly "vault-key-file": string | undefined;
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
  "vault-key-file": {
    kind: "parsed",
    parse: String,
    optional: true,
    placeholder: "file",
    brief: "What opens the vault's keys in place of the secret, for a folder (default: STEAD_VAULT_KEY)",
  },
  json: { kind: "boolean", default: false, withNegated: false, brief: "Print one JSON object" },
} as const;

/** Of commands that only read, in place of the vault. */
export const fromFlag = {
  from: {
    kind: "parsed",
    parse: String,
    optional: true,
    placeholder: "copy",
    brief: "A copy of the vault: a folder, or a bucket of [[host.vault_copy]]; the configuration opens its keys",
  },
} as const;

/** Returns where a copy is: a folder, or a bucket that the configuration names. Throws OperatorError. */
export function copyArgument(
  context: CliContext,
  config: string | undefined,
  copy: string,
): { readonly url: string; readonly s3: S3Settings | undefined } {
  if (!isS3Url(copy)) return { url: pathToFileURL(resolve(context.cwd, copy)).href, s3: undefined };
  const { host, file } = requireConfig(context, config);
  const url = copy.replace(/\/$/, "");
  const copies = host?.vaultCopies ?? [];
  const known = copies.find((each) => each.url === url);
  if (known !== undefined) return known;
  throw new OperatorError("usage", {
    found: `the bucket ${copy}, which ${file} does not name`,
    accepted: copies.length === 0 ? "a copy of [[host.vault_copy]]" : copies.map((each) => each.url).join(", "),
    advice: "add it to [[host.vault_copy]]: the table also says where the bucket is",
  });
}

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
  /** Where a bucket is, if a configuration names one. */
  readonly s3: S3Settings | undefined;
  /** Known if a configuration names the vault. */
  readonly service: string | undefined;
  readonly checkpoint: CheckpointConfig | undefined;
  /** Of the cluster; undefined: it was not given. */
  readonly secret: string | undefined;
  /** What opens the vault's keys, that which keyrings are made for first; empty: nothing was given. */
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

type Given = Pick<Meant, "secret" | "secrets">;

/** Returns what was given for a vault without a configuration. */
export function secretsGiven(context: CliContext, flags: Pick<VaultFlags, "secret-file" | "vault-key-file">): Given {
  const given = (file: string | undefined, variable: string): string | undefined =>
    file === undefined ? context.process.env?.[variable] : secretIn(resolve(context.cwd, file));
  const secret = given(flags["secret-file"], "STEAD_SECRET");
  const vaultKey = given(flags["vault-key-file"], "STEAD_VAULT_KEY");
  return { secret, secrets: [vaultKey, secret].filter((each) => each !== undefined) };
}

/** Returns the URL of a vault's folder. A bucket needs more than its name. Throws OperatorError. */
export function folderUrl(context: CliContext, folder: string): string {
  if (!isS3Url(folder)) return pathToFileURL(resolve(context.cwd, folder)).href;
  throw new OperatorError("usage", {
    found: `the bucket ${folder}`,
    accepted: "a folder, or --config with a file whose [host] names the bucket",
    advice: "name that file instead: it also says where the bucket is ([host.vault_s3])",
  });
}

/** Returns the vault of the folder, or of the configuration; both at once would be ambiguous. */
export async function vaultArgument(
  context: CliContext,
  flags: VaultFlags & { readonly from?: string | undefined },
  folder: string | undefined,
): Promise<Meant> {
  if (flags.from !== undefined && folder !== undefined)
    throw new OperatorError("usage", {
      found: "a folder and --from",
      accepted: "one of them",
      advice: "leave --from out: a folder may be a copy as well",
    });
  if (folder !== undefined) {
    if (flags.config !== undefined) {
      throw new OperatorError("usage", {
        found: "a folder and --config",
        accepted: "one of them",
        advice: "leave one out",
      });
    }
    const nothing = { s3: undefined, service: undefined, checkpoint: undefined };
    return { url: folderUrl(context, folder), ...nothing, ...secretsGiven(context, flags) };
  }
  const config = requireConfig(context, flags.config);
  const { host, file } = config;
  if (host === undefined) {
    throw new OperatorError("configuration", {
      found: `no [host] in ${file}`,
      advice: "name the vault's folder, or a configuration file with [host]",
    });
  }
  for (const flag of ["secret-file", "vault-key-file"] as const)
    if (flags[flag] !== undefined)
      throw new OperatorError("usage", {
        found: `--${flag} beside ${file}, which names what opens the vault`,
        accepted: `--${flag} with a folder`,
        advice: "leave it out",
      });
  const { vaultUrl: url, vaultS3: s3, service, checkpoint, secret } = host;
  const secrets = [...new Set([await vaultKeyOf(host), ...(secretsOf(config) ?? [secret])])];
  const place = flags.from === undefined ? { url, s3 } : copyArgument(context, flags.config, flags.from);
  return { ...place, service, checkpoint, secret, secrets };
}

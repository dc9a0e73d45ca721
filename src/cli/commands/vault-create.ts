/**
 * `stead vault create`: the only way to make a new vault. A host never makes one, since an empty mount point looks the
 * same.
 */
import { resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { buildCommand } from "@stricli/core";
import { identifierAccepted, isIdentifier } from "../../core/identifier.ts";
import type { S3Settings } from "../../core/s3-place.ts";
import { isVaultUrl } from "../../core/vault-address.ts";
import type { OpenedVault } from "../../remote/open-vault.ts";
import type { LogKind } from "../../vault/store/identity.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { CliContext } from "../output/context.ts";
import { jsonFlag } from "./gateway-connection.ts";
import { folderUrl, secretsGiven, vaultArgument, vaultFlags } from "./vault-argument.ts";

interface NewVault {
  /** Of a folder, or of a bucket. */
  readonly url: string;
  readonly service: string;
  readonly log?: LogKind | undefined;
  readonly s3?: S3Settings | undefined;
}

/** Makes the place a vault of this service; an existing vault stays as it is. */
export async function makeVault({ url, service, log, s3 }: NewVault): Promise<LogKind> {
  const { readIdentity } = await import("../../vault/store/identity.ts");
  const store = s3 === undefined ? await inFolder(url, service, log) : await inBucket(url, service, s3);
  try {
    return (await readIdentity(store))?.log ?? "objects";
  } finally {
    await store.close();
  }
}

async function inFolder(url: string, service: string, log: LogKind | undefined): Promise<OpenedVault> {
  const { createVault } = await import("../../vault/store/open-store.ts");
  return createVault(url, service, { log });
}

async function inBucket(url: string, service: string, settings: S3Settings): Promise<OpenedVault> {
  const { createS3Vault } = await import("../../s3/open-s3-vault.ts");
  return createS3Vault(url, service, { settings, timeoutMs: callMsMax });
}

/** For one call to a bucket. */
const callMsMax = 60_000;

/** To people who have an encrypted vault. */
export const keepIt =
  "Without the secret or key that opens its keys this vault cannot be read again: keep a copy of it away from the vault and its hosts.";

export type Protection = "none" | "authenticated" | "encrypted";

interface KeysToGive extends Pick<NewVault, "url" | "s3"> {
  readonly secrets: readonly string[];
  readonly encrypts?: boolean;
}

/** Gives a vault that is still empty its keys. Returns what the vault has. */
export async function giveKeys({ url, s3, secrets, encrypts = false }: KeysToGive): Promise<Protection> {
  const { openVault } = await import("../../remote/open-vault.ts");
  const { readIdentity } = await import("../../vault/store/identity.ts");
  const { keysOfNew } = await import("../../vault/log/turn-on-keys.ts");
  const store = await openVault(url, { secrets: () => [], timeoutMs: callMsMax, s3 });
  try {
    const identity = await readIdentity(store);
    const keys = identity === undefined ? undefined : await keysOfNew(store, identity, secrets, { encrypts });
    if (keys === undefined) return "none";
    return keys.isEncrypting ? "encrypted" : "authenticated";
  } finally {
    await store.close();
  }
}

interface Flags {
  readonly config: string | undefined;
  readonly "secret-file": string | undefined;
  readonly "vault-key-file": string | undefined;
  readonly service: string | undefined;
  readonly log: LogKind | undefined;
  readonly encrypt: boolean;
  readonly json: boolean;
}

export const vaultCreateCommand = buildCommand<Flags, [folder?: string], CliContext>({
  docs: {
    brief: "Turn a folder on the shared area, or a prefix of a bucket, into the vault of a service",
    fullDescription: [
      "Creates the folder if it is missing (its parent must exist). It must be empty, or already this service's vault.",
      "First proves that exclusive creation works there, and refuses if it does not.",
      "",
      "With --log segments a commit costs one write and one sync. It is for a folder that one kernel has: all hosts run",
      "on the machine with the disk. A file system that other machines may mount is refused; do not choose it either on",
      "the machine that exports the folder. A vault keeps its kind of log for life.",
      "",
      "With the cluster's secret (--secret-file or STEAD_SECRET) the vault gets its keys, and hosts refuse what was not",
      "written with them. `stead vault rekey` does that later. With --encrypt the vault is encrypted as well; who loses the",
      "secret loses the vault then.",
      "",
      'With --config the vault is that of [host] in the file, also in a bucket (vault = "s3://bucket/prefix"), and gets',
      "its service and secret from there. Below the prefix there must be nothing, or already this service's vault.",
      "",
      "EXAMPLES",
      "  stead vault create --config /etc/stead/stead.toml",
      "  stead vault create /mnt/vault/notes --service notes --secret-file /etc/stead/stead.secret",
    ].join("\n"),
  },
  parameters: {
    flags: {
      service: {
        kind: "parsed",
        parse: serviceName,
        placeholder: "name",
        optional: true,
        brief: "Name of the service, as in host.service (default with --config: that)",
      },
      config: {
        kind: "parsed",
        parse: String,
        optional: true,
        placeholder: "file",
        brief: "Configuration file whose [host] names the vault",
      },
      "secret-file": vaultFlags["secret-file"],
      "vault-key-file": vaultFlags["vault-key-file"],
      log: {
        kind: "enum",
        values: ["objects", "segments"],
        optional: true,
        brief: "How the log is kept (default: objects)",
      },
      encrypt: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Encrypt the vault; needs the secret",
      },
      ...jsonFlag,
    },
    positional: {
      kind: "tuple",
      parameters: [
        {
          brief: "Folder on the shared area (with --config: from [host])",
          placeholder: "folder",
          parse: String,
          optional: true,
        },
      ],
    },
  },
  async func(flags, folder) {
    const { url, shown, service, s3, secrets } = await placeOf(this, flags, folder);
    if (flags.encrypt && secrets.length === 0)
      throw new OperatorError("usage", {
        found: "--encrypt without a secret",
        accepted: "the cluster's secret, or a vault key, which opens the vault's keys",
        advice: "give it with --secret-file, --vault-key-file, or in STEAD_SECRET or STEAD_VAULT_KEY",
      });
    const log = await makeVault({ url, service, log: flags.log, s3 });
    const protection = secrets.length === 0 ? "none" : await giveKeys({ url, s3, secrets, encrypts: flags.encrypt });
    if (flags.encrypt && protection !== "encrypted") throw new NotEncryptedError(shown);
    if (flags.json)
      return void this.process.stdout.write(`${JSON.stringify({ vault: shown, service, log, protection })}\n`);
    this.process.stdout.write(
      `${shown} is the vault of service ${service}, with its log in ${log}, ${described[protection]}\n`,
    );
    if (protection === "encrypted") this.process.stdout.write(`${keepIt}\n`);
  },
});

interface Place {
  readonly url: string;
  readonly shown: string;
  readonly service: string;
  readonly s3: S3Settings | undefined;
  /** At most one. */
  readonly secrets: readonly string[];
}

/** Throws OperatorError. */
async function placeOf(context: CliContext, flags: Flags, folder: string | undefined): Promise<Place> {
  if (folder !== undefined && flags.config === undefined) {
    const { service } = flags;
    if (service === undefined) throw wrongUsage("no --service", "--service with a folder");
    const secrets = secretsGiven(context, flags).secrets.slice(0, 1);
    return { url: folderUrl(context, folder), shown: resolve(context.cwd, folder), service, s3: undefined, secrets };
  }
  if (folder !== undefined || flags.config === undefined)
    throw wrongUsage(folder === undefined ? "neither a folder nor --config" : "a folder and --config", "one of them");
  const { url, s3, service = "", secrets } = await vaultArgument(context, flags, undefined);
  if (flags.service !== undefined && flags.service !== service)
    throw wrongUsage(`--service ${flags.service}, and ${flags.config} with ${service}`, "the same");
  if (s3 !== undefined && flags.log === "segments")
    throw wrongUsage("--log segments with a bucket", "segments only in a folder that one kernel has");
  if (isVaultUrl(url))
    throw wrongUsage(`the vault server ${url}`, "a folder or a bucket: a server's vault is made beside it");
  return { url, shown: s3 === undefined ? fileURLToPath(url) : url, service, s3, secrets: secrets.slice(0, 1) };
}

const wrongUsage = (found: string, accepted: string): OperatorError =>
  new OperatorError("usage", { found, accepted, advice: "see `stead vault create --help`" });

const described: Readonly<Record<Protection, string>> = {
  none: "without keys: who can write there can forge records",
  authenticated: "with keys",
  encrypted: "with keys, encrypted",
};

/** It is in use already. */
class NotEncryptedError extends OperatorError {
  constructor(path: string) {
    super("vault", {
      found: `${path} is a vault already, and not encrypted`,
      accepted: "a new vault, or an encrypted one",
      advice: "stop its hosts in order, run `stead vault rekey --encrypt`, and start them",
    });
  }
}

function serviceName(text: string): string {
  if (isIdentifier(text)) return text;
  throw new Error(`expected ${identifierAccepted}, found ${JSON.stringify(text)}`);
}

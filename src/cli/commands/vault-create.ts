/**
 * `stead vault create`: the only way to make a new vault. A host never makes one, since an empty mount point looks the
 * same.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { buildCommand } from "@stricli/core";
import { identifierAccepted, isIdentifier } from "../../core/identifier.ts";
import type { LogKind } from "../../vault/store/identity.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { CliContext } from "../output/context.ts";
import { secretsGiven, vaultFlags } from "./vault-argument.ts";

/** Turns the folder into a vault of this service; an existing vault stays as it is. `path` is absolute. */
export async function makeVault(path: string, service: string, log?: LogKind): Promise<LogKind> {
  const { createVault } = await import("../../vault/store/open-store.ts");
  const { readIdentity } = await import("../../vault/store/identity.ts");
  const store = await createVault(pathToFileURL(path).href, service, { log });
  try {
    return (await readIdentity(store))?.log ?? "objects";
  } finally {
    await store.close();
  }
}

/** To people who have an encrypted vault. */
export const keepIt =
  "Without the secret or key that opens its keys this vault cannot be read again: keep a copy of it away from the vault and its hosts.";

export type Protection = "none" | "authenticated" | "encrypted";

/** Gives a vault that is still empty its keys. Returns what the vault has. `path` is absolute. */
export async function giveKeys(path: string, secrets: readonly string[], encrypts = false): Promise<Protection> {
  const { openStore } = await import("../../vault/store/open-store.ts");
  const { readIdentity } = await import("../../vault/store/identity.ts");
  const { keysOfNew } = await import("../../vault/log/turn-on-keys.ts");
  const store = await openStore(pathToFileURL(path).href);
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
  readonly "secret-file": string | undefined;
  readonly "vault-key-file": string | undefined;
  readonly service: string;
  readonly log: LogKind | undefined;
  readonly encrypt: boolean;
}

export const vaultCreateCommand = buildCommand<Flags, [folder: string], CliContext>({
  docs: {
    brief: "Turn a folder on the shared area into the vault of a service",
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
      "EXAMPLES",
      "  stead vault create /mnt/vault/notes --service notes --secret-file /etc/stead/stead.secret",
    ].join("\n"),
  },
  parameters: {
    flags: {
      service: {
        kind: "parsed",
        parse: serviceName,
        placeholder: "name",
        brief: "Name of the service, as in host.service",
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
    },
    positional: {
      kind: "tuple",
      parameters: [{ brief: "Folder on the shared area", placeholder: "folder", parse: String }],
    },
  },
  async func(flags, folder) {
    const path = resolve(this.cwd, folder);
    const secrets = secretsGiven(this, flags).secrets.slice(0, 1);
    if (flags.encrypt && secrets.length === 0)
      throw new OperatorError("usage", {
        found: "--encrypt without a secret",
        accepted: "the cluster's secret, or a vault key, which opens the vault's keys",
        advice: "give it with --secret-file, --vault-key-file, or in STEAD_SECRET or STEAD_VAULT_KEY",
      });
    const log = await makeVault(path, flags.service, flags.log);
    const protection = secrets.length === 0 ? "none" : await giveKeys(path, secrets, flags.encrypt);
    if (flags.encrypt && protection !== "encrypted") throw new NotEncryptedError(path);
    this.process.stdout.write(
      `${path} is the vault of service ${flags.service}, with its log in ${log}, ${described[protection]}\n`,
    );
    if (protection === "encrypted") this.process.stdout.write(`${keepIt}\n`);
  },
});

const described: Readonly<Record<Protection, string>> = {
  none: "without keys: who can write into the folder can forge records",
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

/**
 * `stead vault create`: the only way to make a new vault. A host never makes one, since an empty mount point looks the
 * same.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { buildCommand } from "@stricli/core";
import { identifierAccepted, isIdentifier } from "../../core/identifier.ts";
import type { LogKind } from "../../vault/store/identity.ts";
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

/** Gives a vault that is still empty its keys. Returns false if it is in use without. `path` is absolute. */
export async function giveKeys(path: string, secrets: readonly string[]): Promise<boolean> {
  const { openStore } = await import("../../vault/store/open-store.ts");
  const { readIdentity } = await import("../../vault/store/identity.ts");
  const { keysOfNew } = await import("../../vault/log/turn-on-keys.ts");
  const store = await openStore(pathToFileURL(path).href);
  try {
    const identity = await readIdentity(store);
    return identity !== undefined && (await keysOfNew(store, identity, secrets)) !== undefined;
  } finally {
    await store.close();
  }
}

interface Flags {
  readonly "secret-file": string | undefined;
  readonly service: string;
  readonly log: LogKind | undefined;
}

export const vaultCreateCommand = buildCommand<Flags, [folder: string], CliContext>({
  docs: {
    brief: "Transition a folder on the shared area into the vault of a service",
    fullDescription: [
      "Creates the folder if it is missing (its parent must exist). It must be empty, or already this service's vault.",
      "First proves that exclusive creation works there, and refuses if it does not.",
      "",
      "With --log segments a commit costs one write and one sync. It is for a folder that one kernel has: all hosts run",
      "on the machine with the disk. A file system that other machines may mount is refused; do not choose it either on",
      "the machine that exports the folder. A vault keeps its kind of log for life.",
      "",
      "With the cluster's secret (--secret-file or STEAD_SECRET) the vault gets its keys, and hosts refuse what was not",
      "written with them. `stead vault rekey` does that later.",
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
      log: {
        kind: "enum",
        values: ["objects", "segments"],
        optional: true,
        brief: "How the log is kept (default: objects)",
      },
    },
    positional: {
      kind: "tuple",
      parameters: [{ brief: "Folder on the shared area", placeholder: "folder", parse: String }],
    },
  },
  async func(flags, folder) {
    const path = resolve(this.cwd, folder);
    const log = await makeVault(path, flags.service, flags.log);
    const secrets = secretsGiven(this, flags["secret-file"]);
    const hasKeys = secrets.length > 0 && (await giveKeys(path, secrets));
    const protection = hasKeys ? "with keys" : "without keys: who can write into the folder can forge records";
    this.process.stdout.write(
      `${path} is the vault of service ${flags.service}, with its log in ${log}, ${protection}\n`,
    );
  },
});

function serviceName(text: string): string {
  if (isIdentifier(text)) return text;
  throw new Error(`expected ${identifierAccepted}, found ${JSON.stringify(text)}`);
}

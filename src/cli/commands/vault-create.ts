/**
 * `stead vault create`: the only way to make a new vault. A host never makes one, since an empty mount point looks the
 * same.
 */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { buildCommand } from "@stricli/core";
import { identifierAccepted, isIdentifier } from "../../core/identifier.ts";
import type { CliContext } from "../output/context.ts";

/** Turns the folder into a vault of this service; an existing vault stays as it is. `path` is absolute. */
export async function makeVault(path: string, service: string): Promise<void> {
  const { createVault } = await import("../../vault/store/open-store.ts");
  const store = await createVault(pathToFileURL(path).href, service);
  await store.close();
}

export const vaultCreateCommand = buildCommand<{ readonly service: string }, [folder: string], CliContext>({
  docs: {
    brief: "Turn a folder on the shared area into the vault of a service",
    fullDescription: [
      "Creates the folder if it is missing (its parent must exist). It must be empty, or already this service's vault.",
      "First proves that exclusive creation works there, and refuses if it does not.",
      "",
      "EXAMPLES",
      "  stead vault create /mnt/vault/notes --service notes",
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
    },
    positional: {
      kind: "tuple",
      parameters: [{ brief: "Folder on the shared area", placeholder: "folder", parse: String }],
    },
  },
  async func(flags, folder) {
    const path = resolve(this.cwd, folder);
    await makeVault(path, flags.service);
    this.process.stdout.write(`${path} is the vault of service ${flags.service}\n`);
  },
});

function serviceName(text: string): string {
  if (isIdentifier(text)) return text;
  throw new Error(`expected ${identifierAccepted}, found ${JSON.stringify(text)}`);
}

/** `stead vault rekey`: gives a vault its keys, encrypts it from now on, and lets other secrets open them. */
import { resolve } from "node:path";
import { buildCommand } from "@stricli/core";
import type { CliContext } from "../output/context.ts";
import { folderParameter, secretIn, vaultArgument, vaultFlags, type VaultFlags } from "./vault-argument.ts";
import type { Rekeyed } from "./vault.ts";
import { keepIt } from "./vault-create.ts";

interface RekeyFlags extends VaultFlags {
  readonly "former-secret-file": string | undefined;
  readonly "keep-former": boolean;
  readonly encrypt: boolean;
  readonly "new-key": boolean;
}

export const vaultRekeyCommand = buildCommand<RekeyFlags, [folder?: string], CliContext>({
  docs: {
    brief: "Give a vault its keys, or let a new secret open them",
    fullDescription: [
      "A vault without keys gets one, and from then on hosts refuse what was not written with it. All hosts must be",
      "stopped in order for this, and have this version or a newer one afterwards.",
      "",
      "With --encrypt everything is encrypted from then on (AES-256-GCM); hosts must be stopped in the same way. There is no",
      "way back. What is there already stays as it is until retention removes it: make a checkpoint afterwards. Who loses",
      "what opens the keys loses the vault: keep a copy of it elsewhere.",
      "",
      "With --new-key the vault gets one more key. Hosts write with it once they were started again, and read what was",
      "written with the others; nothing is written again, and no host need stop at the same time as another.",
      "",
      "A vault with keys keeps them, and they open with the secret that is given. While `stead secret rotate` replaces the",
      "secret, running hosts do this by themselves. Without them, run it with --former-secret-file and --keep-former, change",
      "the secret of every process, and run it again without the two flags. With a vault key (host.vault_key_file,",
      "host.vault_key_command, --vault-key-file or STEAD_VAULT_KEY) that key opens them in place of the secret.",
      "",
      "EXAMPLES",
      "  stead vault rekey",
      "  stead vault rekey --encrypt",
      "  stead vault rekey --former-secret-file /etc/stead/former.secret --keep-former",
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...vaultFlags,
      "former-secret-file": {
        kind: "parsed",
        parse: String,
        optional: true,
        placeholder: "file",
        brief: "The secret or key that opens the keys now, if it is another one",
      },
      "keep-former": {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Let the former secret open them too",
      },
      encrypt: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Encrypt the vault from now on",
      },
      "new-key": {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Write with a new key from now on",
      },
    },
    positional: folderParameter,
  },
  async func(flags, folder) {
    const { url, s3, secret, secrets: given } = await vaultArgument(this, flags, folder);
    // What comes first opens the keys from now on; the cluster's secret may have done so until now.
    const [secrets, before] = [given.slice(0, 1), given.slice(1)];
    const former = flags["former-secret-file"];
    const formerSecrets = former === undefined ? [] : [secretIn(resolve(this.cwd, former))];
    const { vaultRekey } = await import("./vault.ts");
    const done = await vaultRekey({
      url,
      s3,
      secret,
      secrets,
      formerSecrets: [...before, ...formerSecrets],
      keepsFormer: flags["keep-former"],
      encrypts: flags.encrypt,
      withNewKey: flags["new-key"],
    });
    this.process.stdout.write(flags.json ? `${JSON.stringify(done)}\n` : `${describe(done)}\n`);
  },
});

function describe({ isNew, opensWith, encrypts, keyNumber }: Rekeyed): string {
  const key = `${encrypts ? "encrypted" : "authenticated, not encrypted,"} with key ${keyNumber}`;
  const opening = `the vault's keys open with ${opensWith === 1 ? "this secret or key" : "this secret or key and the former one"}`;
  const written = `what is written from now on is ${key}`;
  if (isNew) return `the vault has keys; ${written}; start the hosts, and make a checkpoint (stead checkpoint)`;
  return `${opening}; ${written}${encrypts ? `\n${keepIt}` : ""}`;
}

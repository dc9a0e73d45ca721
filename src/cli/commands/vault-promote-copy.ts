/** `stead vault promote-copy`: a new vault from a copy of one that is lost. */
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { buildCommand } from "@stricli/core";
import { isVaultUrl } from "../../core/vault-address.ts";
import { systemClock } from "../../runtime/clock.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { ProgressReport } from "../../runtime/progress-report.ts";
import type { LogKind } from "../../vault/store/identity.ts";
import type { CliContext } from "../output/context.ts";
import { jsonFlag } from "./gateway-connection.ts";
import type { CopyTail, PromotedCopy } from "./promote-copy.ts";
import { copyArgument, vaultArgument, vaultFlags } from "./vault-argument.ts";

interface Flags {
  readonly config: string | undefined;
  readonly log: LogKind | undefined;
  readonly epoch: number | undefined;
  readonly in: string | undefined;
  readonly yes: boolean;
  readonly json: boolean;
}

export const vaultPromoteCopyCommand = buildCommand<Flags, [copy: string], CliContext>({
  docs: {
    brief: "Make a new vault from a copy of one that is lost",
    fullDescription: [
      "The vault of [host] in the configuration must be an empty place; it gets the copy's newest state, an identity and",
      "keys of its own, and an epoch that gateways believe. The copy is only read, and stays as it is.",
      "Stop all hosts and gateways first. Without --yes it only says where the copy ends: what was acknowledged later is",
      "lost.",
      "Afterwards give [[host.vault_copy]] another place, and start hosts and gateways.",
      "",
      "EXAMPLES",
      "  stead vault promote-copy /mnt/other/notes",
      "  stead vault promote-copy s3://other/notes --config /etc/stead/stead.toml --yes",
    ].join("\n"),
  },
  parameters: {
    flags: {
      config: vaultFlags.config,
      log: {
        kind: "enum",
        values: ["objects", "segments"],
        optional: true,
        brief: "How the new vault keeps its log (default: objects)",
      },
      epoch: {
        kind: "parsed",
        parse: epochOf,
        optional: true,
        placeholder: "number",
        brief: "Epoch of its first claim, if `stead status` shows a higher one than would be chosen",
      },
      in: {
        kind: "parsed",
        parse: String,
        optional: true,
        placeholder: "folder",
        brief: "Where there is room for databases and files meanwhile (default: the folder for temporary files)",
      },
      yes: { kind: "boolean", default: false, withNegated: false, brief: "Really do it" },
      ...jsonFlag,
    },
    positional: {
      kind: "tuple",
      parameters: [{ brief: "Folder or bucket of the copy", placeholder: "copy", parse: String }],
    },
  },
  async func(flags, given) {
    const none = { "secret-file": undefined, "vault-key-file": undefined };
    const { url, s3, service = "", secrets } = await vaultArgument(this, { ...flags, ...none }, undefined);
    const copy = copyArgument(this, flags.config, given);
    if (isVaultUrl(url))
      throw new OperatorError("usage", {
        found: `the vault server ${url}`,
        accepted: "a folder or a bucket: a server's vault is made beside it",
        advice: "on the server's machine name the folder as host.vault in a configuration, with --log segments",
      });
    const { promoteCopy, tailOfCopy } = await import("./promote-copy.ts");
    const print = (text: string): void => void this.process.stdout.write(`${text}\n`);
    const say = (text: string): void => void this.process.stderr.write(`stead: ${text}\n`);
    if (!flags.yes) {
      const tail = await tailOfCopy({ copy, service, secrets });
      if (flags.json) return print(JSON.stringify({ done: false, lostAfter: tail }));
      print(describeTail(tail));
      return print("Nothing was done. Stop all hosts and gateways, and repeat with --yes.");
    }
    const { reached: onProgress } = new ProgressReport({ what: "loading the checkpoint", clock: systemClock, say });
    const promoted = await promoteCopy({
      ...{ copy, vault: { url, s3 }, service, secrets, log: flags.log, epoch: flags.epoch, signal: this.signal },
      in: resolve(this.cwd, flags.in ?? tmpdir()),
      onEnd: (tail) => (flags.json ? undefined : print(describeTail(tail))),
      onWarning: (text) => say(`warning: ${text}`),
      onProgress,
    });
    print(flags.json ? JSON.stringify({ done: true, vault: url, ...promoted }) : describe(url, promoted));
  },
});

function describeTail({ position, epoch, host, wallTimeMs }: CopyTail): string {
  const of = host === undefined ? "" : `, written by ${host}`;
  return [
    `copy ends    position ${position}, epoch ${epoch}, ${new Date(wallTimeMs).toISOString()}${of}`,
    "lost         what was acknowledged after that, and is not in the copy",
  ].join("\n");
}

function describe(url: string, { restored, vaultId, epoch }: PromotedCopy): string {
  const { position, databases, files } = restored;
  const beside = files === null ? "" : `, ${files.count} files, links and folders`;
  return [
    `state        position ${position} of the copy, ${databases.length} databases${beside}`,
    `vault        ${url}, identity ${vaultId}, begins with epoch ${epoch}`,
    "next         name another place in [[host.vault_copy]], and start hosts and gateways",
  ].join("\n");
}

function epochOf(text: string): number {
  if (!/^[1-9]\d{0,11}$/.test(text))
    throw new Error(`expected a whole number from 1 on, found ${JSON.stringify(text)}`);
  return Number(text);
}

/** The commands of `stead vault`: which vault is meant, and flags. What they do is in vault.ts and vault-create.ts. */
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { buildCommand, buildRouteMap } from "@stricli/core";
import type { CheckpointConfig } from "../config/types.ts";
import { durationAccepted, parseDuration } from "../config/units.ts";
import { CliError } from "./cli-error.ts";
import { requireConfig } from "./config.ts";
import type { CliContext } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";
import { vaultCreateCommand } from "./vault-create.ts";

interface VaultFlags {
  readonly config: string | undefined;
  readonly json: boolean;
}

const vaultFlags = {
  config: { kind: "parsed", parse: String, optional: true, placeholder: "file", brief: "Configuration file whose [host] names the vault (stead.toml when no folder is given)" },
  json: { kind: "boolean", default: false, withNegated: false, brief: "Print one JSON object" },
} as const;

const folderParameter = {
  kind: "tuple",
  parameters: [{ brief: "Folder of the vault (the one of [host] when left out)", placeholder: "folder", parse: String, optional: true }],
} as const;

interface Meant {
  readonly url: string;
  /** Known when the vault is named by a configuration. */
  readonly service: string | undefined;
  readonly checkpoint: CheckpointConfig | undefined;
}

/** The vault of the folder, or of the configuration; both at once would leave open which one counts. */
function meantVault(context: CliContext, flags: VaultFlags, folder: string | undefined): Meant {
  if (folder !== undefined) {
    if (flags.config !== undefined) {
      throw new CliError(exitCodes.usage, { found: "a folder and --config", accepted: "one of them", advice: "leave one out" });
    }
    return { url: pathToFileURL(resolve(context.cwd, folder)).href, service: undefined, checkpoint: undefined };
  }
  const { host, file } = requireConfig(context, flags.config);
  if (host === null) {
    throw new CliError(exitCodes.configuration, { found: `no [host] in ${file}`, advice: "name the vault's folder, or a configuration file with [host]" });
  }
  return { url: host.vaultUrl, service: host.service, checkpoint: host.checkpoint };
}

const output = (context: CliContext) => (line: string) => context.process.stdout.write(`${line}\n`);

const verifyCommand = buildCommand<VaultFlags, [folder?: string], CliContext>({
  docs: {
    brief: "Read all of a vault and say what is whole, what is damaged, and what could be restored",
    fullDescription:
      "Reads every record, manifest and chunk; never writes. May run beside a cluster.\nEnds with 0 when all is whole, with 9 when something is damaged.\n\nEXAMPLES\n  stead vault verify\n  stead vault verify /mnt/vault/notes --json",
  },
  parameters: { flags: vaultFlags, positional: folderParameter },
  async func(flags, folder) {
    const { url, service } = meantVault(this, flags, folder);
    const { vaultVerify } = await import("./vault.ts");
    const { exitCode } = await vaultVerify({ url, json: flags.json, out: output(this), signal: this.signal, ...(service === undefined ? {} : { service }) });
    this.exitWith(exitCode);
  },
});

const lsCommand = buildCommand<VaultFlags & { readonly records: boolean }, [folder?: string], CliContext>({
  docs: {
    brief: "List what is in a vault: log, checkpoints, chunks",
    fullDescription: "Reads names and manifests, verifies nothing, never writes.\n\nEXAMPLES\n  stead vault ls\n  stead vault ls /mnt/vault/notes --records",
  },
  parameters: {
    flags: { ...vaultFlags, records: { kind: "boolean", default: false, withNegated: false, brief: "Also one line for each record of the log" } },
    positional: folderParameter,
  },
  async func(flags, folder) {
    const { url } = meantVault(this, flags, folder);
    const { vaultLs } = await import("./vault.ts");
    const { exitCode } = await vaultLs({ url, json: flags.json, records: flags.records, out: output(this), signal: this.signal });
    this.exitWith(exitCode);
  },
});

interface GcFlags extends VaultFlags {
  readonly keep: number | undefined;
  readonly window: number | undefined;
  readonly delete: boolean;
}

const gcCommand = buildCommand<GcFlags, [folder?: string], CliContext>({
  docs: {
    brief: "Remove checkpoints and journal that nothing needs any more",
    fullDescription: [
      "Says what would be removed; removes it only with --delete. May run beside a cluster, whose primary does the same by itself.",
      "The newest verified checkpoint, its journal and all claims always stay.",
      "",
      "EXAMPLES",
      "  stead vault gc",
      "  stead vault gc /mnt/vault/notes --keep 2 --window 1h --delete",
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...vaultFlags,
      keep: { kind: "parsed", parse: checkpointCount, optional: true, placeholder: "number", brief: "Checkpoints to keep; host.checkpoint.keep with a configuration, needed with a folder" },
      window: { kind: "parsed", parse: duration, optional: true, placeholder: "time", brief: "Time for which point-in-time restore stays possible; host.checkpoint.window, or needed" },
      delete: { kind: "boolean", default: false, withNegated: false, brief: "Really remove" },
    },
    positional: folderParameter,
  },
  async func(flags, folder) {
    const { url, checkpoint } = meantVault(this, flags, folder);
    const checkpointsMin = flags.keep ?? checkpoint?.keepMin;
    const windowMs = flags.window ?? checkpoint?.windowMs;
    if (checkpointsMin === undefined || windowMs === undefined) {
      throw new CliError(exitCodes.usage, {
        found: "a folder without --keep and --window",
        accepted: "both, or a configuration file that has them",
        advice: "say what has to stay, for example --keep 2 --window 1h",
      });
    }
    const { vaultGc } = await import("./vault.ts");
    const { systemClock } = await import("../runtime/clock.ts");
    const policy = { checkpointsMin, windowMs };
    const { exitCode } = await vaultGc({ url, json: flags.json, policy, nowMs: systemClock.wallTime(), dryRun: !flags.delete, out: output(this), signal: this.signal });
    this.exitWith(exitCode);
  },
});

function checkpointCount(text: string): number {
  const value = Number(text);
  if (!/^\d{1,5}$/.test(text) || value < 1) throw new Error(`expected a whole number from 1 to 99999, found ${JSON.stringify(text)}`);
  return value;
}

function duration(text: string): number {
  const result = parseDuration(text);
  if (result.kind === "ok") return result.value;
  throw new Error(`expected ${durationAccepted}, found ${JSON.stringify(text)}`);
}

export const vaultRoutes = buildRouteMap({
  routes: { create: vaultCreateCommand, verify: verifyCommand, ls: lsCommand, gc: gcCommand },
  docs: { brief: "Make, look at and clean up a vault" },
});

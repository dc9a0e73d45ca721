/**
 * The commands of `stead vault` and their flags. vault-argument.ts selects the vault; vault.ts and vault-create.ts do
 * the work.
 */
import { tmpdir } from "node:os";
import { resolve } from "node:path";
import { buildCommand, buildRouteMap } from "@stricli/core";
import { historyAccepted, objectionTo, parseHistory } from "../../config/history-rule.ts";
import { durationAccepted, parseDuration } from "../../config/units.ts";
import type { HistoryRule } from "../../core/checkpoint-history.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { CliContext } from "../output/context.ts";
import { folderParameter, fromFlag, vaultArgument, vaultFlags, type VaultFlags } from "./vault-argument.ts";
import { ProgressOutput } from "../output/progress-output.ts";
import { systemClock } from "../../runtime/clock.ts";
import { vaultCreateCommand } from "./vault-create.ts";
import { vaultEstimateCommand } from "./vault-estimate.ts";
import { vaultPromoteCopyCommand } from "./vault-promote-copy.ts";
import { vaultServeCommand } from "./vault-serve.ts";
import { vaultRekeyCommand } from "./vault-rekey.ts";
import { vaultRestoreCommand } from "./vault-restore.ts";

const output = (context: CliContext) => (line: string) => context.process.stdout.write(`${line}\n`);

interface VerifyFlags extends VaultFlags {
  readonly from: string | undefined;
  readonly restore: boolean;
  readonly in: string | undefined;
}

const verifyCommand = buildCommand<VerifyFlags, [folder?: string], CliContext>({
  docs: {
    brief: "Read all of a vault and report what is whole, what is damaged, and what could be restored",
    fullDescription: [
      "Reads every record, manifest and chunk, and replays the pages as hosts would; never writes to the vault. May run beside",
      "a cluster. With --restore the newest state is restored into a folder of its own as well, SQLite checks every database",
      "(integrity_check), and the folder is removed: this finds what was damaged before it was captured.",
      "Says on standard error how far it is: every few seconds, on a terminal in one line, with --json as JSON lines.",
      "Exits with 0 if everything is whole, with 9 if something is damaged.",
      "",
      "EXAMPLES",
      "  stead vault verify",
      "  stead vault verify /mnt/vault/notes --json",
      "  stead vault verify --restore --in /var/tmp",
      "  stead vault verify --from s3://other/notes",
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...vaultFlags,
      ...fromFlag,
      restore: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Restore the newest state too, check it with SQLite, and remove it",
      },
      in: {
        kind: "parsed",
        parse: String,
        optional: true,
        placeholder: "folder",
        brief: "Where --restore has room for the databases (default: the folder for temporary files)",
      },
    },
    positional: folderParameter,
  },
  async func(flags, folder) {
    if (flags.in !== undefined && !flags.restore)
      throw new OperatorError("usage", { found: "--in without --restore", advice: "add --restore, or leave --in out" });
    const { url, s3, service, secret, secrets } = await vaultArgument(this, flags, folder);
    const { vaultVerify } = await import("./vault.ts");
    const { stderr: stream } = this.process;
    const progress = new ProgressOutput({ stream, isJson: flags.json, clock: systemClock });
    const print = output(this);
    try {
      const { exitCode } = await vaultVerify({
        ...{ url, s3, secret, secrets, json: flags.json, signal: this.signal },
        onProgress: progress.reached,
        out(line) {
          progress.close();
          print(line);
        },
        ...(service === undefined ? {} : { service }),
        ...(flags.restore ? { restoreIn: resolve(this.cwd, flags.in ?? tmpdir()) } : {}),
      });
      this.exitWith(exitCode);
    } finally {
      progress.close();
    }
  },
});

const lsCommand = buildCommand<VaultFlags & { readonly records: boolean }, [folder?: string], CliContext>({
  docs: {
    brief: "List the contents of a vault: log, checkpoints, chunks",
    fullDescription:
      "Reads names and manifests, verifies nothing, never writes.\n\nEXAMPLES\n  stead vault ls\n  stead vault ls /mnt/vault/notes --records",
  },
  parameters: {
    flags: {
      ...vaultFlags,
      records: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Also print one line for each record of the log",
      },
    },
    positional: folderParameter,
  },
  async func(flags, folder) {
    const { url, s3, secret, secrets } = await vaultArgument(this, flags, folder);
    const { vaultLs } = await import("./vault.ts");
    const { exitCode } = await vaultLs({
      url,
      s3,
      secret,
      secrets,
      json: flags.json,
      records: flags.records,
      out: output(this),
      signal: this.signal,
    });
    this.exitWith(exitCode);
  },
});

interface GcFlags extends VaultFlags {
  readonly keep: number | undefined;
  readonly window: number | undefined;
  readonly history: readonly HistoryRule[] | undefined;
  readonly delete: boolean;
}

const gcCommand = buildCommand<GcFlags, [folder?: string], CliContext>({
  docs: {
    brief: "Remove checkpoints and journal that are no longer needed",
    fullDescription: [
      "Lists what would be removed; removes it only with --delete. May run beside a cluster, whose primary does the same by itself.",
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
      keep: {
        kind: "parsed",
        parse: checkpointCount,
        optional: true,
        placeholder: "number",
        brief: "Checkpoints to keep (default: host.checkpoint.keep; required with a folder)",
      },
      window: {
        kind: "parsed",
        parse: duration,
        optional: true,
        placeholder: "time",
        brief: "How far back point-in-time restore reaches (default: host.checkpoint.window; required with a folder)",
      },
      history: {
        kind: "parsed",
        parse: historyRules,
        optional: true,
        placeholder: "rules",
        brief:
          'Checkpoints to keep beyond it, as "7d hourly, 90d daily" (default: host.checkpoint.history; with a folder: none)',
      },
      delete: { kind: "boolean", default: false, withNegated: false, brief: "Really remove" },
    },
    positional: folderParameter,
  },
  async func(flags, folder) {
    const { url, s3, checkpoint, secret, secrets } = await vaultArgument(this, flags, folder);
    const checkpointsMin = flags.keep ?? checkpoint?.keepMin;
    const windowMs = flags.window ?? checkpoint?.windowMs;
    if (checkpointsMin === undefined || windowMs === undefined) {
      throw new OperatorError("usage", {
        found: "a folder without --keep and --window",
        accepted: "both, or a configuration file that has them",
        advice: "set what to keep, for example --keep 2 --window 1h",
      });
    }
    const { vaultGc } = await import("./vault-gc.ts");
    const policy = { checkpointsMin, windowMs, history: flags.history ?? checkpoint?.history };
    const { exitCode } = await vaultGc({
      url,
      s3,
      secret,
      secrets,
      json: flags.json,
      policy,
      nowMs: systemClock.wallTime(),
      dryRun: !flags.delete,
      out: output(this),
      signal: this.signal,
    });
    this.exitWith(exitCode);
  },
});

function checkpointCount(text: string): number {
  const value = Number(text);
  if (!/^\d{1,5}$/.test(text) || value < 1)
    throw new Error(`expected a whole number from 1 to 99999, found ${JSON.stringify(text)}`);
  return value;
}

function historyRules(text: string): readonly HistoryRule[] {
  const rules = parseHistory(text);
  const objection = rules === undefined ? undefined : objectionTo(rules);
  if (rules === undefined || objection !== undefined)
    throw new Error(
      `expected ${historyAccepted}, found ${JSON.stringify(text)}${objection === undefined ? "" : `: ${objection}`}`,
    );
  return rules;
}

function duration(text: string): number {
  const result = parseDuration(text);
  if (result.kind === "ok") return result.value;
  throw new Error(`expected ${durationAccepted}, found ${JSON.stringify(text)}`);
}

export const vaultRoutes = buildRouteMap({
  routes: {
    create: vaultCreateCommand,
    serve: vaultServeCommand,
    verify: verifyCommand,
    ls: lsCommand,
    restore: vaultRestoreCommand,
    gc: gcCommand,
    rekey: vaultRekeyCommand,
    "promote-copy": vaultPromoteCopyCommand,
    estimate: vaultEstimateCommand,
  },
  docs: { brief: "Create, serve, inspect, restore from and clean up a vault" },
});

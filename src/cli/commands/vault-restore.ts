/** `stead vault restore`: writes the databases of a service, as of a moment, into a folder; only reads the vault. */
import { resolve } from "node:path";
import { buildCommand } from "@stricli/core";
import type { LeftOut, PointInTime } from "../../host/secondary/point-in-time.ts";
import type { Moment } from "../../host/secondary/state-at.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { systemClock } from "../../runtime/clock.ts";
import type { CliContext } from "../output/context.ts";
import { folderParameter, fromFlag, vaultArgument, vaultFlags, type VaultFlags } from "./vault-argument.ts";
import { ProgressOutput } from "../output/progress-output.ts";
import { positionOf, wallTimeOf } from "./moment-flags.ts";

interface RestoreFlags extends VaultFlags {
  readonly from: string | undefined;
  readonly to: string;
  readonly position: number | undefined;
  readonly time: number | undefined;
  readonly before: number | undefined;
  readonly "last-whole": boolean;
}

export const vaultRestoreCommand = buildCommand<RestoreFlags, [folder?: string], CliContext>({
  docs: {
    brief: "Write the databases, as of now or of a position or time, into a folder",
    fullDescription: [
      "Point-in-time restore, also for inspecting the data without an application. Only reads the vault; may run beside a cluster.",
      "The primaries' checksums prove everything. The folder gets all databases, or nothing.",
      "If a record of the log is damaged or cannot be applied, a restore beyond it exits with 4 and names it;",
      "--last-whole restores the state before it instead, and lists what is missing.",
      "To go back for good: `stead rewind`.",
      "",
      "EXAMPLES",
      "  stead vault restore --to /tmp/now",
      "  stead vault restore /mnt/vault/notes --to /tmp/before --time 2026-03-01T12:00:00Z",
      "  stead vault restore /mnt/vault/notes --to /tmp/before --position 4711 --json",
      "  stead vault restore /mnt/vault/notes --to /tmp/whole --last-whole",
      "  stead vault restore --from s3://other/notes --to /tmp/now",
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...vaultFlags,
      ...fromFlag,
      to: { kind: "parsed", parse: String, placeholder: "folder", brief: "Folder that is empty or does not exist" },
      position: {
        kind: "parsed",
        parse: positionOf,
        optional: true,
        placeholder: "number",
        brief: "The state after this record of the log",
      },
      before: {
        kind: "parsed",
        parse: laterPositionOf,
        optional: true,
        placeholder: "number",
        brief: "The state before this record of the log",
      },
      "last-whole": {
        kind: "boolean",
        default: false,
        brief: "The newest state, up to the first record that is damaged or cannot be applied",
      },
      time: {
        kind: "parsed",
        parse: wallTimeOf,
        optional: true,
        placeholder: "time",
        brief: "The state at this time, for example 2026-03-01T12:00:00Z",
      },
    },
    positional: folderParameter,
  },
  async func(flags, folder) {
    const { url, s3, service, secret, secrets } = await vaultArgument(this, flags, folder);
    const moment = momentOf(flags);
    const to = resolve(this.cwd, flags.to);
    const { restoreFromVault } = await import("./vault.ts");
    const { stderr: stream } = this.process;
    const progress = new ProgressOutput({ stream, isJson: flags.json, clock: systemClock });
    const onWarning = (text: string): void => {
      progress.close();
      stream.write(`stead: warning: ${text}\n`);
    };
    const onProgress = (bytes: number, total: number): void => progress.reached("loading the checkpoint", bytes, total);
    const restored = await restoreFromVault({
      ...{ url, s3, service, secret, secrets, moment, folder: to, signal: this.signal, onWarning, onProgress },
    }).finally(() => progress.close());
    this.process.stdout.write(flags.json ? `${JSON.stringify({ folder: to, ...restored })}\n` : describe(to, restored));
  },
});

function momentOf(flags: RestoreFlags): Moment {
  const { position, time, before } = flags;
  const moments: readonly (readonly [flag: string, moment: Moment | undefined])[] = [
    ["--position", position === undefined ? undefined : { kind: "position", position }],
    ["--before", before === undefined ? undefined : { kind: "position", position: before - 1 }],
    ["--time", time === undefined ? undefined : { kind: "time", wallTimeMs: time }],
    ["--last-whole", flags["last-whole"] ? { kind: "last-whole" } : undefined],
  ];
  const given = moments.filter(([, moment]) => moment !== undefined);
  if (given.length > 1)
    throw new OperatorError("usage", {
      found: given.map(([flag]) => flag).join(" and "),
      accepted: "one of them, or none for the newest state",
      advice: "leave one out",
    });
  return given[0]?.[1] ?? { kind: "newest" };
}

function describe(
  folder: string,
  { position, epoch, wallTimeMs, checkpoint, databases, files, leftOut }: PointInTime,
): string {
  const lines = [
    `restored     ${folder}`,
    `state        position ${position}, epoch ${epoch}, ${new Date(wallTimeMs).toISOString()} (from the checkpoint at ${checkpoint})`,
    ...databases.map(({ name, bytes, checksum }) => `database     ${name}: ${bytes} bytes, checksum ${checksum}`),
    ...(files === null
      ? []
      : [`files        ${files.count} (with links and folders): ${files.bytes} bytes, checksum ${files.checksum}`]),
    ...(leftOut === null ? [] : describeLeftOut(leftOut)),
  ];
  return `${lines.join("\n")}\n`;
}

function describeLeftOut({ reason, from, to, commits, unreadable, lastWallTimeMs, databases }: LeftOut): string[] {
  const until = lastWallTimeMs === undefined ? "" : `, the last of ${new Date(lastWallTimeMs).toISOString()}`;
  const changed = databases.length === 0 ? "" : `; they change ${databases.join(", ")}`;
  const damaged = unreadable === 0 ? "" : `, ${unreadable} of them unreadable`;
  return [
    `ends there   ${reason}`,
    `not in it    positions ${from} to ${to}: ${commits} records with commits${damaged}${until}${changed}`,
  ];
}

/** The state before the first record is position 0, what the service began with; nothing is before that. */
function laterPositionOf(text: string): number {
  const value = positionOf(text);
  if (value === 0) throw new Error("expected a position of the log from 1 on, found 0: nothing is before it");
  return value;
}

/** `stead vault restore`: the databases of a service as they were at a moment, into a folder; the vault is only read. */
import { resolve } from "node:path";
import { buildCommand } from "@stricli/core";
import type { Moment, PointInTime } from "../host/point-in-time.ts";
import { CliError } from "./cli-error.ts";
import type { CliContext } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";
import { folderParameter, meantVault, vaultFlags, type VaultFlags } from "./meant-vault.ts";

interface RestoreFlags extends VaultFlags {
  readonly to: string;
  readonly position: number | undefined;
  readonly time: number | undefined;
}

export const vaultRestoreCommand = buildCommand<RestoreFlags, [folder?: string], CliContext>({
  docs: {
    brief: "Write the databases as they are now, or were at a position or time, into a folder",
    fullDescription: [
      "Point-in-time restore, and a way to look at the data without an application. Only reads the vault; may run beside a cluster.",
      "Everything is proven by the checksums of the primaries. The folder gets all databases, or nothing.",
      "To go back for good: stop all hosts, restore into the data folder of one, make a new vault, and let that host bootstrap it.",
      "",
      "EXAMPLES",
      "  stead vault restore --to /tmp/now",
      "  stead vault restore /mnt/vault/notes --to /tmp/before --time 2026-03-01T12:00:00Z",
      "  stead vault restore /mnt/vault/notes --to /tmp/before --position 4711 --json",
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...vaultFlags,
      to: { kind: "parsed", parse: String, placeholder: "folder", brief: "Folder that is empty or does not exist yet" },
      position: { kind: "parsed", parse: positionOf, optional: true, placeholder: "number", brief: "The state after this record of the log" },
      time: { kind: "parsed", parse: wallTimeOf, optional: true, placeholder: "time", brief: "The state at this time, for example 2026-03-01T12:00:00Z" },
    },
    positional: folderParameter,
  },
  async func(flags, folder) {
    const { url, service } = meantVault(this, flags, folder);
    const moment = momentOf(flags);
    const to = resolve(this.cwd, flags.to);
    const { restoreFromVault } = await import("./vault.ts");
    const onWarning = (text: string): void => void this.process.stderr.write(`stead: warning: ${text}\n`);
    const restored = await restoreFromVault({ url, service, moment, folder: to, signal: this.signal, onWarning });
    this.process.stdout.write(flags.json ? `${JSON.stringify({ folder: to, ...restored })}\n` : describe(to, restored));
  },
});

function momentOf({ position, time }: RestoreFlags): Moment {
  if (position !== undefined && time !== undefined) throw new CliError(exitCodes.usage, { found: "--position and --time", accepted: "one of them, or neither for the newest state", advice: "leave one out" });
  if (position !== undefined) return { kind: "position", position };
  return time === undefined ? { kind: "newest" } : { kind: "time", wallTimeMs: time };
}

function describe(folder: string, { position, epoch, wallTimeMs, checkpoint, databases }: PointInTime): string {
  const lines = databases.map(({ name, bytes, checksum }) => `database     ${name}: ${bytes} bytes, checksum ${checksum}`);
  return `restored     ${folder}\nstate        position ${position}, epoch ${epoch}, ${new Date(wallTimeMs).toISOString()} (from the checkpoint at ${checkpoint})\n${lines.map((line) => `${line}\n`).join("")}`;
}

function positionOf(text: string): number {
  const value = Number(text);
  if (!/^\d{1,15}$/.test(text)) throw new Error(`expected a position of the log (a whole number), found ${JSON.stringify(text)}`);
  return value;
}

/** A time without a zone would mean something else on each machine. */
function wallTimeOf(text: string): number {
  const value = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(value)) throw new Error(`expected a time with its zone, for example 2026-03-01T12:00:00Z or 2026-03-01T13:00:00+01:00, found ${JSON.stringify(text)}`);
  return value;
}

/**
 * `stead init`: an example configuration, and a random secret that only its owner can read. It never overwrites anything:
 * files are created exclusively, and when one exists nothing is written.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { buildCommand } from "@stricli/core";
import { parseConfig } from "../config/load.ts";
import { formatProblems } from "../config/problems.ts";
import { CliError } from "./cli-error.ts";
import { defaultConfigFile } from "./config.ts";
import type { CliContext } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";
import { configTemplate, type InitRole } from "./init-template.ts";
import { makeVault } from "./vault-create.ts";

const secretFile = "stead.secret";
const secretBytes = 32;

interface InitFlags {
  readonly role: InitRole;
  readonly service: string;
  readonly host: string;
  readonly vault: string;
  readonly createVault: boolean;
}

export const initCommand = buildCommand<InitFlags, [folder?: string], CliContext>({
  docs: {
    brief: "Write an example configuration and a random secret",
    fullDescription: `Writes ${defaultConfigFile}, with every key explained, and ${secretFile}, which only its owner can read. Copy the secret to every gateway and host.\nNothing is overwritten: when one of the files exists, none is written.\n\nEXAMPLES\n  stead init\n  stead init /etc/stead --role host --service notes --host a --vault /mnt/vault/notes\n  stead init --vault ./vault --create-vault`,
  },
  parameters: {
    flags: {
      role: { kind: "enum", values: ["gateway", "host", "both"], default: "both", brief: "What the file configures" },
      service: { kind: "parsed", parse: String, default: "app", placeholder: "name", brief: "Name of the service" },
      host: { kind: "parsed", parse: String, default: "a", placeholder: "id", brief: "Id of this host" },
      vault: { kind: "parsed", parse: String, default: "vault", placeholder: "folder", brief: "Folder that all hosts of the service share" },
      createVault: { kind: "boolean", default: false, withNegated: false, brief: "Make that folder a new vault; one host does this, once, on the shared area" },
    },
    positional: {
      kind: "tuple",
      parameters: [{ brief: "Folder for the files (the working folder when left out)", placeholder: "folder", parse: String, optional: true }],
    },
  },
  async func(flags, folder) {
    const target = resolve(this.cwd, folder ?? ".");
    const configPath = join(target, defaultConfigFile);
    const secretPath = join(target, secretFile);
    // The vault is named on the command line from the working folder, in the file from the file's.
    const vaultPath = resolve(this.cwd, flags.vault);
    const vault = folder === undefined || flags.vault.startsWith("/") ? flags.vault : relative(target, vaultPath);
    const text = configTemplate({ role: flags.role, service: flags.service, hostId: flags.host, secretFile, vault });
    refuseWrongNames(configPath, text);
    refuseExisting([configPath, secretPath]);
    // The vault comes first: it is what can be refused (a share that is not mounted), and a folder without files can be tried again.
    if (flags.createVault) await makeVault(vaultPath, flags.service);
    expectResource(target, () => {
      mkdirSync(target, { recursive: true });
      writeFileSync(secretPath, `${randomBytes(secretBytes).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
      writeFileSync(configPath, text, { flag: "wx" });
    });
    const written = [configPath, `${secretPath} (mode 0600)`, ...(flags.createVault ? [`${vaultPath}/`] : [])];
    this.process.stdout.write(`${written.map((path) => `wrote ${path}`).join("\n")}\nnext: adapt it, then run stead config check ${configPath}\n`);
  },
});

/** A service or host name that the configuration would refuse is refused before anything is written. */
function refuseWrongNames(path: string, text: string): void {
  // The secret does not exist yet, and is not what is checked here.
  const result = parseConfig(path, text.replace(/^secret_file = .*$/m, `secret = "${"x".repeat(secretBytes)}"`), { env: {} });
  if (result.kind === "ok") return;
  throw new CliError(exitCodes.usage, {
    found: `a value that the configuration would refuse:\n${formatProblems(result.problems)}`,
    advice: "choose other values for --service, --host or --vault",
  });
}

function refuseExisting(paths: readonly string[]): void {
  const existing = paths.filter((path) => existsSync(path));
  if (existing.length === 0) return;
  throw new CliError(exitCodes.resource, {
    found: `${existing.join(" and ")} exist${existing.length === 1 ? "s" : ""} already; nothing was written`,
    advice: "name another folder, or move the old file away first",
  });
}

/** Errors of the file system become errors that say what to do. */
function expectResource(target: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    throw new CliError(
      exitCodes.resource,
      { found: `${target} cannot be written (${(error as NodeJS.ErrnoException).code ?? String(error)})`, advice: "name a folder that you may write to" },
      { cause: error },
    );
  }
}

/**
 * `stead init`: an example configuration, and a random secret that only its owner can read. It never overwrites
 * anything: files are created exclusively, and nothing is written if there is already a configuration. An existing
 * secret stays: it was copied from another server of the cluster.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { isIP } from "node:net";
import { join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { buildCommand } from "@stricli/core";
import { parseConfig } from "../../config/load.ts";
import { configJsonSchemaText, configSchemaFile } from "../../config/json-schema.ts";
import { formatProblems } from "../../config/problems.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { defaultConfigFile } from "./config.ts";
import type { CliContext } from "../output/context.ts";
import { fittingPatterns } from "./fitting-patterns.ts";
import { hostParty, type Party } from "../../control/channel/transcript.ts";
import { machineFiles, makeCertificates } from "./ca.ts";
import { configTemplate, gatewayIdOfTemplate, type InitRole } from "./init-template.ts";
import { secretIn } from "./vault-argument.ts";
import { giveKeys, makeVault } from "./vault-create.ts";

const secretFile = "stead.secret";
const secretBytes = 32;

interface InitFlags {
  readonly role: InitRole;
  readonly service: string;
  readonly host: string;
  readonly vault: string;
  readonly createVault: boolean;
  readonly tls: boolean;
  readonly data: string;
  readonly command: readonly string[] | undefined;
  readonly address: string;
}

export const initCommand = buildCommand<InitFlags, [folder?: string], CliContext>({
  docs: {
    brief: "Write an example configuration and a random secret",
    fullDescription: `Writes ${defaultConfigFile}, with every key explained, ${configSchemaFile}, by which editors complete and check it,\nand ${secretFile}, which only its owner can read. All gateways and hosts need the same\nsecret: on the second server put it into the folder first, and it is kept. With --create-vault the host is the one that begins the vault\n(bootstrap = true). With --tls it makes certificates for mutual TLS as well: on the second server put ca.pem and ca.key into the\nfolder first, and take ca.key away afterwards. The databases in an existing data folder are\nlisted in the file. Nothing is overwritten: when there is a ${defaultConfigFile}, nothing is written.\n\nEXAMPLES\n  stead init\n  stead init /etc/stead --role host --service notes --host a --vault /mnt/vault/notes \\\n      --address 10.0.0.7 --command "bun app.ts"\n  stead init --vault ./vault --create-vault`,
  },
  parameters: {
    flags: {
      role: {
        kind: "enum",
        values: ["gateway", "host", "both"],
        default: "both",
        brief: "Role that the file configures",
      },
      service: { kind: "parsed", parse: String, default: "app", placeholder: "name", brief: "Name of the service" },
      host: { kind: "parsed", parse: String, default: "a", placeholder: "id", brief: "Id of this host" },
      vault: {
        kind: "parsed",
        parse: String,
        default: "vault",
        placeholder: "folder",
        brief: "Folder that all hosts of the service share",
      },
      data: {
        kind: "parsed",
        parse: String,
        default: "data",
        placeholder: "folder",
        brief: "The application's data folder; its databases are listed in the file",
      },
      command: {
        kind: "parsed",
        parse: wordsOf,
        optional: true,
        placeholder: "command",
        brief: 'The application\'s command, for example "bun app.ts"; quotes hold a word together',
      },
      address: {
        kind: "parsed",
        parse: addressOf,
        default: "127.0.0.1",
        placeholder: "address",
        brief: "Address at which other machines reach this one",
      },
      createVault: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Make that folder a new vault; do this once, on one host",
      },
      tls: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Make certificates for this machine, and on the first one their authority (ca.pem, ca.key)",
      },
    },
    positional: {
      kind: "tuple",
      parameters: [
        {
          brief: "Folder for the files (default: the working folder)",
          placeholder: "folder",
          parse: String,
          optional: true,
        },
      ],
    },
  },
  async func(flags, folder) {
    const target = resolve(this.cwd, folder ?? ".");
    const configPath = join(target, defaultConfigFile);
    const secretPath = join(target, secretFile);
    // On the command line the vault is relative to the working folder, in the file to the file's folder.
    const vaultPath = resolve(this.cwd, flags.vault);
    const vault = folder === undefined || flags.vault.startsWith("/") ? flags.vault : relative(target, vaultPath);
    const data =
      folder === undefined || flags.data === "data" || flags.data.startsWith("/")
        ? flags.data
        : relative(target, resolve(this.cwd, flags.data));
    const found = flags.role === "gateway" ? undefined : fittingPatterns(resolve(target, data));
    const text = configTemplate({
      data,
      databases: found,
      role: flags.role,
      service: flags.service,
      hostId: flags.host,
      secretFile,
      tls: flags.tls ? machineFiles : undefined,
      vault,
      command: flags.command,
      address: flags.address,
      bootstrap: flags.createVault,
    });
    refuseWrongNames(configPath, text);
    refuseExisting(configPath);
    const hasSecret = existsSync(secretPath);
    // The vault comes first: only it can be refused (an unmounted share), and with no files written the command can be
    // repeated.
    if (flags.createVault) await makeVault({ url: pathToFileURL(vaultPath).href, service: flags.service });
    // So do certificates: an authority without its key is refused.
    const certificates = flags.tls ? await makeCertificates(target, partiesOf(flags)) : [];
    expectResource(target, () => {
      mkdirSync(target, { recursive: true });
      if (!hasSecret)
        writeFileSync(secretPath, `${randomBytes(secretBytes).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
      writeFileSync(configPath, text, { flag: "wx" });
      // Not of this operator's making, and that of this version.
      writeFileSync(join(target, configSchemaFile), configJsonSchemaText());
    });
    if (flags.createVault) await giveKeys({ url: pathToFileURL(vaultPath).href, secrets: [secretIn(secretPath)] });
    const secret = hasSecret
      ? `kept ${secretPath}`
      : `wrote ${secretPath} (mode 0600): every gateway and host of the cluster needs this one`;
    if (found !== undefined)
      this.process.stdout.write(`found databases in ${resolve(target, data)}: databases = ${JSON.stringify(found)}\n`);
    const written = certificates.map((file) => `wrote ${file}`);
    const done = [`wrote ${configPath}`, secret, ...written, ...(flags.createVault ? [`wrote ${vaultPath}/`] : [])];
    this.process.stdout.write(`${done.join("\n")}\nnext: adapt it, then run stead config check ${configPath}\n`);
  },
});

/** Splits as a shell does, without its other rules: single or double quotes hold a word together. */
function wordsOf(text: string): readonly string[] {
  const words = [...text.matchAll(/(?:[^\s"']|"[^"]*"|'[^']*')+/g)].map(([word]) => word);
  const isWhole = text.replace(/"[^"]*"|'[^']*'/g, "").search(/["']/) < 0;
  if (words.length > 0 && isWhole) return words.map((word) => word.replaceAll(/"([^"]*)"|'([^']*)'/g, "$1$2"));
  throw new Error(`expected a program and its arguments, quotes closed, found ${JSON.stringify(text)}`);
}

function addressOf(text: string): string {
  if (isIP(text) !== 0 && text !== "0.0.0.0" && text !== "::") return text;
  throw new Error(`expected the numeric address of this machine in its network, found ${JSON.stringify(text)}`);
}

/** What runs by the file: a gateway under the id of the template, a host, or both. */
function partiesOf({ role, service, host }: InitFlags): [Party, ...Party[]] {
  const gateway: Party = { role: "gateway", id: gatewayIdOfTemplate };
  const own = hostParty(service, host);
  return role === "both" ? [gateway, own] : [role === "gateway" ? gateway : own];
}

/** Refuses a service or host name that the configuration would refuse, before anything is written. */
function refuseWrongNames(path: string, text: string): void {
  // The secret does not exist yet, and is not checked here.
  const result = parseConfig(path, text.replace(/^secret_file = .*$/m, `secret = "${"x".repeat(secretBytes)}"`), {
    env: {},
  });
  if (result.kind === "ok") return;
  throw new OperatorError("usage", {
    found: `a value that the configuration would refuse:\n${formatProblems(result.problems)}`,
    advice: "choose other values for --service, --host or --vault",
  });
}

function refuseExisting(path: string): void {
  if (!existsSync(path)) return;
  throw new OperatorError("resource", {
    found: `${path} exists already; nothing was written`,
    advice: "name another folder, or move the old file away first",
  });
}

/** Turns file system errors into errors that say what to do. */
function expectResource(target: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    throw new OperatorError(
      "resource",
      {
        found: `${target} cannot be written (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
        advice: "name a folder that you may write to",
      },
      { cause: error },
    );
  }
}

/**
 * `stead init`: a configuration, and a random secret that only its owner can read. It never overwrites
 * anything: files are created exclusively, and nothing is written if there is already a configuration. An existing
 * secret stays: it was copied from another server of the cluster.
 */
import { randomBytes } from "node:crypto";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { buildCommand } from "@stricli/core";
import { parseConfig } from "../../config/load.ts";
import { configJsonSchemaText, configSchemaFile } from "../../config/json-schema.ts";
import { formatProblems } from "../../config/problems.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { replaceFile } from "../../runtime/replace-file.ts";
import { defaultConfigFile } from "./config.ts";
import type { CliContext } from "../output/context.ts";
import { type FittingFiles, fittingFiles } from "../../core/files/coverage.ts";
import { type FolderSurvey, surveyFolder } from "../../host/machine/folder-survey.ts";
import { fittingPatterns } from "./fitting-patterns.ts";
import { hostParty, type Party } from "../../control/channel/transcript.ts";
import { type MachineFiles, machineFiles, makeCertificates } from "./ca.ts";
import { clearTextWarning, tokenOf } from "./gateway-connection.ts";
import { type ConfiguredMachine, readConfiguredMachine, withService } from "./init-add.ts";
import { addressDefault, type InitFlags, initParameters } from "./init-flags.ts";
import { type Joined, joinCluster, registerHost } from "./init-join.ts";
import { type Account, findAccount, giveFiles, systemFolder, systemPlaces } from "./init-system.ts";
import {
  configTemplate,
  defaultDatabases,
  gatewayIdOfTemplate,
  type InitValues,
  serviceTemplate,
  usualPorts,
} from "./init-template.ts";
import { secretIn } from "./vault-argument.ts";
import { giveKeys, makeVault } from "./vault-create.ts";

const secretFileDefault = "stead.secret";
const secretBytes = 32;

export const initCommand = buildCommand<InitFlags, [folder?: string], CliContext>({
  docs: {
    brief: "Write a configuration and a random secret, for a first machine or for one that joins",
    fullDescription: [
      `Writes ${defaultConfigFile}, which lists every key, ${configSchemaFile}, by which editors complete and check it, and ${secretFileDefault},`,
      "which only its owner can read. All gateways and hosts need the same secret: on the second machine put it into the folder first, and",
      "it is kept. With --create-vault the host is the one that begins the vault (bootstrap = true). With --tls it makes certificates for",
      "mutual TLS as well: on the second machine put ca.pem and ca.key into the folder first, and take ca.key away afterwards. The",
      `databases in an existing data folder are listed in the file. Nothing is overwritten: when there is a ${defaultConfigFile}, nothing is written.`,
      "",
      "With --join it asks a running gateway for the service, the other gateways, the hosts and the vault's address, and registers the",
      "new host, which takes a token of an admin (--token-file, else STEAD_TOKEN), or the secret. The token is written nowhere. The secret",
      "itself is in no answer of a gateway: copy its file first.",
      "",
      `With --add, on a machine that has a ${defaultConfigFile}, it adds a further service: --service NAME gets a host with a file of its own,`,
      "NAME.toml, beside it, and the gateway's file gets a [[service]] behind what it has; a running gateway takes it by itself. What tells",
      "the service's requests from others is --match-host or --match-path.",
      "",
      "With --etc the files are for the units in examples/systemd: in /etc/stead, with databases in /var/lib/stead, and the secret,",
      "databases and a vault that is made here for the user that the units run as. NAME.toml is that of the unit stead-host@NAME.",
      "",
      "EXAMPLES",
      "  stead init",
      "  stead init --vault ./vault --create-vault",
      '  stead init --role host --service notes --host a --vault /mnt/vault/notes --address 10.0.0.7 --command "bun app.ts"',
      "  sudo stead init --etc --role host --join http://10.0.0.1:7700 --token-file admin.token --address 10.0.0.8",
      '  sudo stead init --etc --add --service orders --match-host orders.example --create-vault --command "bun orders.ts"',
    ].join("\n"),
  },
  parameters: initParameters,
  async func(given, folder) {
    const target = resolve(this.cwd, folder ?? (given.etc ? systemFolder : "."));
    const account = given.etc ? findAccount(given.user) : undefined;
    const machine = given.add ? readConfiguredMachine(target, given) : undefined;
    const flags = { ...given, address: given.address ?? machine?.address ?? addressDefault };
    const joined = await askCluster(this, flags, target, machine);
    const plan = planOf(flags, { cwd: this.cwd, folder, target, joined, machine });
    const texts = textsOf(flags, plan, target, machine);
    const done = await writeFiles(flags, { target, texts, plan });
    if (account !== undefined) done.push(...giveAll(flags, { target, cwd: this.cwd, texts, plan }, account));
    const refusal =
      joined === undefined || flags.role === "gateway"
        ? undefined
        : await registerHost(joined, plan.controlUrl, this.signal);
    if (joined !== undefined && flags.role !== "gateway" && refusal === undefined)
      done.push(`registered host ${joined.hostId} of ${joined.service} at ${plan.controlUrl}`);
    const next = nextSteps(flags, plan, texts, refusal);
    this.process.stdout.write(
      flags.json
        ? `${JSON.stringify({ done, next: next.map((each) => each.replace(/^(?:next:)? +/, "")) })}\n`
        : `${done.join("\n")}\n${next.join("\n")}\n`,
    );
    if (refusal === undefined) return;
    throw new OperatorError("refused", {
      found: `the files are written, but ${flags.join ?? ""} did not register the host: ${refusal}`,
      accepted: "a token of an admin, or the cluster's secret",
      advice: `run \`stead hosts add ${plan.values.hostId} ${plan.controlUrl}\` with one`,
    });
  },
});

/** With an address, which `--add` takes from the machine. */
type Flags = InitFlags & { readonly address: string };

/** Paths with what belongs there; undefined: the command leaves that one as it is. */
interface Texts {
  /** A file of its own. */
  readonly own: { readonly path: string; readonly text: string } | undefined;
  /** The gateway's, which exists, with a further service. */
  readonly gateway: { readonly path: string; readonly text: string } | undefined;
}

/** Refuses what exists, and what the configuration would refuse, before anything is written. */
function textsOf(flags: Flags, { values }: Plan, target: string, machine: ConfiguredMachine | undefined): Texts {
  const gateway =
    machine === undefined || flags.role === "host"
      ? undefined
      : { path: machine.path, text: withService(machine, serviceTemplate(values)) };
  if (machine !== undefined && flags.role === "gateway") return { own: undefined, gateway };
  const path = join(target, machine === undefined ? defaultConfigFile : `${values.service}.toml`);
  refuseExisting(path);
  const text = configTemplate(machine === undefined ? values : { ...values, role: "host" });
  refuseWrongNames(path, text);
  return { own: { path, text }, gateway };
}

interface Giving {
  readonly target: string;
  readonly cwd: string;
  readonly texts: Texts;
  readonly plan: Plan;
}

/** For the units: returns what became the account's, a line each. */
function giveAll(flags: Flags, { target, cwd, texts: { own }, plan }: Giving, account: Account): string[] {
  const { secretFile, tls } = plan.values;
  return expectResource(target, () =>
    giveFiles(
      {
        ...{ folder: target, state: resolve(cwd, flags.state) },
        open: [...(own === undefined ? [] : [own.path]), join(target, configSchemaFile)],
        // The secret of a machine that has been configured before is left as it is.
        secret: [...(flags.add ? [] : [secretFile]), ...(tls === undefined ? [] : [tls.key])].map((name) =>
          resolve(target, name),
        ),
        vault: flags.createVault ? plan.vaultPlace : undefined,
      },
      account,
    ),
  );
}

async function askCluster(
  context: CliContext,
  flags: Flags,
  target: string,
  machine: ConfiguredMachine | undefined,
): Promise<Joined | undefined> {
  const { join: url, role, service, host, address, id: gatewayId } = flags;
  if (url === undefined) return undefined;
  const secretPath = machine?.secretPath ?? join(target, secretFileDefault);
  if (!existsSync(secretPath))
    throw new OperatorError("configuration", {
      found: `there is no ${secretPath}; nothing was written`,
      accepted: "the secret's file of another machine of the cluster: no gateway gives the secret away",
      advice: `copy it there with mode 0600, then run the command again`,
    });
  if (isLoopback(address) && !isLoopback(new URL(url).hostname))
    throw new OperatorError("usage", {
      found: "a cluster on other machines is joined without --address",
      accepted: "the address at which they reach this machine",
      advice: "name it, for example --address 10.0.0.8",
    });
  const token = tokenOf(context, flags);
  const warning = token === undefined ? undefined : clearTextWarning(url);
  if (warning !== undefined) context.process.stderr.write(`warning: ${warning}\n`);
  return joinCluster({
    ...{ url, token, role, service, host, gatewayId, signal: context.signal },
    ...{ secret: secretIn(secretPath), controlUrl: controlUrlAt(address, machine) },
  });
}

const isLoopback = (address: string): boolean => /^(?:localhost|127(?:\.\d+){3}|\[?::1\]?)$/.test(address);
const controlUrlAt = (address: string, machine: ConfiguredMachine | undefined): string =>
  `http://${address.includes(":") ? `[${address}]` : address}:${(machine?.ports ?? usualPorts).control}`;

interface Plan {
  readonly values: InitValues;
  /** Patterns that were found in the data folder; undefined: it has no databases. */
  readonly found: readonly string[] | undefined;
  /** Patterns of the files beside them. */
  readonly beside: FittingFiles | undefined;
  readonly dataFolder: string;
  /** As a path or URL from the working folder. */
  readonly vaultPlace: string;
  readonly controlUrl: string;
}

interface PlanInput {
  readonly cwd: string;
  readonly folder: string | undefined;
  readonly target: string;
  readonly joined: Joined | undefined;
  readonly machine: ConfiguredMachine | undefined;
}

/** A folder may have keys or uploads before its application has made a database. */
function fittingBeside({ entries }: FolderSurvey, databases: readonly string[] | undefined): FittingFiles | undefined {
  // Databases that no pattern fits must not be taken for files.
  if (databases === undefined && entries.some(({ isDatabase }) => isDatabase)) return undefined;
  return fittingFiles(entries, databases ?? defaultDatabases);
}

/** On the command line folders are relative to the working folder, in the file to the file's folder. */
function planOf(flags: Flags, { cwd, folder, target, joined, machine }: PlanInput): Plan {
  const service = joined?.service ?? flags.service ?? "app";
  const usual = machine === undefined ? { data: "data", vault: "vault" } : placesBeside(service);
  const system = flags.etc ? systemPlaces(resolve(cwd, flags.state), service, usual.data) : undefined;
  const inFile = (path: string): string =>
    (folder === undefined && !flags.etc) || path.startsWith("/") ? path : relative(target, resolve(cwd, path));
  const vault = flags.vault ?? joined?.vault ?? system?.vault ?? usual.vault;
  const isUrl = /^[a-z0-9]+:\/\//.test(vault);
  const data = flags.data === undefined ? (system?.data ?? usual.data) : inFile(flags.data);
  const dataFolder = resolve(target, data);
  const survey = flags.role === "gateway" ? undefined : surveyFolder(dataFolder);
  const found = survey && fittingPatterns(survey);
  const beside = survey && fittingBeside(survey, found);
  return {
    ...{ found, beside, dataFolder, vaultPlace: isUrl ? vault : resolve(cwd, vault) },
    controlUrl: controlUrlAt(flags.address, machine),
    values: {
      ...{ role: flags.role, service, data, databases: found, files: beside?.files, bootstrap: flags.createVault },
      ...{ filesExcept: beside?.except, secretFile: machine?.secretFile ?? secretFileDefault },
      match: { host: flags.matchHost, path: flags.matchPath },
      hostId: joined?.hostId ?? flags.host ?? "a",
      ports: machine?.ports,
      gatewayId: joined?.gatewayId ?? flags.id,
      tls: flags.tls ? certificateFiles(flags, service) : undefined,
      vault: isUrl ? vault : inFile(vault),
      ...{ command: flags.command, address: flags.address, database: system?.database },
      peers: flags.peers ?? joined?.peers,
      ...{ hosts: joined?.hosts, cluster: joined?.cluster ?? machine?.cluster },
    },
  };
}

/** Undefined: the command makes no process that would need a certificate. */
function certificateFiles({ add, role }: Flags, service: string): MachineFiles | undefined {
  if (!add) return machineFiles();
  return role === "gateway" ? undefined : machineFiles(`${service}-host`);
}

/** Of a further service: "data" and "vault" are the first one's. */
const placesBeside = (service: string) => ({ data: `${service}-data`, vault: `${service}-vault` });

interface Writing {
  readonly target: string;
  readonly texts: Texts;
  readonly plan: Plan;
}

/** Returns what was done, a line each. */
async function writeFiles(flags: Flags, { target, texts: { own, gateway }, plan }: Writing): Promise<string[]> {
  const { values, found, beside, dataFolder, vaultPlace } = plan;
  const { service, cluster, tls } = values;
  const secretPath = resolve(target, values.secretFile);
  const hasSecret = existsSync(secretPath);
  const url = pathToFileURL(vaultPlace).href;
  // The vault comes first: only it can be refused (an unmounted share), and with no files written the command can be
  // repeated.
  if (flags.createVault) await makeVault({ url, service });
  // So do certificates: an authority without its key is refused.
  const certificates =
    tls === undefined || own === undefined
      ? []
      : await makeCertificates(target, tls, { parties: partiesOf(flags, values), cluster });
  expectResource(target, () => {
    mkdirSync(target, { recursive: true });
    if (!hasSecret)
      writeFileSync(secretPath, `${randomBytes(secretBytes).toString("base64url")}\n`, { mode: 0o600, flag: "wx" });
    if (own !== undefined) writeFileSync(own.path, own.text, { flag: "wx" });
    if (gateway !== undefined) replaceFile(gateway.path, gateway.text);
    // Not of this operator's making, and that of this version.
    writeFileSync(join(target, configSchemaFile), configJsonSchemaText());
  });
  if (flags.createVault) await giveKeys({ url, secrets: [secretIn(secretPath)] });
  return [
    ...(found === undefined ? [] : [`found databases in ${dataFolder}: databases = ${JSON.stringify(found)}`]),
    ...(beside === undefined || beside.files.length === 0
      ? []
      : [`found files beside the databases that fail over too: files = ${JSON.stringify(beside.files)}`]),
    ...(own === undefined ? [] : [`wrote ${own.path}`]),
    ...(gateway === undefined ? [] : [`added [[service]] ${service} to ${gateway.path}`]),
    hasSecret
      ? `kept ${secretPath}`
      : `wrote ${secretPath} (mode 0600): every gateway and host of the cluster needs this one`,
    ...certificates.map((file) => `wrote ${file}`),
    ...(flags.createVault ? [`wrote ${vaultPlace}/`] : []),
  ];
}

function nextSteps(flags: Flags, { values }: Plan, { own, gateway }: Texts, refusal: string | undefined): string[] {
  const { role, hostId, service } = values;
  const hostUnit = flags.add ? `stead-host@${service}` : "stead-host";
  const units = [...(role === "host" || flags.add ? [] : ["stead-gateway"]), ...(role === "gateway" ? [] : [hostUnit])];
  const as = flags.etc ? `sudo -u ${flags.user} stead` : "stead";
  const main = own?.path ?? gateway?.path ?? "";
  return [
    `next: adapt it, then run stead config check ${main}`,
    ...(gateway === undefined ? [] : [`      a gateway that runs takes ${service} by itself: stead status`]),
    ...(values.vault.startsWith("s3://") ? ["      copy [host.vault_s3] from another host's file"] : []),
    ...(flags.join === undefined ? [] : ["      compare its [[service]] with the cluster's: stead config diff"]),
    `      ${as} doctor ${main} looks for what is wrong with this machine`,
    ...(flags.etc && units.length > 0 ? [`      systemctl enable --now ${units.join(" ")}${unitsFrom()}`] : []),
    ...(!flags.etc && flags.add && own !== undefined ? [`      stead host ${own.path}`] : []),
    ...(refusal === undefined && flags.join !== undefined && role !== "gateway"
      ? [`      stead status shows host ${hostId} as soon as it runs`]
      : []),
  ];
}

/** A package has brought the units; an executable alone has not. */
const unitsFrom = (): string =>
  existsSync("/usr/lib/systemd/system/stead-host.service")
    ? ""
    : ", with the units of examples/systemd in /etc/systemd/system";

/** What runs by the file: a gateway under the id of the template, a host, or both. */
function partiesOf(
  { add }: Flags,
  { role, service, hostId, gatewayId = gatewayIdOfTemplate }: InitValues,
): [Party, ...Party[]] {
  const gateway: Party = { role: "gateway", id: gatewayId };
  const own = hostParty(service, hostId);
  if (add) return [own];
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
    advice:
      "choose other values for --service, --host, --id, --vault, --peers, --address, --match-host or --match-path",
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
function expectResource<T>(target: string, write: () => T): T {
  try {
    return write();
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

/**
 * `stead config check`: reads a configuration file as the gateway and the host do, and prints every problem at once.
 */
import { buildCommand } from "@stricli/core";
import { loadConfig } from "../../config/load.ts";
import { formatProblems } from "../../config/problems.ts";
import type { Config, ConfigResult, HostConfig, Problem } from "../../config/types.ts";
import type { UserFinding } from "../../host/application/user-checks.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { CliContext } from "../output/context.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { withNulls } from "../../control/nulls.ts";

/** The configuration file in the working folder that commands read by default. */
export const defaultConfigFile = "stead.toml";

/** The positional argument of commands that read a configuration file. */
export const configFileParameter = {
  brief: `Configuration file (${defaultConfigFile} when left out)`,
  placeholder: "file",
  parse: String,
  optional: true,
} as const;

/**
 * Loads a file for a command: warnings go to standard error, problems end the command with exit code 3.
 *
 * @param file as given on the command line; undefined means `stead.toml`
 */
export function requireConfig(context: CliContext, file: string | undefined): Config {
  const path = file ?? defaultConfigFile;
  const isFoundByItself = file === undefined;
  const result = loadConfig(path, { env: context.process.env, folder: context.cwd, isFoundByItself });
  if (result.kind === "invalid") {
    const count = result.problems.length;
    context.process.stderr.write(`${formatProblems(result.problems)}\n`);
    throw new OperatorError("configuration", {
      found: `${count} problem${count === 1 ? "" : "s"} in ${path}`,
      advice: `correct ${count === 1 ? "it" : "them"} as described above, then run \`stead config check ${path}\``,
    });
  }
  if (result.config.warnings.length > 0)
    context.process.stderr.write(`${formatProblems(result.config.warnings, "warning")}\n`);
  return result.config;
}

function describe(config: Config): string {
  const parts = [
    ...(config.gateway === undefined ? [] : [`gateway ${config.gateway.id}`]),
    ...config.services.map(
      (service) => `service ${service.name} (${service.hosts.length} ${service.hosts.length === 1 ? "host" : "hosts"})`,
    ),
    ...(config.host === undefined ? [] : [`host ${config.host.id} of service ${config.host.service}`]),
    ...(config.vault === undefined ? [] : [`vault server of ${config.vault.folder}`]),
  ];
  return `${config.file}: ok: ${parts.length === 0 ? `cluster ${config.cluster.name}, for commands` : parts.join(", ")}`;
}

/** The listeners for clients, with the settings that bound their connections. */
const boundedListeners = ({ gateway, host }: Config): { readonly key: string; readonly connections: number }[] =>
  [
    { key: "gateway.limits.connections", connections: gateway?.limits.connectionsMax },
    { key: "host.limits.connections", connections: host?.limits.connectionsMax },
  ].flatMap(({ key, connections }) => (connections === undefined ? [] : [{ key, connections }]));

/**
 * Checks on this machine whether connections of clients and databases fit into this shell's limit of open files, and
 * the host's folders and the application's user; a refusal ends the command.
 */
async function checkMachine(context: CliContext, config: Config): Promise<void> {
  const { host } = config;
  const { assertConnections } = await import("../../http/server/descriptor-room.ts");
  for (const { key, connections } of boundedListeners(config)) assertConnections(key, connections);
  if (host === undefined) return;
  const [{ assertFolderPlaces }, { assertDescriptors }, { assertApplicationLog }, { assertUser }, { localDatabases }] =
    await Promise.all([
      import("../../host/machine/folder-checks.ts"),
      import("../../host/machine/descriptor-check.ts"),
      import("../../host/application/application-log.ts"),
      import("../../host/application/user-checks.ts"),
      import("../../capture/local-state.ts"),
    ]);
  const onWarning = (text: string): void => void context.process.stderr.write(`warning: ${text}\n`);
  assertFolderPlaces(host, onWarning);
  const names = await localDatabases(host.databases, host.databasesExcept).find(host.dataFolder);
  assertDescriptors(names.length, onWarning);
  assertApplicationLog(host.application.log);
  assertUser(host, names, onWarning);
}

interface Answer {
  readonly ok: boolean;
  readonly problems: readonly Problem[];
  readonly warnings: readonly Problem[];
}

type MachineFinding = Pick<UserFinding, "kind" | "found" | "accepted" | "advice"> & { readonly key: string };

/** Returns what depends on the databases that are there. */
async function databaseFindings(host: HostConfig): Promise<readonly MachineFinding[]> {
  const [{ checkDescriptors }, { checkApplicationLog }, { checkUser }, { localDatabases }, { openFileLimit }] =
    await Promise.all([
      import("../../host/machine/descriptor-check.ts"),
      import("../../host/application/application-log.ts"),
      import("../../host/application/user-checks.ts"),
      import("../../capture/local-state.ts"),
      import("../../runtime/open-file-limit.ts"),
    ]);
  const names = await localDatabases(host.databases, host.databasesExcept).find(host.dataFolder);
  const descriptors = checkDescriptors(names.length, openFileLimit());
  const log = checkApplicationLog(host.application.log);
  const { findings } = checkUser(host, names);
  return [
    ...(descriptors === undefined ? [] : [{ ...descriptors, key: "databases" }]),
    ...(log === undefined ? [] : [log]),
    ...findings,
  ];
}

/**
 * Returns the file's own problems, and those of this machine (folders, descriptors, the application's user), which
 * belong to no line.
 */
async function answerOf(result: ConfigResult): Promise<Answer> {
  if (result.kind === "invalid") return { ok: false, problems: result.problems, warnings: [] };
  const { host, file, warnings } = result.config;
  const { checkConnections } = await import("../../http/server/descriptor-room.ts");
  const crowded = boundedListeners(result.config).flatMap(({ key, connections }): Problem[] => {
    const finding = checkConnections(key, connections);
    return finding === undefined ? [] : [{ file, line: undefined, column: undefined, key, ...finding }];
  });
  if (host === undefined) return { ok: crowded.length === 0, problems: crowded, warnings };
  const { checkFolderPlaces } = await import("../../host/machine/folder-checks.ts");
  const places = checkFolderPlaces(host);
  // Databases are counted only if the folders are accepted, as in the text form.
  const isRefused = places.some(({ kind }) => kind === "refused");
  const findings: readonly MachineFinding[] = [...places, ...(isRefused ? [] : await databaseFindings(host))];
  const told = (wanted: "refused" | "warned"): Problem[] =>
    findings
      .filter(({ kind }) => kind === wanted)
      .map(({ key, found, accepted, advice }) => ({
        file,
        line: undefined,
        column: undefined,
        key: `host.${key}`,
        found,
        accepted,
        advice,
      }));
  const problems = [...crowded, ...told("refused")];
  return { ok: problems.length === 0, problems, warnings: [...warnings, ...told("warned")] };
}

export const configCheckCommand = buildCommand<{ readonly json: boolean }, [file?: string], CliContext>({
  docs: {
    brief: "Read a configuration file and print every problem in it",
    fullDescription:
      "Reads the file as `stead gateway` and `stead host` do and prints every problem with file, line, key, what was found, what is accepted and what to do.\nExits with 0 if there is none, with 3 otherwise.\n\nEXAMPLES\n  stead config check\n  stead config check /etc/stead/stead.toml --json",
  },
  parameters: {
    flags: {
      json: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Print one JSON object: ok, problems, warnings",
      },
    },
    positional: { kind: "tuple", parameters: [configFileParameter] },
  },
  async func(flags, file) {
    if (!flags.json) {
      const config = requireConfig(this, file);
      await checkMachine(this, config);
      this.process.stdout.write(`${describe(config)}\n`);
      return;
    }
    const answer = await answerOf(loadConfig(file ?? defaultConfigFile, { env: this.process.env, folder: this.cwd }));
    this.process.stdout.write(`${JSON.stringify(withNulls(answer))}\n`);
    if (!answer.ok) this.exitWith(exitCodes.configuration);
  },
});

/**
 * The commands, and how their errors are shown. Each command has a file in commands/; here it gets its name. Heavy
 * parts (gateway, host, databases) are imported inside the commands, so that `stead --help` does not load them.
 */
import {
  type Application,
  type ApplicationText,
  buildApplication,
  buildRouteMap,
  ExitCode as StricliCode,
  FlagNotFoundError,
  help,
  proposeCompletions,
  type RouteMap,
  run,
  text_en,
  version,
} from "@stricli/core";
import { caRoutes } from "./commands/ca.ts";
import { checkpointCommand } from "./commands/checkpoint.ts";
import { suspectsClearCommand } from "./commands/suspects.ts";
import { manCommand } from "./commands/man.ts";
import { configCheckCommand } from "./commands/config.ts";
import { configSchemaCommand } from "./commands/config-schema.ts";
import { configDiffCommand } from "./commands/config-diff.ts";
import type { CliContext } from "./output/context.ts";
import { databasesRoutes } from "./commands/databases.ts";
import { demoAppCommand, demoCommand } from "./commands/demo.ts";
import { drillRoutes } from "./commands/drill.ts";
import { completionCommand } from "./commands/completion.ts";
import { completeCommand } from "./output/completion-scripts.ts";
import { type ExitCode, exitCodeMeanings, exitCodes } from "./output/exit-codes.ts";
import { asOperatorError, formatOperatorError } from "./output/operator-errors.ts";
import { doctorCommand } from "./commands/doctor.ts";
import { explainCommand } from "./commands/explain.ts";
import { failoverCommand } from "./commands/failover.ts";
import { gatewayCommand, gatewaySuccessorCommand, gatewayWorkerCommand, sqlReaderCommand } from "./commands/gateway.ts";
import { gatewaysListCommand, gatewaysRemoveCommand } from "./commands/gateways.ts";
import { databaseCheckerCommand, hostCommand } from "./commands/host.ts";
import {
  hostsAddCommand,
  hostsDrainCommand,
  hostsListCommand,
  hostsRemoveCommand,
  hostsSetCommand,
} from "./commands/hosts.ts";
import { livenessCommand } from "./commands/liveness.ts";
import { logsCommand } from "./commands/logs.ts";
import { initCommand } from "./commands/init.ts";
import { notifyTestCommand } from "./commands/notify.ts";
import { maintenanceRoutes } from "./commands/maintenance.ts";
import { pauseCommand, resumeCommand } from "./commands/pause.ts";
import { rehearseCommand } from "./commands/rehearse.ts";
import { rewindCommand } from "./commands/rewind.ts";
import { secretRoutes } from "./commands/secret.ts";
import { sqlCommand } from "./commands/sql.ts";
import { statusCommand } from "./commands/status.ts";
import { switchoverCommand } from "./commands/switchover.ts";
import { tokenRoutes } from "./commands/token.ts";
import { vaultRoutes } from "./commands/vault-commands.ts";
import { versionCommand } from "./commands/version.ts";
import { messageOf } from "../runtime/operator-error.ts";
import { versionText } from "../runtime/program-version.ts";

const exitCodeTable = exitCodeMeanings.map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`).join("\n");

export const commandTable: RouteMap<CliContext> = buildRouteMap({
  routes: {
    gateway: gatewayCommand,
    host: hostCommand,
    init: initCommand,
    config: buildRouteMap({
      routes: { check: configCheckCommand, diff: configDiffCommand, schema: configSchemaCommand },
      docs: { brief: "Check configuration files, compare them with what runs, and print their schema" },
    }),
    status: statusCommand,
    liveness: livenessCommand,
    switchover: switchoverCommand,
    failover: failoverCommand,
    rewind: rewindCommand,
    pause: pauseCommand,
    resume: resumeCommand,
    maintenance: maintenanceRoutes,
    hosts: buildRouteMap({
      routes: {
        list: hostsListCommand,
        add: hostsAddCommand,
        set: hostsSetCommand,
        drain: hostsDrainCommand,
        remove: hostsRemoveCommand,
      },
      docs: { brief: "List, register, change, drain and remove hosts at run time" },
    }),
    gateways: buildRouteMap({
      routes: { list: gatewaysListCommand, remove: gatewaysRemoveCommand },
      docs: { brief: "List the gateways of the cluster, and remove one" },
    }),
    rehearse: rehearseCommand,
    drill: drillRoutes,
    checkpoint: checkpointCommand,
    databases: databasesRoutes,
    notify: buildRouteMap({
      routes: { test: notifyTestCommand },
      docs: { brief: "Try out who is told what happens" },
    }),
    suspects: buildRouteMap({
      routes: { clear: suspectsClearCommand },
      docs: { brief: "Forward requests again that were set aside because they ended the application" },
    }),
    logs: logsCommand,
    sql: sqlCommand,
    token: tokenRoutes,
    secret: secretRoutes,
    vault: vaultRoutes,
    ca: caRoutes,
    doctor: doctorCommand,
    explain: explainCommand,
    completion: completionCommand,
    man: manCommand(() => commandTable),
    demo: demoCommand,
    version: versionCommand,
    // Parts that other commands start; not for operators.
    "demo-app": demoAppCommand,
    "sql-reader": sqlReaderCommand,
    "database-checker": databaseCheckerCommand,
    "gateway-worker": gatewayWorkerCommand,
    "gateway-successor": gatewaySuccessorCommand,
  },
  docs: {
    hideRoute: {
      "demo-app": true,
      "sql-reader": true,
      "database-checker": true,
      "gateway-worker": true,
      "gateway-successor": true,
    },
    brief: "Failover that clients do not notice, for applications that keep their state in SQLite or libSQL",
    fullDescription: [
      "Failover that clients do not notice, for applications that keep their state in SQLite or libSQL.",
      "`stead COMMAND --help` explains a command and shows examples. Every command accepts --debug, which adds the stack to an error.",
      `\nEXIT CODES\n${exitCodeTable}`,
    ].join("\n"),
  },
});

/** Formats a thrown value: for an expected error what to do, for a defect how to report it. */
function formatThrown(thrown: unknown, debug: boolean): string {
  const stack = debug && thrown instanceof Error ? `\n${stackOf(thrown)}` : "";
  const known = asOperatorError(thrown);
  if (known !== undefined) return formatOperatorError(known) + stack;
  return `stead: unexpected error: ${messageOf(thrown)}${debug ? stack : "\n  do: run it again with --debug and report the output"}`;
}

/** Returns the stacks of an error and its causes. */
function stackOf(error: Error): string {
  const own = error.stack ?? String(error);
  return error.cause instanceof Error ? `${own}\ncaused by: ${stackOf(error.cause)}` : own;
}

const usage = (found: string, advice: string): string => formatOperatorError({ found, advice });

/** Commands whose argument is a host; other tools use `--to b` for it. */
const hostCommands = /^(?:switchover|failover|rehearse|checkpoint|hosts (?:add|set|drain|remove))\b/;
const hostFlags = ["to", "host", "target"];

/** Explains why the arguments were not understood. `line`: the command line, joined. */
function argumentText(exception: unknown, line: string): string {
  const command = hostCommands.exec(line)?.[0];
  if (command !== undefined && exception instanceof FlagNotFoundError && hostFlags.includes(exception.input)) {
    return usage(`no flag --${exception.input}`, `the host is an argument: \`stead ${command} HOST\``);
  }
  const starts = /^(?:gateway|host)\b/.exec(line)?.[0];
  if (starts !== undefined && exception instanceof FlagNotFoundError && exception.input === "config") {
    return usage("no flag --config", `the file is an argument: \`stead ${starts} FILE\``);
  }
  return usage(
    exception instanceof Error ? plainWords(exception.message) : String(exception),
    "see the command's --help",
  );
}

function applicationText(debug: boolean, line: string): ApplicationText {
  const thrown = (exception: unknown): string => formatThrown(exception, debug);
  return {
    ...text_en,
    noCommandRegisteredForInput: ({ input, corrections }) =>
      usage(
        `unknown command "${input}"`,
        corrections.length > 0 ? `did you mean ${corrections.join(" or ")}?` : "see `stead --help`",
      ),
    exceptionWhileParsingArguments: (exception) => argumentText(exception, line),
    exceptionWhileLoadingCommandFunction: thrown,
    exceptionWhileLoadingCommandContext: thrown,
    exceptionWhileRunningCommand: thrown,
    commandErrorResult: thrown,
  };
}

/** The library's words for the two commonest mistakes, shorter. */
function plainWords(message: string): string {
  const [, flag, next] = /^Expected input for flag (--\S+) but encountered (\S+) instead$/.exec(message) ?? [];
  if (flag !== undefined) return `no value for ${flag}: ${next} follows`;
  return lowerFirst(message).replace(/^no flag registered for /, "no flag ");
}

const lowerFirst = (text: string): string => text.charAt(0).toLowerCase() + text.slice(1);

const exitCodeOf = (exception: unknown): number => exitCodes[asOperatorError(exception)?.area ?? "unexpected"];

/** stricli's own codes are negative; from outside only a wrong command line causes them. */
function translate(code: number): ExitCode {
  const known = exitCodeMeanings.find(([value]) => value === code)?.[0];
  if (known !== undefined) return known;
  return code === StricliCode.UnknownCommand || code === StricliCode.InvalidArgument
    ? exitCodes.usage
    : exitCodes.unexpected;
}

/** `line`: the command line, joined. */
const applicationFor = (line: string, debug: boolean): Application<CliContext> =>
  buildApplication(
    commandTable,
    {
      name: "stead",
      determineExitCode: exitCodeOf,
      scanner: { caseStyle: "allow-kebab-for-camel", allowArgumentEscapeSequence: true },
      localization: { text: applicationText(debug, line) },
    },
    {
      help: help({
        brief: "Explain the command, with examples",
        defaultForRouteMap: true,
        formatting: { caseStyle: "convert-camel-to-kebab", onlyRequiredInUsageLine: true, useAliasInUsageLine: false },
      }),
      version: version({ brief: "Print the version", info: { currentVersion: versionText() } }),
    },
  );

/** Prints what a shell may complete the words with, the last of which is unfinished (output/completion-scripts.ts). */
async function complete(words: readonly string[], context: CliContext): Promise<void> {
  for (const { completion, brief } of await proposeCompletions(applicationFor("", false), words, context))
    if (completion !== "--") context.process.stdout.write(`${completion}\t${brief}\n`);
}

/**
 * Runs one command line; never throws. Removes `--debug` first, since it belongs to every command.
 *
 * @returns the exit code
 */
export async function runCli(args: readonly string[], context: CliContext): Promise<ExitCode> {
  if (args[0] === completeCommand) {
    await complete(args.slice(1), context);
    return exitCodes.ok;
  }
  const end = args.indexOf("--");
  const isDebug = (arg: string, index: number): boolean => arg === "--debug" && (end === -1 || index < end);
  await run(
    applicationFor(args.join(" "), args.some(isDebug)),
    args.filter((arg, index) => !isDebug(arg, index)),
    context,
  );
  return translate(Number(context.process.exitCode ?? 0));
}

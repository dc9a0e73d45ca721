/** `stead gateway`: runs a gateway until it is told to stop. The other commands are processes that a gateway starts. */
import { buildCommand } from "@stricli/core";
import { formatAddress } from "../../config/address.ts";
import { addressesOf } from "../../config/further-listener.ts";
import { loadConfig } from "../../config/load.ts";
import { inheritedDescriptors } from "../../runtime/descriptors.ts";
import { selfCommand } from "../../runtime/self-command.ts";
import { BackgroundTasks } from "../../runtime/background-tasks.ts";
import { systemClock } from "../../runtime/clock.ts";
import type { LogFormat } from "../../runtime/log.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { type LogFormatFlag, logFormatArguments, logFormatFlag } from "./log-format-flag.ts";
import { configFileParameter, requireConfig } from "./config.ts";
import type { CliContext } from "../output/context.ts";
import { versionText } from "../../runtime/program-version.ts";

export const gatewayCommand = buildCommand<LogFormatFlag, [file?: string], CliContext>({
  docs: {
    brief: "Run a gateway: the reverse proxy that sends requests to the primary, and replaces it if it is lost",
    fullDescription: [
      "Reads [gateway] and every [[service]] of the configuration file. Prints one line once it listens, then one line per event.",
      "Rereads the file when it changes and at SIGHUP; an invalid file is refused as a whole and shown in `stead status`.",
      "Stops cleanly at SIGTERM or SIGINT, after the requests in flight.",
      "At SIGUSR2 the binary at the same path takes over without refusing a connection; the process id stays.",
      "",
      "EXAMPLES",
      "  stead gateway",
      "  stead gateway /etc/stead/stead.toml --log-format json",
    ].join("\n"),
  },
  parameters: { flags: { ...logFormatFlag }, positional: { kind: "tuple", parameters: [configFileParameter] } },
  async func({ logFormat }, file) {
    const { config, options } = await prepare(this, file, logFormat);
    const { GatewayProcess: GatewayProcess } = await import("../../gateway/gateway-process.ts");
    const { Keeper } = await import("../../gateway/upgrade/keeper.ts");
    const { clock, log } = options;
    const run = await GatewayProcess.start(options);
    const { id } = config.gateway;
    const keeper = new Keeper({
      run,
      gateway: id,
      listen: addressesText(config.gateway),
      command: [...selfCommand(), "gateway-successor", config.file, ...logFormatArguments(logFormat)],
      clock,
      log,
    });
    this.onReload?.(() => keeper.reload());
    const background = new BackgroundTasks();
    this.onUpgrade?.(() => background.own(keeper.upgrade()));
    const lost = await Promise.race([aborted(this.signal), keeper.lost]);
    if (lost !== undefined)
      throw new OperatorError("unexpected", {
        found: `the process that had taken over is gone: ${lost}`,
        advice: "restart the gateway, and read what that process wrote above",
      });
    log.info("stopping");
    await keeper.stop();
    await background.settled();
  },
});

/** Internal: takes over from a gateway that is being upgraded (src/gateway/upgrade/keeper.ts). */
export const gatewaySuccessorCommand = buildCommand<LogFormatFlag, [file: string], CliContext>({
  docs: { brief: "Take over from a gateway; started by it" },
  parameters: {
    flags: { ...logFormatFlag },
    positional: { kind: "tuple", parameters: [{ brief: "Configuration file", placeholder: "file", parse: String }] },
  },
  async func({ logFormat }, file) {
    const { config, options } = await prepare(this, file, logFormat);
    const { GatewayProcess: GatewayProcess } = await import("../../gateway/gateway-process.ts");
    const { runSuccessor } = await import("../../gateway/upgrade/successor.ts");
    const { log } = options;
    // Only the keeper starts an upgrade: it has the listening socket and the published process id.
    this.onUpgrade?.(() =>
      log.warn(`not upgraded: send SIGUSR2 to process ${process.ppid}, the process that was started as the gateway`),
    );
    await runSuccessor({
      ...{ input: process.stdin, output: process.stdout, log, signal: this.signal },
      ready: { gateway: config.gateway.id, listen: addressesText(config.gateway), version: versionText() },
      start: () =>
        GatewayProcess.start({ ...options, descriptors: inheritedDescriptors(addressesOf(config.gateway).length) }),
      onRun: (run) => this.onReload?.(() => run.reloadNow()),
    });
  },
});

const addressesText = (gateway: Parameters<typeof addressesOf>[0]): string =>
  addressesOf(gateway).map(formatAddress).join(", ");

/** Loads the configuration and what a gateway's process supplies. */
async function prepare(context: CliContext, file: string | undefined, logFormat: LogFormat) {
  const config = requireConfig(context, file);
  const { gateway } = config;
  if (gateway === undefined) {
    throw new OperatorError("configuration", {
      found: `no [gateway] in ${config.file}`,
      accepted: "a file with [gateway] and at least one [[service]]",
      advice: "add it, name another file, or write an example with `stead init`",
    });
  }
  const { systemLog } = await import("../../runtime/log.ts");
  const options = {
    config: gateway,
    clock: systemClock,
    log: systemLog(`gateway ${gateway.id}`, logFormat),
    sqlReader: [...selfCommand(), "sql-reader"] as const,
    worker: [...selfCommand(), "gateway-worker", ...logFormatArguments(logFormat), gateway.id] as const,
    configFile: config.file,
    load: () => loadConfig(config.file, { env: context.process.env, folder: context.cwd }),
  };
  return { config: { ...config, gateway }, options };
}

/** Internal: answers queries on a gateway's database, one per line (src/gateway/state/sql-reader.ts). */
export const sqlReaderCommand = buildCommand<Record<never, never>, [path: string], CliContext>({
  docs: { brief: "Answer queries of a gateway; started by it" },
  parameters: {
    positional: { kind: "tuple", parameters: [{ brief: "Database file", placeholder: "path", parse: String }] },
  },
  async func(_flags, path) {
    const { runSqlReader } = await import("../../gateway/state/sql-reader.ts");
    await runSqlReader(path);
  },
});

/** Internal: serves clients for a gateway (src/gateway/workers/worker.ts). Only the gateway ends it. */
export const gatewayWorkerCommand = buildCommand<LogFormatFlag, [gateway: string, number: string], CliContext>({
  docs: { brief: "Serve clients for a gateway; started by it" },
  parameters: {
    flags: { ...logFormatFlag },
    positional: {
      kind: "tuple",
      parameters: [
        { brief: "The gateway's id", placeholder: "gateway", parse: String },
        { brief: "Which of its workers", placeholder: "number", parse: String },
      ],
    },
  },
  async func({ logFormat }, gateway, number) {
    const { runWorker } = await import("../../gateway/workers/worker.ts");
    const { systemLog } = await import("../../runtime/log.ts");
    const log = systemLog(`gateway ${gateway} worker ${number}`, logFormat);
    await runWorker({
      input: process.stdin,
      output: process.stdout,
      clock: systemClock,
      log,
    });
  },
});

const aborted = (signal: AbortSignal): Promise<undefined> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });

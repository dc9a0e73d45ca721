/** `stead gateway`: runs a gateway until it is told to stop. `stead sql-reader`: the process it starts for queries. */
import { buildCommand } from "@stricli/core";
import { loadConfig } from "../config/load.ts";
import { systemClock } from "../runtime/clock.ts";
import { CliError } from "./cli-error.ts";
import { configFileParameter, requireConfig } from "./config.ts";
import type { CliContext } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";

export const gatewayCommand = buildCommand<Record<never, never>, [file?: string], CliContext>({
  docs: {
    brief: "Run a gateway: the reverse proxy that sends requests to the primary, and replaces it when it is lost",
    fullDescription: [
      "Reads [gateway] and every [[service]] of the configuration file. Prints one line when it listens, then one line per event.",
      "The file is read again when it changes and at SIGHUP: a wrong one is refused whole and shown in `stead status`.",
      "Stops cleanly at SIGTERM or SIGINT: requests in flight are finished first.",
      "",
      "EXAMPLES",
      "  stead gateway",
      "  stead gateway /etc/stead/stead.toml",
    ].join("\n"),
  },
  parameters: { positional: { kind: "tuple", parameters: [configFileParameter] } },
  async func(_flags, file) {
    const config = requireConfig(this, file);
    if (config.gateway === null) {
      throw new CliError(exitCodes.configuration, {
        found: `no [gateway] in ${config.file}`,
        accepted: "a file with [gateway] and at least one [[service]]",
        advice: "add it, name another file, or write an example with `stead init`",
      });
    }
    const { Gateway } = await import("../gateway/gateway.ts");
    const { selfCommand } = await import("../demo/self.ts");
    const { systemLog } = await import("../runtime/log.ts");
    const log = systemLog(`gateway ${config.gateway.id}`);
    const gateway = await Gateway.start(config.gateway, { clock: systemClock, sqlReader: [...selfCommand(), "sql-reader"], worker: [...selfCommand(), "gateway-worker", config.gateway.id], log, configFile: config.file });
    const { ConfigWatch } = await import("../gateway/config-watch.ts");
    const load = () => loadConfig(config.file, { env: this.process.env, folder: this.cwd });
    const watch = await ConfigWatch.start({ file: config.file, load, gateway, clock: systemClock, log });
    this.onReload?.(() => watch.reloadNow());
    log.info(`serving on ${config.gateway.listen.host}:${gateway.port}, administration on ${config.gateway.adminListen.host}:${gateway.adminPort}`);
    await aborted(this.signal);
    log.info("stopping");
    await watch.stop();
    await gateway.stop(config.gateway.drainTimeoutMs);
  },
});

/** Not for people: answers queries on a gateway's database, one per line (src/gateway/state/sql-reader.ts). */
export const sqlReaderCommand = buildCommand<Record<never, never>, [path: string], CliContext>({
  docs: { brief: "Answer queries of a gateway; started by it" },
  parameters: { positional: { kind: "tuple", parameters: [{ brief: "Database file", placeholder: "path", parse: String }] } },
  async func(_flags, path) {
    const { runSqlReader } = await import("../gateway/state/sql-reader.ts");
    await runSqlReader(path);
  },
});

/** Not for people: serves clients for a gateway (src/gateway/workers/worker.ts). The gateway alone says when it ends. */
export const gatewayWorkerCommand = buildCommand<Record<never, never>, [gateway: string, number: string], CliContext>({
  docs: { brief: "Serve clients for a gateway; started by it" },
  parameters: {
    positional: {
      kind: "tuple",
      parameters: [
        { brief: "The gateway's id", placeholder: "gateway", parse: String },
        { brief: "Which of its workers", placeholder: "number", parse: String },
      ],
    },
  },
  async func(_flags, gateway, number) {
    const { listenDescriptor, runWorker } = await import("../gateway/workers/worker.ts");
    const { systemLog } = await import("../runtime/log.ts");
    const log = systemLog(`gateway ${gateway} worker ${number}`);
    await runWorker({ input: process.stdin, output: process.stdout, descriptor: listenDescriptor, clock: systemClock, log });
  },
});

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });

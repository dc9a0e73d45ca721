/** `stead gateway`: runs a gateway until it is told to stop. `stead sql-reader`: a part of it in a process of its own. */
import { buildCommand } from "@stricli/core";
import { formatAddress } from "../config/address.ts";
import { selfCommand } from "../demo/self.ts";
import { systemClock } from "../runtime/clock.ts";
import { systemLog } from "../runtime/log.ts";
import { CliError } from "./cli-error.ts";
import { configFileParameter, requireConfig } from "./config.ts";
import type { CliContext } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";

export const gatewayCommand = buildCommand<Record<never, never>, [file?: string], CliContext>({
  docs: {
    brief: "Run a gateway: send each service's traffic to its primary, and fail over when that is gone",
    fullDescription: [
      "Reads [gateway] and [[service]] of the configuration file. Watches the hosts, orders a failover when a primary is down, holds",
      "requests meanwhile and releases them on the new primary. Keeps routing to the last known primary when it cannot do better.",
      "Stops cleanly at SIGTERM or SIGINT: requests in flight finish first.",
      "",
      "EXAMPLES",
      "  stead gateway",
      "  stead gateway /etc/stead/stead.toml",
    ].join("\n"),
  },
  parameters: { positional: { kind: "tuple", parameters: [configFileParameter] } },
  async func(_flags, file) {
    const { gateway: config, file: path } = requireConfig(this, file);
    if (config === null) {
      throw new CliError(exitCodes.configuration, {
        found: `no [gateway] in ${path}`,
        accepted: "a file with [gateway] and the services that it serves",
        advice: "add it, name another file, or write an example with `stead init --role gateway`",
      });
    }
    const { Gateway } = await import("../gateway/gateway.ts");
    const gateway = await Gateway.start(config, { clock: systemClock, sqlReader: [...selfCommand(), "sql-reader"] });
    const log = systemLog(`gateway ${config.id}`);
    log.info("started", {
      listen: formatAddress({ ...config.listen, port: gateway.port }),
      admin: formatAddress({ ...config.adminListen, port: gateway.adminPort }),
      services: config.services.map((service) => service.name).join(","),
    });
    await aborted(this.signal);
    log.info("stopping", { drainMs: config.drainTimeoutMs });
    await gateway.stop(config.drainTimeoutMs);
  },
});

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Not for people: the gateway starts it for the queries of `stead sql`. */
export const sqlReaderCommand = buildCommand<Record<never, never>, [database: string], CliContext>({
  docs: { brief: "Answer queries on a gateway's database (used by `stead gateway`)" },
  parameters: {
    positional: { kind: "tuple", parameters: [{ brief: "The gateway's database", placeholder: "file", parse: String }] },
  },
  async func(_flags, database) {
    const { runSqlReader } = await import("../gateway/state/sql-reader.ts");
    await runSqlReader(database);
  },
});

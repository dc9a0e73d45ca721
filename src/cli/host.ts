/** `stead host`: runs a host until it is told to stop. */
import { buildCommand } from "@stricli/core";
import { loadConfig } from "../config/load.ts";
import { formatProblems } from "../config/problems.ts";
import type { HostConfig } from "../config/types.ts";
import type { RunningHost } from "../host/run-host.ts";
import { CliError } from "./cli-error.ts";
import { configFileParameter, requireConfig } from "./config.ts";
import type { CliContext } from "./context.ts";
import { exitCodes } from "./exit-codes.ts";

export const hostCommand = buildCommand<Record<never, never>, [file?: string], CliContext>({
  docs: {
    brief: "Run a host: beside the application, as primary or in restore mode",
    fullDescription: [
      "Reads [host] of the configuration file. As secondary it follows the vault's log and is ready to take over; as primary it runs",
      "the application, captures every commit, and releases an answer only when the vault has what it depends on.",
      "The file is read again at SIGHUP: a change that a running host cannot take over is refused whole, and named.",
      "Stops cleanly at SIGTERM, SIGINT or SIGQUIT: a primary finishes requests in flight, stops the application and steps down.",
      "",
      "EXAMPLES",
      "  stead host",
      "  stead host /etc/stead/stead.toml",
    ].join("\n"),
  },
  parameters: { positional: { kind: "tuple", parameters: [configFileParameter] } },
  async func(_flags, file) {
    const config = requireConfig(this, file);
    if (config.host === null) {
      throw new CliError(exitCodes.configuration, {
        found: `no [host] in ${config.file}`,
        accepted: "a file with [host] and [host.application]",
        advice: "add it, name another file, or write an example with `stead init --role host`",
      });
    }
    const { runHost } = await import("../host/run-host.ts");
    const load = (): HostConfig | string => {
      const result = loadConfig(config.file, { env: this.process.env, folder: this.cwd });
      return result.kind === "invalid" ? formatProblems(result.problems) : (result.config.host ?? `${config.file} has no [host] any more`);
    };
    let running: RunningHost | undefined;
    // From the first moment: until the host runs, there is nothing to change, and SIGHUP must not end it.
    this.onReload?.(() => running?.reload(load));
    await runHost(config.host, this.signal, (started) => (running = started));
  },
});

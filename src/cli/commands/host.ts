/** `stead host`: runs a host until it is told to stop. */
import { buildCommand } from "@stricli/core";
import type { CheckDepth } from "../../capture/integrity.ts";
import { loadConfig } from "../../config/load.ts";
import { formatProblems } from "../../config/problems.ts";
import type { HostConfig } from "../../config/types.ts";
import { selfCommand } from "../../runtime/self-command.ts";
import { assertHostPlatform } from "../../host/host-platform.ts";
import type { RunningHost } from "../../host/run-host.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { configFileParameter, requireConfig } from "./config.ts";
import { type LogFormatFlag, logFormatFlag } from "./log-format-flag.ts";
import type { CliContext } from "../output/context.ts";
import { screenOf } from "../output/wrap-text.ts";

interface HostFlags extends LogFormatFlag {
  readonly explain: boolean;
  readonly json: boolean;
  readonly "accept-damaged": boolean;
}

export const hostCommand = buildCommand<HostFlags, [file?: string], CliContext>({
  docs: {
    brief: "Run a host: beside the application, as primary or secondary",
    fullDescription: [
      "Reads [host] of the configuration file. As a secondary it follows the vault's log, ready to take over; as the primary it runs",
      "the application, captures every commit, and releases a response only once the vault has the commits it depends on.",
      "Rereads the file at SIGHUP; a file with a change that a running host cannot apply is refused as a whole, and the change is named.",
      "Stops cleanly at SIGTERM, SIGINT or SIGQUIT: a primary finishes requests in flight, stops the application and steps down.",
      "With --explain it runs nothing, and lists what the data folder has: what fails over as a database or as a file, and what stays on",
      "the machine that wrote it.",
      "",
      "EXAMPLES",
      "  stead host --explain",
      "  stead host",
      "  stead host /etc/stead/stead.toml --log-format json",
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...logFormatFlag,
      explain: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "List what of the data folder fails over, and what does not; run nothing",
      },
      json: { kind: "boolean", default: false, withNegated: false, brief: "Print one JSON object; with --explain" },
      "accept-damaged": {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Initialise an empty vault from this host's databases although SQLite finds them damaged",
      },
    },
    positional: { kind: "tuple", parameters: [configFileParameter] },
  },
  async func(flags, file) {
    const config = requireConfig(this, file);
    if (config.host === undefined) {
      throw new OperatorError("configuration", {
        found: `no [host] in ${config.file}`,
        accepted: "a file with [host] and [host.application]",
        advice: "add it, name another file, or write an example with `stead init --role host`",
      });
    }
    if (flags.explain) return explain(this, config.host, flags.json);
    if (flags.json)
      throw new OperatorError("usage", {
        found: "--json without --explain",
        accepted: "--json together with --explain",
        advice: "for a log in JSON write --log-format json",
      });
    assertHostPlatform("stead host");
    const { runHost } = await import("../../host/run-host.ts");
    const load = (): HostConfig | string => {
      const result = loadConfig(config.file, { env: this.process.env, folder: this.cwd });
      return result.kind === "invalid"
        ? formatProblems(result.problems)
        : (result.config.host ?? `${config.file} no longer has [host]`);
    };
    let running: RunningHost | undefined;
    // Installed at once: until the host runs there is nothing to change, and SIGHUP must not end it.
    this.onReload?.(() => running?.reload(load));
    const options = {
      acceptDamaged: flags["accept-damaged"],
      logFormat: flags.logFormat,
      databaseChecker: [...selfCommand(), "database-checker"] as const,
    };
    await runHost(config.host, options, this.signal, (started) => (running = started));
  },
});

async function explain({ process: { stdout } }: CliContext, host: HostConfig, isJson: boolean): Promise<void> {
  const { describeFolder, explainFolder } = await import("./explain-host.ts");
  const explanation = explainFolder(host);
  stdout.write(isJson ? `${JSON.stringify(explanation)}\n` : describeFolder(explanation, screenOf(stdout.columns)));
}

/** Internal: checks databases for a host, one per line (src/capture/integrity.ts). */
export const databaseCheckerCommand = buildCommand<Record<never, never>, [root: string, depth: CheckDepth], CliContext>(
  {
    docs: { brief: "Check databases of a host; started by it" },
    parameters: {
      positional: {
        kind: "tuple",
        parameters: [
          { brief: "The folder that names are relative to", placeholder: "folder", parse: String },
          { brief: "quick or full", placeholder: "depth", parse: depthOf },
        ],
      },
    },
    async func(_flags, root, depth) {
      const { runIntegrityChecks } = await import("../../capture/integrity.ts");
      await runIntegrityChecks(root, depth);
    },
  },
);

function depthOf(text: string): CheckDepth {
  if (text !== "quick" && text !== "full") throw new Error(`expected quick or full, found ${JSON.stringify(text)}`);
  return text;
}

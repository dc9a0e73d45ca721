/** `stead config diff`: where a configuration file and the running gateway differ, and why. */
import { buildCommand } from "@stricli/core";
import { differences, gatewaySettings, serviceSettings } from "../../config/settings.ts";
import type { Setting } from "../../config/setting-names.ts";
import type { ConfigReport } from "../../control/config-api.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import { configFileParameter, requireConfig } from "./config.ts";
import type { CliContext } from "../output/context.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { connectToGateway, connectionFlags, jsonFlag, requireAnswer } from "./gateway-connection.ts";
import { formatLine, screenOf } from "../output/wrap-text.ts";
import { formatTable } from "../output/table.ts";

interface DiffFlags {
  readonly tokenFile: string | undefined;
  readonly gateway: string | undefined;
  readonly json: boolean;
}

export interface ConfigDifference {
  readonly key: string;
  readonly file: Setting | null;
  readonly running: Setting | null;
  readonly because:
    | "decided at run time"
    | "the file was refused"
    | "not read yet, or read by a gateway with another file";
}

export const configDiffCommand = buildCommand<DiffFlags, [file?: string], CliContext>({
  docs: {
    brief: "Show where a configuration file and the running gateway differ",
    fullDescription: [
      "Changes at run time (`stead hosts add`, `set`, `drain`, `remove`) win over the file; this shows them. It",
      "also shows settings of the file that are not in force, because the gateway refused the file or has not read it yet.",
      "Exits with 0 if there is no difference, with 9 if there is one, with 3 if the file is invalid, with 6 if the gateway",
      "does not answer. Times are milliseconds, sizes bytes.",
      "",
      "EXAMPLES",
      "  stead config diff",
      "  stead config diff /etc/stead/stead.toml --json",
    ].join("\n"),
  },
  parameters: {
    flags: { gateway: connectionFlags.gateway, tokenFile: connectionFlags.tokenFile, ...jsonFlag },
    positional: { kind: "tuple", parameters: [configFileParameter] },
  },
  async func(flags, file) {
    const config = requireConfig(this, file);
    if (config.gateway === undefined)
      throw new OperatorError("configuration", {
        found: `no [gateway] in ${config.file}`,
        accepted: "the file of a gateway",
        advice: "name that file",
      });
    const { client, url } = connectToGateway(this, {
      gateway: flags.gateway,
      tokenFile: flags.tokenFile,
      config: file,
    });
    const report = requireAnswer(await client.config(this.signal), url);
    const found = configDifferences(
      { ...gatewaySettings(config.gateway), ...serviceSettings(config.services) },
      report,
    );
    const { refused } = report.configuration;
    this.process.stdout.write(
      flags.json
        ? `${JSON.stringify({ same: found.length === 0, refused, differences: found })}\n`
        : formatDifferences(found, refused?.why ?? null, this.process.stdout.columns),
    );
    if (found.length > 0) this.exitWith(exitCodes.verdict);
  },
});

export function configDifferences(
  file: Readonly<Record<string, Setting>>,
  report: ConfigReport,
): readonly ConfigDifference[] {
  const atRunTime = new Set(report.decidedAtRunTime);
  const other =
    report.configuration.refused === null
      ? "not read yet, or read by a gateway with another file"
      : "the file was refused";
  return differences(file, report.settings).map(({ key, before, after }) => ({
    key,
    file: before,
    running: after,
    because: atRunTime.has(key) ? "decided at run time" : other,
  }));
}

export function formatDifferences(found: readonly ConfigDifference[], refused: string | null, width?: number): string {
  const head = refused === null ? "" : formatLine(`the gateway refused its file: ${refused}`, screenOf(width));
  if (found.length === 0) return `${head}the file and the gateway agree\n`;
  const cell = (value: Setting | null): string => (value === null ? "-" : String(value));
  const columns = [{ title: "KEY" }, { title: "FILE" }, { title: "RUNNING" }, { title: "BECAUSE" }];
  return (
    head +
    formatTable(
      columns,
      found.map((each) => [each.key, cell(each.file), cell(each.running), each.because]),
      width,
    )
  );
}

/** `stead drill`: takes the primary away on purpose when that is safe, and keeps what clients noticed. */
import { buildCommand, buildRouteMap } from "@stricli/core";
import { durationAccepted, formatDuration, parseDuration } from "../../config/units.ts";
import type { DrillEntry, DrillList } from "../../control/drill-api.ts";
import { drillKinds, type DrillKind, drillMsMax, drillMsMin } from "../../core/failover/drill.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { CliContext } from "../output/context.ts";
import { drillReport } from "../output/drill-report.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { formatTable } from "../output/table.ts";
import {
  connectToGateway,
  connectionFlags,
  jsonFlag,
  requireAnswer,
  serviceFlag,
  type ConnectionFlags,
} from "./gateway-connection.ts";

interface RunFlags extends ConnectionFlags {
  readonly service: string | undefined;
  readonly kind: DrillKind;
  readonly for: number | undefined;
  readonly json: boolean;
}

const drillRunCommand = buildCommand<RunFlags, [], CliContext>({
  docs: {
    brief: "Take the primary away now, and measure how long clients wait (also without `run`)",
    fullDescription: [
      "Does to the real primary what a failure does, and only if the dry run says that it is safe: a host as good could take",
      "over, the vault is well, automation is on, no primary has just been lost, and no other drill runs.",
      "  kill        the host process ends with SIGKILL; refused if no supervisor is known to start it again",
      "  hang        the application is stopped (SIGSTOP), and continues after --for at the latest",
      "  partition   the host answers no gateway and does not reach the vault, until --for is over",
      "  switchover  as `stead switchover`",
      "Exits with 0 if the service was back within service.objective.rto (or has none), with 5 if it was refused, failed or",
      "took longer, with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead drill --kind switchover",
      "  stead drill --kind partition --for 20s --service notes",
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...connectionFlags,
      ...serviceFlag,
      ...jsonFlag,
      kind: { kind: "enum", values: drillKinds, brief: "What happens to the primary" },
      for: {
        kind: "parsed",
        parse: durationOf,
        optional: true,
        placeholder: "duration",
        brief: "How long a hang or partition lasts (default: 15s, at most 60s)",
      },
    },
  },
  async func(flags) {
    const { client, url } = connectToGateway(this, flags);
    const request = {
      kind: flags.kind,
      ...(flags.service === undefined ? {} : { service: flags.service }),
      ...(flags.for === undefined ? {} : { forMs: flags.for }),
    };
    const drill = requireAnswer(await client.drill(request, this.signal), url);
    this.process.stdout.write(flags.json ? `${JSON.stringify(drill)}\n` : `${describeDrill(drill)}\n`);
    if (drill.outcome !== "passed") this.exitWith(exitCodes.refused);
  },
});

interface ListFlags extends ConnectionFlags {
  readonly service: string | undefined;
  readonly json: boolean;
}

async function drillsOf(context: CliContext, flags: ListFlags): Promise<DrillList> {
  const { client, url } = connectToGateway(context, flags);
  const { drills, planned } = requireAnswer(await client.drills(context.signal), url);
  const isMeant = ({ service }: { readonly service: string }): boolean =>
    flags.service === undefined || service === flags.service;
  return { drills: drills.filter(isMeant), planned: planned.filter(isMeant) };
}

const drillListCommand = buildCommand<ListFlags, [], CliContext>({
  docs: {
    brief: "List the newest drills, and the planned ones",
    fullDescription: ["EXAMPLES", "  stead drill list", "  stead drill list --service notes --json"].join("\n"),
  },
  parameters: { flags: { ...connectionFlags, ...serviceFlag, ...jsonFlag } },
  async func(flags) {
    const list = await drillsOf(this, flags);
    this.process.stdout.write(flags.json ? `${JSON.stringify(list)}\n` : describeDrills(list));
  },
});

interface ReportFlags extends ListFlags {
  readonly html: boolean;
}

const drillReportCommand = buildCommand<ReportFlags, [], CliContext>({
  docs: {
    brief: "Write a report of the drills for an auditor",
    fullDescription: [
      "One file that needs nothing else (--html), or JSON: each drill with what was done, by whom, how long clients waited,",
      "how that was measured, what was expected, and the objective.",
      "",
      "EXAMPLES",
      "  stead drill report --html > drills.html",
      "  stead drill report --json",
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...connectionFlags,
      ...serviceFlag,
      ...jsonFlag,
      html: { kind: "boolean", default: false, withNegated: false, brief: "A page for a browser" },
    },
  },
  async func(flags) {
    if (flags.html === flags.json)
      throw new OperatorError("usage", {
        found: flags.html ? "--html and --json" : "neither --html nor --json",
        accepted: "one of them",
        advice: "see `stead drill report --help`",
      });
    const { drills } = await drillsOf(this, flags);
    const now = new Date();
    this.process.stdout.write(
      flags.json ? `${JSON.stringify({ atMs: now.getTime(), drills })}\n` : drillReport(drills, now),
    );
  },
});

export const drillRoutes = buildRouteMap({
  routes: { run: drillRunCommand, list: drillListCommand, report: drillReportCommand },
  defaultCommand: "run",
  docs: { brief: "Rehearse failovers in production, and keep the proof" },
});

function durationOf(text: string): number {
  const result = parseDuration(text);
  if (result.kind === "ok" && result.value >= drillMsMin && result.value <= drillMsMax) return result.value;
  const bounds = `from ${formatDuration(drillMsMin)} to ${formatDuration(drillMsMax)}`;
  throw new Error(`expected ${durationAccepted}, ${bounds}, found ${JSON.stringify(text)}`);
}

const ms = (value: number | null): string => (value === null ? "-" : `${Math.round(value)} ms`);

function describeDrill(drill: DrillEntry): string {
  const measured = drill.measuredBy === null ? "" : `, measured by ${drill.measuredBy}`;
  const lost = drill.rpoMs === null ? "" : `, lost ${ms(drill.rpoMs)} of acknowledged writes`;
  return [
    `${drill.kind} of ${drill.service}: ${drill.outcome}; ${drill.from ?? "none"} -> ${drill.to ?? "none"}`,
    `  ${drill.detail}`,
    `  clients waited ${ms(drill.rtoMs)}${measured}; expected ${ms(drill.predictedMs)}, objective ${ms(drill.objectiveMs)}${lost}`,
  ].join("\n");
}

function describeDrills({ drills, planned }: DrillList): string {
  const next = planned.map(
    ({ service, kind, at, nextAtMs }) =>
      `planned: ${kind} of ${service}, ${at} UTC (service.drill), next ${new Date(nextAtMs).toISOString()}\n`,
  );
  return next.join("") + (drills.length === 0 ? "no drill yet: `stead drill --kind switchover`\n" : table(drills));
}

const table = (drills: readonly DrillEntry[]): string =>
  formatTable(
    ["STARTED", "SERVICE", "KIND", "FROM", "TO", "OUTCOME", "WAITED", "EXPECTED", "OBJECTIVE"].map((title) => ({
      title,
    })),
    [...drills]
      .reverse()
      .map((drill) => [
        new Date(drill.startedAtMs).toISOString(),
        drill.service,
        drill.kind,
        drill.from ?? "-",
        drill.to ?? "-",
        drill.outcome,
        ms(drill.rtoMs),
        ms(drill.predictedMs),
        ms(drill.objectiveMs),
      ]),
  );

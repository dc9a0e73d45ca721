/** `stead drill`: takes the primary away on purpose when that is safe, and keeps what clients noticed. */
import { ordererInWords } from "../../control/orderer.ts";
import { buildCommand, buildRouteMap } from "@stricli/core";
import { durationAccepted, formatDuration, parseDuration } from "../../config/units.ts";
import type { DrillEntry, DrillList, PlannedDrillEntry } from "../../control/drill-api.ts";
import { dueTimePattern } from "../../core/due-time.ts";
import { drillKinds, type DrillKind, drillMsMax, drillMsMin } from "../../core/failover/drill.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { CliContext } from "../output/context.ts";
import { drillReport } from "../output/drill-report.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { formatLines, screenOf } from "../output/wrap-text.ts";
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
  readonly at: string | undefined;
  readonly json: boolean;
}

const drillRunCommand = buildCommand<RunFlags, [], CliContext>({
  docs: {
    brief: "Take the primary away now or at a time, and measure how long clients wait (also without `run`)",
    fullDescription: [
      "Does to the real primary what a failure does, and only if the dry run says that it is safe: a host as good could take",
      "over, the vault is well, automation is on, no primary has just been lost, and no other drill runs.",
      "  kill        the host process ends with SIGKILL; refused if no supervisor is known to start it again",
      "  hang        the application is stopped (SIGSTOP), and continues after --for at the latest",
      "  partition   the host answers no gateway and does not reach the vault, until --for is over",
      "  switchover  as `stead switchover`",
      "Exits with 0 if the service was back within service.objective.rto (or has none), with 5 if it was refused and nothing",
      "was done, with 9 if it failed or took longer, with 6 if the gateway does not answer.",
      "With --at it is planned once, for the next such time in UTC, and any gateway that is alive then runs it, if it is",
      "safe; `stead drill cancel` takes it back. A service has one such order at most.",
      "",
      "EXAMPLES",
      "  stead drill --kind switchover",
      "  stead drill --kind partition --for 20s --service notes",
      '  stead drill --kind switchover --at "Sun 03:00"',
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
      at: {
        kind: "parsed",
        parse: dueTimeOf,
        optional: true,
        placeholder: "time",
        brief: 'The next such time in UTC: "Sun 03:00" or "03:00" (default: now)',
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
    if (flags.at !== undefined) {
      const plan = requireAnswer(await client.planDrill({ ...request, at: flags.at }, this.signal), url);
      this.process.stdout.write(flags.json ? `${JSON.stringify(plan)}\n` : describePlan(plan));
      return;
    }
    const drill = requireAnswer(await client.drill(request, this.signal), url);
    this.process.stdout.write(flags.json ? `${JSON.stringify(drill)}\n` : `${describeDrill(drill)}\n`);
    if (drill.outcome !== "passed") this.exitWith(exitCodes.verdict);
  },
});

interface ListFlags extends ConnectionFlags {
  readonly service: string | undefined;
  readonly json: boolean;
}

async function drillsOf(context: CliContext, flags: ListFlags): Promise<DrillList> {
  const { client, url } = connectToGateway(context, flags);
  const { drills, planned } = requireAnswer(await client.drills(context.signal), url);
  if (flags.service === undefined) return { drills, planned };
  const isMeant = ({ service }: { readonly service: string }): boolean => service === flags.service;
  const meant = { drills: drills.filter(isMeant), planned: planned.filter(isMeant) };
  // The drills of a service that was removed are kept: its name is known by them.
  if (meant.drills.length === 0 && meant.planned.length === 0) {
    const { services } = requireAnswer(await client.cluster(context.signal), url);
    requireService(
      flags.service,
      services.map(({ name }) => name),
    );
  }
  return meant;
}

function requireService(name: string, known: readonly string[]): void {
  if (known.includes(name)) return;
  throw new OperatorError("refused", {
    found: `there is no service "${name}"`,
    accepted: known.join(", "),
    advice: "name one of them",
  });
}

const drillListCommand = buildCommand<ListFlags, [], CliContext>({
  docs: {
    brief: "List the newest drills, and the planned ones",
    fullDescription: ["EXAMPLES", "  stead drill list", "  stead drill list --service notes --json"].join("\n"),
  },
  parameters: { flags: { ...connectionFlags, ...serviceFlag, ...jsonFlag } },
  async func(flags) {
    const list = await drillsOf(this, flags);
    this.process.stdout.write(
      flags.json ? `${JSON.stringify(list)}\n` : describeDrills(list, this.process.stdout.columns),
    );
  },
});

const drillCancelCommand = buildCommand<ListFlags, [], CliContext>({
  docs: {
    brief: "Take back the drill that was ordered with --at",
    fullDescription: [
      "One that service.drill plans is cancelled in the configuration.",
      "",
      "EXAMPLES",
      "  stead drill cancel --service notes",
    ].join("\n"),
  },
  parameters: { flags: { ...connectionFlags, ...serviceFlag, ...jsonFlag } },
  async func(flags) {
    const { client, url } = connectToGateway(this, flags);
    const request = flags.service === undefined ? {} : { service: flags.service };
    const plan = requireAnswer(await client.cancelDrill(request, this.signal), url);
    this.process.stdout.write(
      flags.json ? `${JSON.stringify(plan)}\n` : `cancelled: ${plan.kind} of ${plan.service}, ${plan.at}\n`,
    );
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
  routes: { run: drillRunCommand, list: drillListCommand, cancel: drillCancelCommand, report: drillReportCommand },
  defaultCommand: "run",
  docs: { brief: "Rehearse failovers in production, and keep the proof" },
});

function durationOf(text: string): number {
  const result = parseDuration(text);
  if (result.kind === "ok" && result.value >= drillMsMin && result.value <= drillMsMax) return result.value;
  const bounds = `from ${formatDuration(drillMsMin)} to ${formatDuration(drillMsMax)}`;
  throw new Error(`expected ${durationAccepted}, ${bounds}, found ${JSON.stringify(text)}`);
}

function dueTimeOf(text: string): string {
  if (dueTimePattern.test(text)) return text;
  throw new Error(`expected a time in UTC, for example "Sun 03:00" or "03:00", found ${JSON.stringify(text)}`);
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

function describePlan({ service, kind, at, nextAtMs, orderedBy }: PlannedDrillEntry): string {
  const next = new Date(nextAtMs).toISOString();
  return orderedBy === undefined
    ? `planned: ${kind} of ${service}, ${at} UTC (service.drill), next ${next}\n`
    : `planned: ${kind} of ${service}, once at ${next}, ordered by ${ordererInWords(orderedBy)}\n`;
}

export function describeDrills({ drills, planned }: DrillList, width?: number): string {
  const next = planned.map((plan) => formatLines(describePlan(plan).trimEnd(), screenOf(width)));
  return (
    next.join("") + (drills.length === 0 ? "no drill yet: `stead drill --kind switchover`\n" : table(drills, width))
  );
}

const table = (drills: readonly DrillEntry[], width?: number): string =>
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
    width,
  );

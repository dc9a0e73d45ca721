/** `stead rewind`: goes back to an earlier state of a service for good; says first what would be undone. */
import { buildCommand } from "@stricli/core";
import type { RewindAnswer, RewindMoment, RewindPlan } from "../../control/rewind-api.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { CliContext } from "../output/context.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { roughDuration } from "../output/rough-duration.ts";
import {
  connectToGateway,
  connectionFlags,
  type ConnectionFlags,
  jsonFlag,
  requireAnswer,
  serviceFlag,
} from "./gateway-connection.ts";
import { positionOf, wallTimeOf } from "./moment-flags.ts";

interface RewindFlags extends ConnectionFlags {
  readonly service: string | undefined;
  readonly json: boolean;
  readonly time: number | undefined;
  readonly position: number | undefined;
  readonly yes: boolean;
  readonly dryRun: boolean;
}

const databasesPrinted = 5;

export const rewindCommand = buildCommand<RewindFlags, [], CliContext>({
  docs: {
    brief: "Go back to an earlier state of a service for good",
    fullDescription: [
      "After a deployment or a user destroyed data. The primary restores the state of that moment beside its own while it",
      "serves, and steps down with it; the next primary, and every other host, has it then. Requests wait meanwhile, as in a",
      "switchover. Everything that was committed after that moment is undone, also what was acknowledged.",
      "Nothing is deleted: as long as retention keeps the log (host.checkpoint.window), a rewind to the position that is",
      "printed brings back what was undone.",
      "On a terminal it says what would be undone, and asks. Exits with 0 once the next primary serves, with 5 if it was",
      "refused (the state is as it was) or not confirmed, with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead rewind --time 2026-03-01T14:05:00Z --dry-run",
      "  stead rewind --time 2026-03-01T14:05:00+01:00",
      "  stead rewind --position 4711 --yes --json",
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...connectionFlags,
      ...serviceFlag,
      ...jsonFlag,
      time: {
        kind: "parsed",
        parse: wallTimeOf,
        optional: true,
        placeholder: "time",
        brief: "The state at this time, for example 2026-03-01T14:05:00Z",
      },
      position: {
        kind: "parsed",
        parse: positionOf,
        optional: true,
        placeholder: "number",
        brief: "The state after this record of the log",
      },
      yes: { kind: "boolean", default: false, withNegated: false, brief: "Do it without asking" },
      dryRun: { kind: "boolean", default: false, withNegated: false, brief: "Only say what would be undone" },
    },
  },
  async func(flags) {
    const moment = momentOf(flags);
    const { client, url } = connectToGateway(this, flags);
    const named = flags.service === undefined ? {} : { service: flags.service };
    const print = (text: string): void => void this.process.stdout.write(`${text}\n`);
    const planned = requireAnswer(await client.rewind({ ...named, moment, dryRun: true }, this.signal), url);
    if (!flags.json) print(describePlan(planned));
    const isConfirmed = flags.yes || (!flags.dryRun && !flags.json && (await this.confirm?.(question)) === true);
    if (flags.dryRun || !isConfirmed) {
      print(flags.json ? JSON.stringify(planned) : "Nothing was done.");
      if (!flags.dryRun && !flags.json && this.confirm === undefined) print("Repeat with --yes to do it.");
      return flags.dryRun ? undefined : this.exitWith(exitCodes.refused);
    }
    // The state that was shown, whatever the clock says.
    const { position } = planned.plan.to;
    const order = { ...named, moment: { kind: "position" as const, position } };
    const done = requireAnswer(await client.rewind(order, this.signal), url);
    print(flags.json ? JSON.stringify(done) : describeDone(done));
  },
});

const question = "Undo this? Type yes to go back: ";

function momentOf({ time, position }: Pick<RewindFlags, "time" | "position">): RewindMoment {
  if (time !== undefined && position === undefined) return { kind: "time", wallTimeMs: time };
  if (position !== undefined && time === undefined) return { kind: "position", position };
  throw new OperatorError("usage", {
    found: time === undefined ? "no moment to go back to" : "--time and --position",
    accepted: "one of --time and --position",
    advice: "name the moment before the damage; `stead vault ls --records` shows positions and times",
  });
}

function describePlan({ service, plan }: RewindAnswer): string {
  const { to, end, undone } = plan;
  const databases = undone.databases.slice(0, databasesPrinted).map(({ name, pages }) => `${name} (${pages} pages)`);
  const more = undone.databasesTotal - databases.length;
  const rest = more > 0 ? [`${more} more`] : [];
  const span =
    undone.firstMs === null || undone.lastMs === null ? "" : `, from ${iso(undone.firstMs)} to ${iso(undone.lastMs)}`;
  return [
    `service      ${service}`,
    `back to      position ${to.position}, epoch ${to.epoch}, ${iso(to.wallTimeMs)}`,
    `undone       positions ${to.position + 1} to ${end.position} and what comes until then: ${undone.flushes} flushes, each of one or more transactions, ${undone.bytes} bytes${span}`,
    `databases    ${[...databases, ...rest].join(", ") || "none"}`,
    ...(undone.fileChanges === 0 ? [] : [`files        ${undone.fileChanges} changes`]),
    `kept         ${keptInWords(plan)}`,
  ].join("\n");
}

const keptInWords = ({ end, keptForMs }: RewindPlan): string =>
  keptForMs === 0
    ? `no time is sure (host.checkpoint.window is 0): \`stead vault restore --position ${end.position}\` keeps the state of now`
    : `what is undone can be brought back for ${roughDuration(keptForMs)} at least (host.checkpoint.window)`;

function describeDone({ service, plan, undoneTo, primary, epoch }: RewindAnswer): string {
  return [
    `service ${service}: the state is that of position ${plan.to.position} (${iso(plan.to.wallTimeMs)}); ${primary ?? "no host"} is primary, epoch ${epoch}`,
    `  to bring back what was undone: stead rewind --position ${undoneTo ?? plan.end.position}`,
  ].join("\n");
}

const iso = (wallTimeMs: number): string => new Date(wallTimeMs).toISOString();

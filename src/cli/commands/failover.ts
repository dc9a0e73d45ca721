/** `stead failover`: shows what would happen, or makes it happen. */
import { buildCommand } from "@stricli/core";
import {
  connectToGateway,
  connectionFlags,
  jsonFlag,
  requireAnswer,
  serviceFlag,
  type ConnectionFlags,
} from "./gateway-connection.ts";
import { OperatorError } from "../../runtime/operator-error.ts";
import type { CliContext } from "../output/context.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { paragraph } from "../output/wrap-text.ts";
import { describePlan } from "./dry-run.ts";
import { describeDone, targetOf } from "./switchover.ts";

interface FailoverFlags extends ConnectionFlags {
  readonly service: string | undefined;
  readonly json: boolean;
  readonly dryRun: boolean;
  readonly force: boolean;
}

export const failoverCommand = buildCommand<FailoverFlags, [host?: string], CliContext>({
  docs: {
    brief: "Replace a lost primary now, or show what would happen",
    fullDescription: [
      "Without --force it acts only if the primary is lost (also while automation is paused). With --force it replaces the",
      "primary whatever its state: the log fences the old one, so no acknowledged write is lost with durability strict.",
      "--dry-run changes nothing: it names the host that would take over, and why each other host would not, and how long",
      "clients would wait, by phase, from what earlier failovers of this service took.",
      "Exits with 0 once the new primary serves (--dry-run: if a host could take over), with 5 if it was refused",
      "(--dry-run: if none could), with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead failover --dry-run",
      "  stead failover app2 --force",
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...connectionFlags,
      ...serviceFlag,
      ...jsonFlag,
      dryRun: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Change nothing; show what would happen, and why other hosts are not chosen",
      },
      force: {
        kind: "boolean",
        default: false,
        withNegated: false,
        brief: "Also if the primary seems healthy, or cannot be asked",
      },
    },
    positional: {
      kind: "tuple",
      parameters: [
        { brief: "New primary (default: the best host)", placeholder: "host", parse: String, optional: true },
      ],
    },
  },
  async func(flags, host) {
    const { client, url } = connectToGateway(this, flags);
    if (flags.dryRun && (flags.force || host !== undefined)) {
      throw new OperatorError("usage", {
        found: "--dry-run with --force or a host",
        accepted: "--dry-run alone",
        advice: "see `stead failover --help`",
      });
    }
    if (flags.dryRun) {
      const plan = requireAnswer(await client.dryRun(targetOf(flags.service, undefined), this.signal), url);
      this.process.stdout.write(flags.json ? `${JSON.stringify(plan)}\n` : describePlan(plan));
      if (plan.wouldPromote === null) this.exitWith(exitCodes.refused);
      return;
    }
    const done = requireAnswer(
      await client.failover({ ...targetOf(flags.service, host), force: flags.force }, this.signal),
      url,
    );
    this.process.stdout.write(
      flags.json
        ? `${JSON.stringify(done)}\n`
        : `${describeDone(done)}${done.mayLose === null ? "" : paragraph("may be lost: ", done.mayLose)}`,
    );
  },
});

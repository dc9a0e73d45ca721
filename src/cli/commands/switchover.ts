/** `stead switchover [host]`: moves a healthy primary to another host. */
import { buildCommand } from "@stricli/core";
import type { CommandDone } from "../../control/gateway-api.ts";
import {
  connectToGateway,
  connectionFlags,
  jsonFlag,
  requireAnswer,
  serviceFlag,
  type ConnectionFlags,
} from "./gateway-connection.ts";
import type { CliContext } from "../output/context.ts";
import { exitCodes } from "../output/exit-codes.ts";
import { describePlan } from "./dry-run.ts";
import { phaseInWords } from "../output/phase-words.ts";

interface SwitchoverFlags extends ConnectionFlags {
  readonly service: string | undefined;
  readonly json: boolean;
  readonly dryRun: boolean;
}

export const switchoverCommand = buildCommand<SwitchoverFlags, [host?: string], CliContext>({
  docs: {
    brief: "Move the primary to another host without client errors",
    fullDescription: [
      "The primary finishes the requests in flight and steps down; the named host, or the best one, takes over; requests wait",
      "meanwhile. Exits with 0 once the new primary serves, with 5 if it was refused (nothing changed, or the old",
      "primary continues), with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead switchover",
      "  stead switchover app2 --dry-run",
      "  stead switchover app2 --json",
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
        brief: "Change nothing; show which host would take over, and how long requests would wait",
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
    if (flags.dryRun) {
      const plan = requireAnswer(await client.switchoverDryRun(targetOf(flags.service, host), this.signal), url);
      this.process.stdout.write(flags.json ? `${JSON.stringify(plan)}\n` : describePlan(plan));
      if (plan.wouldPromote === null) this.exitWith(exitCodes.refused);
      return;
    }
    const done = requireAnswer(await client.switchover(targetOf(flags.service, host), this.signal), url);
    this.process.stdout.write(flags.json ? `${JSON.stringify(done)}\n` : describeDone(done));
  },
});

/** Builds a request with only the given parts. */
export const targetOf = (
  service: string | undefined,
  host: string | undefined,
): { service?: string; host?: string } => ({
  ...(service === undefined ? {} : { service }),
  ...(host === undefined ? {} : { host }),
});

export function describeDone(done: CommandDone): string {
  const { failover } = done;
  const head = `service ${done.service}: ${done.primary ?? "no host"} is primary, epoch ${done.epoch}`;
  if (failover === null) return `${head}\n`;
  const phases = Object.entries(failover.phases).flatMap(([phase, ms]) =>
    ms === null ? [] : [`${phaseInWords(phase)} ${ms.toFixed(1)} ms`],
  );
  return `${head}\n  ${failover.kind}: ${phases.join(", ")}\n`;
}

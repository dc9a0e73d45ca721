/** `stead pause` and `stead resume`: turn automation off, for good or for a time, and on; routing continues. */
import { buildCommand } from "@stricli/core";
import { formatDuration } from "../../config/units.ts";
import {
  connectToGateway,
  connectionFlags,
  jsonFlag,
  requireAnswer,
  serviceFlag,
  type ConnectionFlags,
} from "./gateway-connection.ts";
import type { CliContext } from "../output/context.ts";
import { targetOf } from "./switchover.ts";
import { type TermFlags, termFlags, givenTerms } from "./term-flags.ts";

interface ResumeFlags extends ConnectionFlags {
  readonly service: string | undefined;
  readonly json: boolean;
}

export const pauseCommand = buildCommand<TermFlags, [], CliContext>({
  docs: {
    brief: "Turn automatic failover off, for good or for a time",
    fullDescription: [
      "No automatic failover happens until `stead resume`, or until the time of --for is over. Requests still go to the",
      "primary, and `stead failover` works. The pause holds on all gateways and survives their restarts; the end too: each",
      "gateway ends it by itself, although the one that took the order is dead. Another `stead pause` replaces the terms.",
      "Exits with 0 once it is so, with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead pause",
      '  stead pause --for 30m --reason "new switch in rack 4"',
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...connectionFlags,
      ...serviceFlag,
      ...jsonFlag,
      ...termFlags("Automation is on again after this time (1s to 30d; default: not before `stead resume`)"),
    },
  },
  async func(flags) {
    const { client, url } = connectToGateway(this, flags);
    const done = requireAnswer(await client.pause(givenTerms(flags), this.signal), url);
    const span = flags.for === undefined ? "" : ` for ${formatDuration(flags.for)}`;
    const text = `service ${done.service}: automation is paused${span}; routing continues, and \`stead failover\` still works\n`;
    this.process.stdout.write(flags.json ? `${JSON.stringify(done)}\n` : text);
  },
});

export const resumeCommand = buildCommand<ResumeFlags, [], CliContext>({
  docs: {
    brief: "Turn automatic failover on again",
    fullDescription: [
      "A primary that was lost meanwhile is replaced at once. Ends a pause of `stead pause --for` before its time.",
      "Exits with 0 once it is so, with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead resume",
    ].join("\n"),
  },
  parameters: { flags: { ...connectionFlags, ...serviceFlag, ...jsonFlag } },
  async func(flags) {
    const { client, url } = connectToGateway(this, flags);
    const done = requireAnswer(await client.resume(targetOf(flags.service, undefined), this.signal), url);
    this.process.stdout.write(flags.json ? `${JSON.stringify(done)}\n` : `service ${done.service}: automation is on\n`);
  },
});

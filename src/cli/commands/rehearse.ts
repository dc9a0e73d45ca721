/** `stead rehearse HOST`: whether the application would start on a secondary at a failover. */
import { buildCommand } from "@stricli/core";
import type { RehearsalAnswer } from "../../control/gateway-api.ts";
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
import { printable } from "../output/wrap-text.ts";

interface RehearseFlags extends ConnectionFlags {
  readonly service: string | undefined;
  readonly json: boolean;
}

export const rehearseCommand = buildCommand<RehearseFlags, [host: string], CliContext>({
  docs: {
    brief: "Start the application on a secondary, on a copy of its databases, and stop it again",
    fullDescription: [
      "Finds what would fail at the first failover to that host: a missing file, another version of a library, a taken port. Clients do",
      "not notice, nothing is journaled, and nothing of it remains. The application sees STEAD_REHEARSAL=1. A failover does not wait",
      "for it. Rehearse on every secondary after each deployment.",
      "Exits with 0 if the application got ready and stayed ready, with 8 if it did not, with 5 if there was no rehearsal (the host is",
      "not a secondary, no space, a failover came), with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead rehearse app2",
    ].join("\n"),
  },
  parameters: {
    flags: { ...connectionFlags, ...serviceFlag, ...jsonFlag },
    positional: {
      kind: "tuple",
      parameters: [{ brief: "Host to rehearse on, a secondary", placeholder: "host", parse: String }],
    },
  },
  async func(flags, host) {
    const { client, url } = connectToGateway(this, flags);
    const answer = requireAnswer(
      await client.rehearse({ host, ...(flags.service === undefined ? {} : { service: flags.service }) }, this.signal),
      url,
    );
    this.process.stdout.write(flags.json ? `${JSON.stringify(answer)}\n` : describeRehearsal(answer));
    if (!answer.ok) this.exitWith(exitCodes.application);
  },
});

export function describeRehearsal({
  service,
  host,
  ok,
  position,
  copyMs,
  startMs,
  stopMs,
  detail,
}: RehearsalAnswer): string {
  const times = [
    `copy ${copyMs.toFixed(0)}`,
    ...(startMs === null ? [] : [`start ${startMs.toFixed(0)}`]),
    ...(stopMs === null ? [] : [`stop ${stopMs.toFixed(0)}`]),
  ];
  const head = `service ${service}: rehearsal on ${host} ${ok ? "went well" : "FAILED"} (at position ${position}; ${times.join(", ")} ms)\n`;
  return (
    head +
    (detail ?? "")
      .split("\n")
      .map((line) => (line === "" ? "" : `  ${printable(line)}\n`))
      .join("")
  );
}

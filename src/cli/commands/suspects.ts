/** `stead suspects clear [service]`: forwards requests again that were set aside. */
import { buildCommand } from "@stricli/core";
import {
  connectToGateway,
  connectionFlags,
  jsonFlag,
  requireAnswer,
  type ConnectionFlags,
} from "./gateway-connection.ts";
import type { CliContext } from "../output/context.ts";

interface SuspectsFlags extends ConnectionFlags {
  readonly json: boolean;
}

export const suspectsClearCommand = buildCommand<SuspectsFlags, [service?: string], CliContext>({
  docs: {
    brief: "Forward requests again that were set aside because they ended the application",
    fullDescription: [
      "A request whose method and path were in the application at two of its ends gets 503 suspect_request for a while (`stead status`",
      "shows them). This forgets them on every host of the service, for example after the application was fixed. Exits with 0 once",
      "the primary has forgotten them, with 5 if it could not be asked, with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead suspects clear",
      "  stead suspects clear notes",
    ].join("\n"),
  },
  parameters: {
    flags: { ...connectionFlags, ...jsonFlag },
    positional: {
      kind: "tuple",
      parameters: [{ brief: "Service (default: the only one)", placeholder: "service", parse: String, optional: true }],
    },
  },
  async func(flags, service) {
    const { client, url } = connectToGateway(this, flags);
    const done = requireAnswer(await client.clearSuspects(service === undefined ? {} : { service }, this.signal), url);
    this.process.stdout.write(
      flags.json
        ? `${JSON.stringify(done)}\n`
        : `service ${done.service}: nothing is set aside any more, on ${done.hosts.join(", ")}\n`,
    );
  },
});

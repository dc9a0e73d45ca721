/** `stead maintenance on|off`: answers every request of a service with the maintenance page, on purpose. */
import { buildCommand, buildRouteMap } from "@stricli/core";
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

interface OffFlags extends ConnectionFlags {
  readonly service: string | undefined;
  readonly json: boolean;
}

const onCommand = buildCommand<TermFlags, [], CliContext>({
  docs: {
    brief: "Answer every request with the maintenance page, for good or for a time",
    fullDescription: [
      "Requests in progress finish; those that wait for a primary, and all new ones, get status 503 with Retry-After and the",
      "page of `service.maintenance` (or a built-in one), as HTML or JSON. None reaches the application. It holds on all",
      "gateways, survives their restarts, and with --for ends by itself.",
      "Automation is not paused by it: hosts that you stop are replaced unless you `stead pause` too.",
      "Exits with 0 once it is so, with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead maintenance on",
      '  stead maintenance on --for 30m --reason "schema migration"',
    ].join("\n"),
  },
  parameters: {
    flags: {
      ...connectionFlags,
      ...serviceFlag,
      ...jsonFlag,
      ...termFlags("It is over after this time (1s to 30d; default: not before `stead maintenance off`)"),
    },
  },
  async func(flags) {
    const { client, url } = connectToGateway(this, flags);
    const done = requireAnswer(await client.maintenance({ ...givenTerms(flags), on: true }, this.signal), url);
    const span = flags.for === undefined ? "" : ` for ${formatDuration(flags.for)}`;
    this.process.stdout.write(
      flags.json
        ? `${JSON.stringify(done)}\n`
        : `service ${done.service}: in maintenance${span}; every request gets the maintenance page\n`,
    );
  },
});

const offCommand = buildCommand<OffFlags, [], CliContext>({
  docs: {
    brief: "Send requests to the primary again",
    fullDescription: [
      "Exits with 0 once it is so, with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead maintenance off",
    ].join("\n"),
  },
  parameters: { flags: { ...connectionFlags, ...serviceFlag, ...jsonFlag } },
  async func(flags) {
    const { client, url } = connectToGateway(this, flags);
    const request = { ...targetOf(flags.service, undefined), on: false };
    const done = requireAnswer(await client.maintenance(request, this.signal), url);
    this.process.stdout.write(
      flags.json ? `${JSON.stringify(done)}\n` : `service ${done.service}: requests go to the primary again\n`,
    );
  },
});

export const maintenanceRoutes = buildRouteMap({
  routes: { on: onCommand, off: offCommand },
  docs: { brief: "Answer every request with the maintenance page, on purpose" },
});

/** `stead liveness`: whether a gateway's process answers, for supervisors and for images that have no curl. */
import { buildCommand } from "@stricli/core";
import type { CliContext } from "../output/context.ts";
import { connectToGateway, connectionFlags, requireAnswer, tlsOf, type ConnectionFlags } from "./gateway-connection.ts";
import { GatewayClient } from "../../control/gateway-client.ts";
import { systemClock } from "../../runtime/clock.ts";

export const livenessCommand = buildCommand<ConnectionFlags, [], CliContext>({
  docs: {
    brief: "Ask whether a gateway's process answers",
    fullDescription: [
      "Calls /liveness, which is well also while requests wait for a primary: a supervisor that restarts the gateway then",
      "would end the requests that it holds. Prints nothing. Exits with 0 if it answers, with 6 if it does not.",
      "",
      "EXAMPLES",
      "  stead liveness",
      "  stead liveness --config /etc/stead/stead.toml",
    ].join("\n"),
  },
  parameters: { flags: { ...connectionFlags } },
  async func(flags) {
    const { url, config } = connectToGateway(this, flags);
    // The answer takes no credentials and proves nothing, so neither the secret nor a token is sent.
    const caller = { token: "none", tls: tlsOf(config?.cluster) };
    requireAnswer(await new GatewayClient(url, caller, systemClock).liveness(this.signal), url);
  },
});

/** `stead liveness`: whether a gateway's process answers, for supervisors and for images that have no curl. */
import { buildCommand } from "@stricli/core";
import type { CliContext } from "../output/context.ts";
import { connectToGateway, connectionFlags, requireAnswer, type ConnectionFlags } from "./gateway-connection.ts";

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
    const { client, url } = connectToGateway(this, flags);
    requireAnswer(await client.liveness(this.signal), url);
  },
});

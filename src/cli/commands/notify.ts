/** `stead notify test [NAME]`: has a gateway tell its targets that it is a test. */
import { buildCommand } from "@stricli/core";
import { OperatorError } from "../../runtime/operator-error.ts";
import {
  connectToGateway,
  connectionFlags,
  jsonFlag,
  requireAnswer,
  type ConnectionFlags,
} from "./gateway-connection.ts";
import type { CliContext } from "../output/context.ts";

interface NotifyFlags extends ConnectionFlags {
  readonly json: boolean;
}

export const notifyTestCommand = buildCommand<NotifyFlags, [target?: string], CliContext>({
  docs: {
    brief: "Have the gateway send a test to those it tells what happens",
    fullDescription: [
      "Sends one test to a target of [[notify]], or to all, in one attempt and whatever its filter says. Ask each gateway: each sends",
      "from its own machine. Exits with 0 once all were told, with 9 if one was not, with 6 if the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead notify test",
      "  stead notify test pager --gateway http://10.0.0.2:7700",
    ].join("\n"),
  },
  parameters: {
    flags: { ...connectionFlags, ...jsonFlag },
    positional: {
      kind: "tuple",
      parameters: [
        { brief: "Target (default: all of the gateway)", placeholder: "target", parse: String, optional: true },
      ],
    },
  },
  async func(flags, target) {
    const { client, url } = connectToGateway(this, flags);
    const answer = requireAnswer(await client.notifyTest({ target: target ?? null }, this.signal), url);
    const lines = answer.results.map(({ target: name, failure }) => `${name}: ${failure ?? "told"}\n`);
    this.process.stdout.write(flags.json ? `${JSON.stringify(answer)}\n` : lines.join(""));
    const failed = answer.results.filter(({ failure }) => failure !== null);
    if (failed.length > 0)
      throw new OperatorError("verdict", {
        found: `gateway ${answer.gateway} could not tell ${failed.map(({ target: name }) => name).join(", ")}`,
        advice: "correct the target in [[notify]], and look at what the receiver says",
      });
  },
});

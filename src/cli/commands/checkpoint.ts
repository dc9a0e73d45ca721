/** `stead checkpoint [host]`: asks a host, usually the primary, for a checkpoint now. */
import { buildCommand } from "@stricli/core";
import {
  connectToGateway,
  connectionFlags,
  jsonFlag,
  requireAnswer,
  serviceFlag,
  type ConnectionFlags,
} from "./gateway-connection.ts";
import type { CliContext } from "../output/context.ts";
import { ProgressOutput } from "../output/progress-output.ts";
import { systemClock } from "../../runtime/clock.ts";
import { watchCheckpoint } from "./watch-checkpoint.ts";
import { targetOf } from "./switchover.ts";

interface CheckpointFlags extends ConnectionFlags {
  readonly service: string | undefined;
  readonly json: boolean;
}

export const checkpointCommand = buildCommand<CheckpointFlags, [host?: string], CliContext>({
  docs: {
    brief: "Make a checkpoint now",
    fullDescription: [
      "Writers are not stopped. Says on standard error how far it is: every few seconds, on a terminal in one line, with --json",
      "as JSON lines. Exits with 0 once the checkpoint is complete and verified, with 5 if it was refused, with 6 if",
      "the gateway does not answer.",
      "",
      "EXAMPLES",
      "  stead checkpoint",
    ].join("\n"),
  },
  parameters: {
    flags: { ...connectionFlags, ...serviceFlag, ...jsonFlag },
    positional: {
      kind: "tuple",
      parameters: [{ brief: "Host to ask (default: the primary)", placeholder: "host", parse: String, optional: true }],
    },
  },
  async func(flags, host) {
    const { client, url } = connectToGateway(this, flags);
    const over = new AbortController();
    const output = new ProgressOutput({ stream: this.process.stderr, isJson: flags.json, clock: systemClock });
    const watching = watchCheckpoint({
      ...{ target: targetOf(flags.service, host), output, clock: systemClock },
      ...{ signal: AbortSignal.any([this.signal, over.signal]), ask: (signal) => client.cluster(signal) },
    });
    const answer = await client.checkpoint(targetOf(flags.service, host), this.signal).finally(async () => {
      over.abort();
      await watching;
      output.close();
    });
    const done = requireAnswer(answer, url);
    const text = `service ${done.service}: checkpoint at position ${done.position} by ${done.host}, ${done.chunksWritten} chunks written, ${done.chunksReused} reused, ${done.ms.toFixed(0)} ms\n`;
    this.process.stdout.write(flags.json ? `${JSON.stringify(done)}\n` : text);
  },
});

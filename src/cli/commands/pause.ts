/** `stead pause` and `stead resume`: turn automation off and on; routing continues. */
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
import { targetOf } from "./switchover.ts";

interface PauseFlags extends ConnectionFlags {
  readonly service: string | undefined;
  readonly json: boolean;
}

const command = (kind: "pause" | "resume", brief: string, explanation: string) =>
  buildCommand<PauseFlags, [], CliContext>({
    docs: {
      brief,
      fullDescription: `${explanation}\nExits with 0 once it is so, with 6 if the gateway does not answer.\n\nEXAMPLES\n  stead ${kind}`,
    },
    parameters: { flags: { ...connectionFlags, ...serviceFlag, ...jsonFlag } },
    async func(flags) {
      const { client, url } = connectToGateway(this, flags);
      const request = targetOf(flags.service, undefined);
      const done = requireAnswer(
        await (kind === "pause" ? client.pause(request, this.signal) : client.resume(request, this.signal)),
        url,
      );
      const text =
        kind === "pause"
          ? "automation is paused; routing continues, and `stead failover` still works"
          : "automation is on";
      this.process.stdout.write(flags.json ? `${JSON.stringify(done)}\n` : `service ${done.service}: ${text}\n`);
    },
  });

export const pauseCommand = command(
  "pause",
  "Turn automatic failover off",
  "No automatic failover happens until `stead resume`. Requests still go to the primary. The pause survives a restart of the gateway.",
);
export const resumeCommand = command(
  "resume",
  "Turn automatic failover on again",
  "A primary that was lost meanwhile is replaced at once.",
);

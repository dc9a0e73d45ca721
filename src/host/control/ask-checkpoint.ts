/**
 * Asks another host through its control API for a checkpoint: the primary of a log that this host cannot follow any
 * further. The address comes from the vault: only the host that is meant executes the call, and only its answer counts.
 */
import type { ChannelClient } from "../../control/channel/client.ts";
import { hostParty } from "../../control/channel/transcript.ts";
import { defaultHostClientLimits, HostClient } from "../../control/host-client.ts";
import { describeRefusal } from "../../core/refusal.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { AskForCheckpoint } from "../secondary/log-mending.ts";

export function askForCheckpoint(channel: ChannelClient, service: string, clock: Clock): AskForCheckpoint {
  return async ({ controlUrl, host: id }, signal) => {
    const host = hostParty(service, id);
    const client = new HostClient(controlUrl, channel, clock, defaultHostClientLimits, { host });
    const answer = await client.checkpoint(signal);
    signal.throwIfAborted();
    switch (answer.kind) {
      case "ok":
        return undefined;
      case "refused-by-host":
        return describeRefusal(answer.refusal);
      default:
        return answer.message;
    }
  };
}

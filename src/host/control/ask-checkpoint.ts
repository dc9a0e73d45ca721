/**
 * Asks another host through its control API for a checkpoint: the primary of a log that this host cannot follow any
 * further.
 */
import { HostClient } from "../../control/host-client.ts";
import { describeRefusal } from "../../core/refusal.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { AskForCheckpoint } from "../secondary/log-mending.ts";

export function askForCheckpoint(secret: string, clock: Clock): AskForCheckpoint {
  return async ({ controlUrl }, signal) => {
    const answer = await new HostClient(controlUrl, secret, clock).checkpoint(signal);
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

/**
 * Queries the process of the former primary (R5): a proof that it is gone saves the wait for its lease.
 *
 * - Refused connection: no process listens at its control address (runtime/tcp/refusal.ts tells this from a connection
 *   that this process could not make). The gate lives in that process, so no byte leaves.
 * - Another run of the same host answers: it has the address now, so the earlier run has ended. The answer counts only
 *   if it is authenticated, as that host's: the address comes from the vault, and who wrote it there is not known. For
 *   the same reason nothing is sent to it but a call of the channel, which is of no use elsewhere.
 * - The same instance says that it follows, restores or failed: it shut its gate before it said so, and it can only
 *   open it again with a new claim. Anything else, a time-out above all, proves nothing. Nor does an address that does
 *   not lead to that host: another host answers there (this one, when `advertise_control` was copied from its
 *   configuration), or it is a loopback address, which leads to this machine, and is believed only when this host's own
 *   is one as well: then all of them are on one machine. A network that answers with a reset in the name of a living
 *   host would defeat this; only reads within one lease are at stake, writes are fenced by the log
 *   (docs/ARCHITECTURE.md).
 */
import { defaultHostClientLimits, HostClient } from "../../control/host-client.ts";
import type { ChannelClient } from "../../control/channel/client.ts";
import { hostParty } from "../../control/channel/transcript.ts";
import { isBaseUrl } from "../../core/base-url.ts";
import type { HostRole, HostStatus } from "../../control/host-status.ts";
import type { Clock } from "../../runtime/clock.ts";
import type { PredecessorProbe, PredecessorWord } from "../ports/ports.ts";

const goneRoles: readonly HostRole[] = ["restoring", "secondary", "failed"];
const answerMsMax = 400;

export interface PredecessorOptions {
  readonly channel: ChannelClient;
  readonly clock: Clock;
  readonly service: string;
  /** This host's own control address. */
  readonly ownControlUrl: string;
}

export function predecessorProbe({ channel, clock, service, ownControlUrl }: PredecessorOptions): PredecessorProbe {
  return {
    ask: async (predecessor, signal): Promise<PredecessorWord> => {
      const { controlUrl } = predecessor;
      if (!isBaseUrl(controlUrl)) return { kind: "unknown" };
      if (isLoopback(controlUrl) && !isLoopback(ownControlUrl)) return { kind: "unknown" };
      const host = hostParty(service, predecessor.host);
      const client = new HostClient(controlUrl, channel, clock, defaultHostClientLimits, { host });
      const answer = await client.status(answerMsMax, signal);
      if (answer.kind === "refused") return { kind: "gone" };
      return answer.kind === "ok" ? judge(answer.value, predecessor) : { kind: "unknown" };
    },
  };
}

const isLoopback = (url: string): boolean => /^(localhost|127\.|\[::1\])/.test(new URL(url).hostname);

function judge(
  status: HostStatus,
  { host, instance }: { readonly host: string; readonly instance: string },
): PredecessorWord {
  if (status.host !== host) return { kind: "unknown" };
  if (status.instance !== instance) return { kind: "gone" };
  return goneRoles.includes(status.role) ? { kind: "stepped-down" } : { kind: "unknown" };
}

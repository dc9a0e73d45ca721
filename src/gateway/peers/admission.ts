/**
 * Which messages this gateway accepts: not its own, not those of a second process with an id in use, not those of a
 * gateway that was removed and has not joined again.
 */
import type { PeerMessage, PeerRefusal } from "../../control/peer-api.ts";
import type { RowReplica } from "../../core/replication/replication.ts";
import { silentMs, type InstanceWatch } from "./instance-watch.ts";
import type { Member } from "./membership.ts";

export interface AdmissionQuestion {
  readonly self: Member;
  readonly from: PeerMessage["from"];
  readonly replica: RowReplica;
  readonly watch: InstanceWatch;
  readonly now: number;
}

/** Returns undefined if the sender is accepted, and records it. */
export function refusalOf({ self, from, replica, watch, now }: AdmissionQuestion): PeerRefusal | undefined {
  if (from.origin === replica.origin)
    return {
      reason: "self",
      error: "this is the asking gateway itself",
      advice: "remove its own address from gateway.peers",
    };
  if (from.id === self.id) {
    const error = `another process calls itself gateway ${self.id}, at ${from.adminUrl}; this one is at ${self.adminUrl}`;
    return { reason: "duplicate-id", error, advice: "give each gateway its own id ([gateway] id)" };
  }
  const removal = replica.get("gateways", from.id);
  if (removal?.deleted === true && (from.registered ?? "") < removal.hlc) {
    return {
      reason: "removed",
      error: `gateway ${from.id} was removed`,
      advice: "stop it, or restart it to rejoin",
      stamp: removal.hlc,
    };
  }
  const verdict = watch.hear(from.id, from.origin, now);
  if (verdict.kind === "ok") return undefined;
  const error = `another process with the gateway id ${from.id} was heard ${verdict.heardMsAgo} ms ago`;
  return {
    reason: "duplicate-id",
    error,
    advice: `give each gateway its own id; after a restart this passes within ${silentMs} ms`,
  };
}

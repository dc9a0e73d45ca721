/** Builds the messages to a peer, and reads a message's vector. */
import { peerFormat, type PeerMessage } from "../../control/peer-api.ts";
import type { RowReplica } from "../../core/replication/replication.ts";
import type { ReplicatedRow } from "../../core/replication/row.ts";
import type { VersionVector } from "../../core/replication/version-vector.ts";
import { ownTables } from "./known-tables.ts";
import type { Member } from "./membership.ts";
import { encodeRows } from "./wire.ts";

export interface RowPart {
  readonly vector: VersionVector | undefined;
  readonly known: number;
  readonly push: { readonly since: number; readonly upTo: number } | undefined;
  readonly after: NonNullable<PeerMessage["after"]> | undefined;
  readonly next: number | undefined;
  readonly rows: readonly ReplicatedRow[];
}

export function composeMessage(
  self: Member,
  replica: RowReplica,
  part: RowPart,
  views: PeerMessage["views"],
  leaving: boolean,
): PeerMessage {
  return {
    format: peerFormat,
    from: {
      id: self.id,
      origin: replica.origin,
      adminUrl: self.adminUrl,
      registered: replica.get("gateways", self.id)?.hlc ?? null,
      leaving,
    },
    vector: part.vector === undefined ? null : Object.fromEntries(part.vector),
    known: part.known,
    push: part.push === undefined ? null : { since: part.push.since, upTo: part.push.upTo },
    after: part.after ?? null,
    next: part.next ?? null,
    knows: ownTables,
    ...encodeRows(part.rows),
    views,
  };
}

export const vectorOf = (message: PeerMessage): VersionVector | undefined =>
  message.vector === null ? undefined : new Map(Object.entries(message.vector));

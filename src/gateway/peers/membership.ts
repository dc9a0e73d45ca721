/**
 * The gateways of the cluster: the shared table `gateways`, this one, and those of the file that were not met yet.
 *
 * A gateway that was given peers and has not met any would otherwise be a majority of one, and could depose a healthy
 * primary alone. Peers of the file therefore count by their addresses until another gateway is known.
 */
import type { RowReplica } from "../../core/replication/replication.ts";
import { fromValues } from "../state/replication-tables.ts";
import type { gateways } from "../state/schema.ts";

export interface Member {
  readonly id: string;
  readonly adminUrl: string;
}

/** Returns registered and removed gateways, without this one. */
export function others(replica: RowReplica, self: string): { readonly members: Member[]; readonly removed: Member[] } {
  const rows = [...replica.rowsOf("gateways")]
    .map((row) => fromValues<typeof gateways.$inferSelect>(row))
    .filter(({ id }) => id !== self);
  return { members: rows.filter(({ deleted }) => !deleted), removed: rows.filter(({ deleted }) => deleted) };
}

export interface Membership {
  /** Addresses to talk to, with the id if known. */
  readonly links: ReadonlyMap<string, string | undefined>;
  /** Ids that count for a majority; an address where the id is unknown. */
  readonly registered: readonly string[];
}

export interface MembershipQuestion {
  readonly self: Member;
  readonly seeds: readonly string[];
  readonly replica: RowReplica;
  /** Ids that answered at addresses of the file. */
  readonly met: ReadonlyMap<string, string>;
}

export function membershipOf({ self, seeds, replica, met }: MembershipQuestion): Membership {
  const { members, removed } = others(replica, self.id);
  const links = new Map<string, string | undefined>(members.map(({ id, adminUrl }) => [adminUrl, id]));
  const gone = new Set(removed.map(({ adminUrl }) => adminUrl));
  const known = new Set([self.id, ...members.map(({ id }) => id)]);
  const unmet: string[] = [];
  for (const url of seeds) {
    if (url === self.adminUrl || links.has(url) || gone.has(url)) continue;
    const id = met.get(url);
    if (id !== undefined && known.has(id)) continue; // another address of a known peer
    links.set(url, id);
    if (id !== self.id) unmet.push(id ?? url);
  }
  links.delete(self.adminUrl);
  const registered = members.length > 0 ? known : new Set([...known, ...unmet]);
  return { links, registered: [...registered].sort() };
}

/**
 * The gateways of the cluster: the shared table `gateways`, this one, and those of the file that were not met yet.
 *
 * A gateway that was given peers and has not met any would otherwise be a majority of one, and could depose a healthy
 * primary alone. Peers of the file therefore count by their addresses until another gateway was met.
 *
 * A row of `gateways` is a claim of the peer that sent it. It counts for a majority only once this gateway has *met*
 * the one that it names: one of them has called the other with the cluster's secret, under that id, and was accepted
 * (admission.ts). Rows of gateways that do not exist therefore raise no majority, however many there are. Why that
 * makes no majority too small:
 * - A gateway that was met counts until it is removed, dead or not, also after restarts: the store keeps its id, and
 *   writes it no later than that gateway's own rows (state/store.ts `meet`). Only an operator's removal lowers the
 *   number.
 * - One that was never met, in either direction, has told this gateway no view of any primary, so it can neither have
 *   been counted on nor overrule. The rows of a real one arrive from a third gateway, which was met; this gateway calls
 *   it when they arrive, and counts it with the first exchange. Until then a majority of those met may be a minority of
 *   all. That costs availability at most (PROTOCOL.md, majority): the log decides between two primaries.
 * - Until one was met, the file's peers count.
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
  /** Ids in the registry that do not count, because they were never met. */
  readonly unproven: readonly string[];
}

export interface MembershipQuestion {
  readonly self: Member;
  readonly seeds: readonly string[];
  readonly replica: RowReplica;
  /** Ids that answered at addresses, in this run. */
  readonly answered: ReadonlyMap<string, string>;
  /** Ids of gateways that were met, in this run or an earlier one. */
  readonly met: ReadonlySet<string>;
}

export function membershipOf({ self, seeds, replica, answered, met }: MembershipQuestion): Membership {
  const { members, removed } = others(replica, self.id);
  const links = new Map<string, string | undefined>(members.map(({ id, adminUrl }) => [adminUrl, id]));
  const gone = new Set(removed.map(({ adminUrl }) => adminUrl));
  const known = new Set([self.id, ...members.map(({ id }) => id)]);
  const ofFile: string[] = [];
  for (const url of seeds) {
    if (url === self.adminUrl || gone.has(url)) continue;
    const id = links.get(url) ?? answered.get(url);
    if (id !== self.id) ofFile.push(id ?? url);
    if (id !== undefined && known.has(id)) continue; // known, by this or by another address
    links.set(url, id);
  }
  links.delete(self.adminUrl);
  const proven = members.filter(({ id }) => met.has(id)).map(({ id }) => id);
  const registered = new Set([self.id, ...(proven.length > 0 ? proven : ofFile)]);
  const unproven = members.map(({ id }) => id).filter((id) => !registered.has(id));
  return { links, registered: [...registered].sort(), unproven: unproven.sort() };
}

/**
 * Which epochs count: what a report or a peer says about an epoch, beside what the hosts say that read the log
 * (docs/PROTOCOL.md, "epoch-proof").
 *
 * Epochs only rise, so the highest one wins; a number that no claim will ever reach would therefore stop every gateway
 * for good. Only the log proves an epoch, and only hosts read the log:
 *
 * - A *host's* word counts. One that leaps (more than `epochJumpMax` beyond what is known) counts only while no other
 *   host that reads the log contradicts it.
 * - A *peer's* word is hearsay: it never replaces a primary that this gateway sees serving, never leaps, and is not
 *   passed on or stored.
 * - What this gateway *remembers* from before its start never leaps either, and waits for a host to confirm it. Hosts
 *   that have read less do not disprove it: they may have an older copy of the vault, or a new one, and nothing is
 *   routed to them until an operator orders a failover, or starts the gateways without their databases.
 * - What else is not proved and then contradicted by a host that reads the log is given up after `proofMs`, in favour
 *   of what that host has read. A host that claims at an epoch below it disproves it at once: it has read the log to
 *   its end (R1).
 *
 * None of this can lose a write or make two primaries: a gateway that believes too little orders a promotion that the
 * log refuses (`epoch_taken`). How one would try to break it: two hosts that lie together, or, with one other host, a
 * stale copy of the vault that is more than `epochJumpMax` claims old. The event names both hosts, and `stead failover
 * HOST --force` decides.
 *
 * Attacked in test/security/C1-epochs.test.ts: "is not believed of a host that another host contradicts". Attacked by
 * the mutant epoch-proof.
 */
import type { HostReport, HostView, Primary, ServiceState, Unproven } from "./state.ts";

/** Who says it. Hearsay: another gateway. Memory: what this gateway stored, when a host had proved it. */
export type EpochSource = { readonly kind: "host"; readonly host: string } | { readonly kind: "hearsay" | "memory" };

/** Claims that a gateway may have missed: a service that fails over without end waits longer each time ("brake"). */
export const epochJumpMax = 64;
/** A gateway that knows nothing yet takes a higher one for a leap: a claim a minute for two years. */
const firstEpochMax = 1_000_000;
/** Records that a primary may be ahead of everything that its followers were heard to have read. */
const positionJumpMax = 1_000_000;
/** In units of `awaitMs`: how long a reader may take to read a claim that is there. */
const proofWaits = 3;

type Facts = Pick<ServiceState, "hosts" | "settings" | "heard">;

export const proofEndsAt = ({ primary, settings }: ServiceState): number =>
  primary?.unproven === undefined ? -Infinity : primary.adoptedAt + proofWaits * settings.awaitMs;

/** Returns the last reports of hosts that read the service's log now. */
export function readersOfLog({ hosts, settings, heard }: Facts, now: number): HostReport[] {
  return [...hosts.values()].flatMap((view) => (reads(view, { settings, heard }, now) ? (view.report ?? []) : []));
}

function reads(
  { health, report, reportAt }: HostView,
  { settings, heard }: Omit<Facts, "hosts">,
  now: number,
): boolean {
  if (report === undefined || health.kind !== "up" || now - reportAt > settings.staleMs) return false;
  if (report.service !== settings.service || report.role === "restoring" || report.role === "failed") return false;
  const vault = report.vault?.id;
  const isForeign = vault !== undefined && heard?.vault !== undefined && vault !== heard.vault;
  return (
    !isForeign &&
    report.vaultSilentMs !== undefined &&
    report.vaultSilentMs <= Math.max(settings.staleMs, report.leaseMs)
  );
}

export type Judgement =
  | { readonly kind: "counts"; readonly unproven: Unproven | undefined }
  /** `why`: undefined if it is no news, only not counted. */
  | { readonly kind: "refused"; readonly why: string | undefined };

/** Judges an epoch that is higher than the known one. `isServing`: the known primary is seen serving. */
export function judgeEpoch(
  state: ServiceState,
  { host, epoch }: { readonly host: string; readonly epoch: number },
  source: EpochSource,
  now: number,
  isServing: boolean,
): Judgement {
  const others = readersOfLog(state, now).filter((report) => source.kind !== "host" || report.host !== source.host);
  const highest = others.toSorted((a, b) => b.epoch - a.epoch)[0];
  const leaps = epoch > leapsAbove(state, source, highest);
  const contradiction =
    highest === undefined
      ? `no other host that reads the log says so`
      : `${highest.host}, which reads the log, says ${highest.epoch}`;
  const speaker = source.kind === "host" ? source.host : source.kind === "memory" ? "its database" : "another gateway";
  const why = `${speaker} says that epoch ${epoch} is of ${host}; ${contradiction}`;
  if (source.kind !== "host") {
    const isProven = state.primary !== undefined && state.primary.unproven === undefined;
    if (isServing && isProven) return { kind: "refused", why: leaps ? why : undefined };
    if (state.disproved !== undefined && epoch >= state.disproved) return { kind: "refused", why: undefined };
    return leaps ? { kind: "refused", why } : { kind: "counts", unproven: { kind: source.kind } };
  }
  if (!leaps) return { kind: "counts", unproven: undefined };
  if (highest !== undefined && highest.epoch < epoch - epochJumpMax) return { kind: "refused", why };
  return { kind: "counts", unproven: highest === undefined ? { kind: "leap", by: source.host } : undefined };
}

function leapsAbove({ primary }: ServiceState, source: EpochSource, highest: HostReport | undefined): number {
  const known = [primary?.epoch, highest?.epoch].filter((epoch) => epoch !== undefined);
  if (known.length === 0) return firstEpochMax;
  // A host is compared with what was known of it, since the only other reader may be far behind.
  if (source.kind === "host" && primary !== undefined && primary.unproven === undefined)
    return primary.epoch + epochJumpMax;
  return Math.max(...known) + epochJumpMax;
}

/** What becomes of an epoch that is not proved: it stays so, a second host confirms it, or readers contradict it. */
export type Review =
  | { readonly kind: "open" }
  | { readonly kind: "confirmed" }
  | { readonly kind: "disproved"; readonly by: HostReport; readonly owner: string };

export function reviewEpoch(state: ServiceState, primary: Primary, now: number): Review {
  const { unproven } = primary;
  if (unproven === undefined) return { kind: "open" };
  const readers = readersOfLog(state, now).filter(({ host }) => unproven.kind !== "leap" || host !== unproven.by);
  const margin = unproven.kind === "leap" ? epochJumpMax : 0;
  if (readers.some(({ epoch }) => epoch >= primary.epoch - margin)) return { kind: "confirmed" };
  if (unproven.kind === "memory") return { kind: "open" };
  const by = readers.toSorted((a, b) => b.epoch - a.epoch)[0];
  if (by?.epochHost === undefined || now < proofEndsAt(state)) return { kind: "open" };
  return { kind: "disproved", by, owner: by.epochHost };
}

/** False for a position that no follower could ever reach: a candidate would be refused for good (`other_log`). */
export function isPlausiblePosition({ hosts }: ServiceState, position: number, source: EpochSource): boolean {
  const others = [...hosts.values()].flatMap(({ id, report }) =>
    report === undefined || (source.kind === "host" && id === source.host) ? [] : report.position,
  );
  return others.length === 0 || position <= Math.max(...others) + positionJumpMax;
}

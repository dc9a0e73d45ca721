/**
 * Which hosts may become primary, which is best, and why each other host is not.
 *
 * Failover, switchover and dry run share this judgement, so the announcement is what would happen.
 *
 * **Freshness comes before priority**, but that must not mean "the highest position wins": among hosts that follow one
 * log, the one that looked last is ahead by a record, so priority would never count; and being behind costs nothing,
 * because a claim first reads the log to its end (R1). The danger is choosing a host on *another* log: a stale copy of
 * the vault, with the same identity, which the host reads to its end without finding anything wrong. The question is
 * therefore not how far a host is behind but whether it still follows: a follower of the service's log has by now read
 * what was in it `lagMsMax` ago. The log moves by itself (a primary renews its lease with a record, idle or not), so a
 * copy falls behind that point within `lagMsMax` of being cut off. The primary and the other hosts that read its epoch
 * tell what was in the log then (`positionDue`).
 *
 * - *well*: has read what was there `lagMsMax` ago. By priority, then position, then id.
 * - *behind*: has not, but makes progress: a restart, a slow disk, a huge transaction. It can take over, but takes
 *   longer.
 * - *impaired*: can take over, but would be a bad primary (its disk, its descriptors).
 * - *last resort*: became primary and could not stay. Chosen only if no other host is available and its pause is over.
 * - *stale*: behind, without progress for `lagMsMax`. It reads another log, or its vault does not answer. It is not
 *   asked while any host of another standing exists, even one whose pause is not over. If it is asked, the order names
 *   the position heard of the primary, and it refuses (core/host/witness.ts): that protects the records. The ranking
 *   avoids the request, and protects hosts whose version does not check the position.
 *
 * How one would break it: a vault that stops answering one healthy secondary makes it stale, rightly, since it cannot
 * claim. If the vault stops answering all, all are stale together, and are ranked among themselves as before. If the
 * gateway was started after the primary's death and heard no host before, the hosts are compared with the one that is
 * furthest.
 *
 * Attacked in test/core/failover/candidate.test.ts: "is any that makes progress before one whose vault does not
 * answer".
 */
import { downInWords } from "./health.ts";
import type { HostReport, HostView } from "./state.ts";

/** Best first. */
export const standings = ["well", "behind", "impaired", "last-resort", "stale"] as const;
export type Standing = (typeof standings)[number];

export interface Candidate {
  readonly host: string;
  readonly standing: Standing;
  readonly priority: number;
  readonly position: number;
  /** The reservation against it, in words; undefined: none. */
  readonly but: string | undefined;
}

/** Each reason once, with all hosts that it keeps from taking over; empty: there are none. */
export function rejectionsInWords(rejected: readonly Rejected[]): string {
  const hostsByReason = new Map<string, string[]>();
  for (const { host, why } of rejected) hostsByReason.set(why, [...(hostsByReason.get(why) ?? []), host]);
  return [...hostsByReason].map(([why, hosts]) => `${hosts.join(", ")}: ${why}`).join("; ");
}

export interface Rejected {
  readonly host: string;
  readonly why: string;
}

export interface Ranking {
  /** Best first. */
  readonly eligible: readonly Candidate[];
  /** Hosts of last resort whose pause is not over; afterwards they are in `eligible`. They are in `rejected` too. */
  readonly pending: readonly { readonly host: string; readonly dueAt: number }[];
  readonly rejected: readonly Rejected[];
}

export interface CandidateQuestion {
  readonly service: string;
  readonly hosts: Iterable<HostView>;
  /** Hosts that already failed or refused in this failover, with the reason. */
  readonly tried: ReadonlyMap<string, string>;
  /** The preferred host, whatever its priority (the target of a switchover). */
  readonly target: string | undefined;
  /** An operator forces it: a pause before the next try is ignored. */
  readonly force: boolean;
  /** Position that every follower of the service's log has read by now; 0: unknown. */
  readonly positionDue: number;
  /** Identity of the service's vault; undefined: unknown. */
  readonly vault: string | undefined;
  readonly now: number;
  /** An older report is not trusted. */
  readonly staleMs: number;
}

/**
 * A follower has by now read what was in the log this long ago: polls, reports and their delivery take a fraction of
 * it.
 */
export const lagMsMax = 2_000;
/**
 * A host that is behind and made no progress for this many leases reads another log: a primary writes twice per lease.
 */
const stillLeases = 2;
/** A vault that has not answered a host for this long, and for some leases, accepts no claim from it. */
const vaultSilenceMsMax = 3_000;
const vaultSilenceLeasesMax = 3;

export function rankCandidates(question: CandidateQuestion): Ranking {
  const candidates: Candidate[] = [];
  const rejected: Rejected[] = [];
  const pending: { readonly host: string; readonly dueAt: number }[] = [];
  for (const view of question.hosts) {
    const why = whyNot(view, question);
    const dueAt = why === undefined && !question.force ? retryAt(view) : -Infinity;
    if (dueAt > question.now) pending.push({ host: view.id, dueAt });
    if (why !== undefined) rejected.push({ host: view.id, why });
    else if (dueAt > question.now) rejected.push({ host: view.id, why: retryInWords(view, question.now) });
    else candidates.push(candidateOf(view, question));
  }
  const eligible = pending.length === 0 ? candidates : candidates.filter(({ standing }) => standing !== "stale");
  for (const { host, standing, but } of candidates) {
    if (pending.length > 0 && standing === "stale")
      rejected.push({ host, why: `${but ?? "stale"}; others that have the records may soon be available` });
  }
  eligible.sort((a, b) => compareCandidates(a, b, question.target));
  rejected.sort((a, b) => compareText(a.host, b.host));
  return { eligible, pending, rejected };
}

/** The registry's value wins over the host's own. */
export const effectivePriority = (view: HostView): number => view.priority ?? view.report?.priority ?? 0;
export const effectiveNofailover = (view: HostView): boolean => view.nofailover ?? view.report?.nofailover ?? false;

/** Returns when a host that could not stay primary may be asked again; -Infinity: at any time. */
export const retryAt = ({ report, reportAt }: HostView): number =>
  report === undefined || report.retry === undefined || report.retry.inMs <= 0
    ? -Infinity
    : reportAt + report.retry.inMs;

function retryInWords({ report, reportAt }: HostView, now: number): string {
  const retry = report?.retry;
  if (retry === undefined) return "";
  return `it could not stay primary (${retry.reason}), and is asked again in ${Math.ceil(Math.max(0, reportAt + retry.inMs - now) / 1_000)} s`;
}

function whyNot(view: HostView, question: CandidateQuestion): string | undefined {
  const tried = question.tried.get(view.id);
  if (tried !== undefined) return `tried already: ${tried}`;
  if (view.health.kind === "down") return downInWords(view.health.cause);
  const report = view.report;
  if (report === undefined || view.health.kind === "unknown") return "not heard yet";
  if (report.service !== question.service) return `it belongs to the service "${report.service}"`;
  if (effectiveNofailover(view)) return "nofailover is set";
  if (report.role !== "secondary")
    return report.reason === undefined ? `its role is ${report.role}` : `its role is ${report.role}: ${report.reason}`;
  const ageMs = question.now - view.reportAt;
  if (ageMs > question.staleMs) return `not heard for ${Math.round(ageMs)} ms`;
  return whyNotItsVault(report, question);
}

/** A host that cannot write its vault cannot claim: waiting for it is pointless. */
function whyNotItsVault(report: HostReport, { vault }: CandidateQuestion): string | undefined {
  if (vault !== undefined && report.vault !== undefined && report.vault.id !== undefined && report.vault.id !== vault) {
    return `its vault is ${report.vault.id}, and that of the service ${vault}: look at the mount and at \`vault\` in [host]`;
  }
  return vaultImpairment(report);
}

/** Returns why this host cannot write its vault, by its own report; undefined: no reason known. */
export function vaultImpairment({ vault, impairments, vaultSilentMs, leaseMs }: HostReport): string | undefined {
  const error = vault?.writeError ?? impairments.find(({ kind }) => kind === "vault")?.reason;
  if (error !== undefined) return `it cannot write its vault: ${error}`;
  const silentMsMax = Math.max(vaultSilenceMsMax, vaultSilenceLeasesMax * leaseMs);
  if (vaultSilentMs !== undefined && vaultSilentMs > silentMsMax)
    return `its vault has not answered it for ${Math.round(vaultSilentMs / 1_000)} s`;
  return undefined;
}

function candidateOf(view: HostView, question: CandidateQuestion): Candidate {
  const position = view.report?.position ?? 0;
  return { host: view.id, priority: effectivePriority(view), position, ...standingOf(view, position, question) };
}

function standingOf(
  view: HostView,
  position: number,
  { positionDue, now }: CandidateQuestion,
): Pick<Candidate, "standing" | "but"> {
  const isBehind = position < positionDue;
  const words = `at position ${position}, and the log was at ${positionDue} more than ${lagMsMax / 1_000} s ago`;
  if (isBehind && stoodStillMs(view, now) >= Math.max(lagMsMax, stillLeases * (view.report?.leaseMs ?? 0)))
    return { standing: "stale", but: `it makes no progress: ${words}` };
  const retry = view.report?.retry;
  if (retry !== undefined) return { standing: "last-resort", but: `it could not stay primary: ${retry.reason}` };
  const impairment = view.report?.impairments[0];
  if (impairment !== undefined) return { standing: "impaired", but: `${impairment.kind}: ${impairment.reason}` };
  return isBehind ? { standing: "behind", but: words } : { standing: "well", but: undefined };
}

/** Returns how long its position has not changed. */
const stoodStillMs = ({ trail }: HostView, now: number): number => (trail === undefined ? 0 : now - trail.highest.at);

function compareCandidates(a: Candidate, b: Candidate, target: string | undefined): number {
  const byTarget = Number(b.host === target) - Number(a.host === target);
  const byStanding = standings.indexOf(a.standing) - standings.indexOf(b.standing);
  if (byTarget !== 0 || byStanding !== 0) return byTarget || byStanding;
  const isLagging = a.standing === "behind" || a.standing === "stale";
  const byPosition = b.position - a.position;
  const byPriority = b.priority - a.priority;
  return (isLagging ? byPosition || byPriority : byPriority || byPosition) || compareText(a.host, b.host);
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

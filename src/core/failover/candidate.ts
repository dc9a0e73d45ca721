/**
 * Who may become primary, who is best, and why each other host is not.
 *
 * The same judgement serves the failover, the switchover and the dry run, so that what is announced is what would
 * happen.
 *
 * **Position and freshness come before priority**, and that must not mean "the highest position wins": among hosts that
 * follow one log the one that looked last is ahead by a record, priority would never count, and being behind costs
 * nothing, because a claim reads the log to its end first (R1). What must not happen is that a host on *another* log is
 * chosen: a stale copy of the vault, with the same identity. It reads its own log to the end and finds nothing wrong.
 * So the question is not how far a host is behind but whether it still follows: a follower of the service's log has by
 * now read what was there `lagMsMax` ago. The log moves by itself (a primary renews its lease with a record, idle or
 * not), so a copy is behind that within `lagMsMax` of being cut off, however small it is. What was there is known from
 * the primary and from the other hosts that read its epoch (`positionDue`).
 *
 * - *well*: has read what was there `lagMsMax` ago. By priority, then position, then id.
 * - *behind*: has not, and moves: a restart, a slow disk, a huge transaction. It can take over and takes longer.
 * - *impaired*: can take over and is about to be no good primary (its disk, its descriptors).
 * - *last resort*: became primary and could not stay. Taken when no other is there, not before its time has come.
 * - *stale*: behind, and did not move for `lagMsMax`. It reads another log, or its vault does not answer. It is not
 *   asked while any host of the other standings is there, also one whose time has yet to come. Asked, it is named the
 *   position that the primary was heard at, and refuses (core/host/witness.ts): that is what protects the records. The
 *   ranking protects from asking, and those hosts whose software does not look at the position.
 *
 * How one would break it: a vault that stops answering one well secondary makes it stale, rightly: it cannot claim. All
 * at once stop: all are stale together, and are ranked among themselves as before. The gateway was started after the
 * primary's death and heard no host: the hosts are held against the one that is furthest.
 */
import type { HostReport, HostView } from "./state.ts";

/** Best first. */
export const standings = ["well", "behind", "impaired", "last-resort", "stale"] as const;
export type Standing = (typeof standings)[number];

export interface Candidate {
  readonly host: string;
  readonly standing: Standing;
  readonly priority: number;
  readonly position: number;
  /** What speaks against it, in words; null: nothing. */
  readonly but: string | null;
}

export interface Rejected {
  readonly host: string;
  readonly why: string;
}

export interface Ranking {
  /** Best first. */
  readonly eligible: readonly Candidate[];
  /**
   * Hosts of the last resort whose time has yet to come: when it does, `eligible` has them. They stand in `rejected`
   * too.
   */
  readonly pending: readonly { readonly host: string; readonly dueAt: number }[];
  readonly rejected: readonly Rejected[];
}

export interface CandidateQuestion {
  readonly service: string;
  readonly hosts: Iterable<HostView>;
  /** Hosts that failed or refused in this failover already, with the reason. */
  readonly tried: ReadonlyMap<string, string>;
  /** A host that is to be preferred whatever its priority (the target of a switchover). */
  readonly target: string | null;
  /** An operator forces it: the time of its next try is not waited for. */
  readonly force: boolean;
  /** Position that every follower of the service's log has read by now; 0: not known. */
  readonly positionDue: number;
  /** Identity of the service's vault; null: not known. */
  readonly vault: string | null;
  readonly now: number;
  /** A report older than this is not believed. */
  readonly staleMs: number;
}

/** A follower has read by now what was in the log so long ago: polls, reports and their way take a fraction of it. */
export const lagMsMax = 2_000;
/** A host that is behind and stood still for so many leases reads another log: a primary writes twice in each. */
const stillLeases = 2;
/** A vault that has not answered a host for so long, and for some leases, takes no claim of it. */
const vaultSilenceMsMax = 3_000;
const vaultSilenceLeasesMax = 3;

export function rankCandidates(question: CandidateQuestion): Ranking {
  const candidates: Candidate[] = [];
  const rejected: Rejected[] = [];
  const pending: { readonly host: string; readonly dueAt: number }[] = [];
  for (const view of question.hosts) {
    const why = whyNot(view, question);
    const dueAt = why === null && !question.force ? retryAt(view) : -Infinity;
    if (dueAt > question.now) pending.push({ host: view.id, dueAt });
    if (why !== null) rejected.push({ host: view.id, why });
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

/** What stands in the registry wins over what the host says about itself. */
export const effectivePriority = (view: HostView): number => view.priority ?? view.report?.priority ?? 0;
export const effectiveNofailover = (view: HostView): boolean => view.nofailover ?? view.report?.nofailover ?? false;

/** When a host that could not stay primary may be asked again; -Infinity: it may be at any time. */
export const retryAt = ({ report, reportAt }: HostView): number =>
  report === null || report.retry === null || report.retry.inMs <= 0 ? -Infinity : reportAt + report.retry.inMs;

function retryInWords({ report, reportAt }: HostView, now: number): string {
  const retry = report?.retry ?? null;
  if (retry === null) return "";
  return `it could not stay primary (${retry.reason}), and is asked again in ${Math.ceil(Math.max(0, reportAt + retry.inMs - now) / 1_000)} s`;
}

function whyNot(view: HostView, question: CandidateQuestion): string | null {
  const tried = question.tried.get(view.id);
  if (tried !== undefined) return `tried already: ${tried}`;
  if (view.health.kind === "down") return `down: ${view.health.cause}`;
  const report = view.report;
  if (report === null || view.health.kind === "unknown") return "not heard yet";
  if (report.service !== question.service) return `it belongs to the service "${report.service}"`;
  if (effectiveNofailover(view)) return "nofailover is set";
  if (report.role !== "secondary")
    return report.reason === null ? `its role is ${report.role}` : `its role is ${report.role}: ${report.reason}`;
  const ageMs = question.now - view.reportAt;
  if (ageMs > question.staleMs) return `not heard for ${Math.round(ageMs)} ms`;
  return whyNotItsVault(report, question);
}

/** A host that cannot write its vault cannot claim: it would only be waited for. */
function whyNotItsVault(report: HostReport, { vault }: CandidateQuestion): string | null {
  if (vault !== null && report.vault !== null && report.vault.id !== null && report.vault.id !== vault) {
    return `its vault is ${report.vault.id}, and that of the service ${vault}: look at the mount and at \`vault\` in [host]`;
  }
  return vaultTrouble(report);
}

/** Why this host cannot write its vault, as it says itself; null: nothing speaks against it. */
export function vaultTrouble({ vault, impairments, vaultSilentMs, leaseMs }: HostReport): string | null {
  const error = vault?.writeError ?? impairments.find(({ kind }) => kind === "vault")?.reason ?? null;
  if (error !== null) return `it cannot write its vault: ${error}`;
  const silentMsMax = Math.max(vaultSilenceMsMax, vaultSilenceLeasesMax * leaseMs);
  if (vaultSilentMs !== null && vaultSilentMs > silentMsMax)
    return `its vault has not answered it for ${Math.round(vaultSilentMs / 1_000)} s`;
  return null;
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
  const retry = view.report?.retry ?? null;
  if (retry !== null) return { standing: "last-resort", but: `it could not stay primary: ${retry.reason}` };
  const impairment = view.report?.impairments[0];
  if (impairment !== undefined) return { standing: "impaired", but: `${impairment.kind}: ${impairment.reason}` };
  return isBehind ? { standing: "behind", but: words } : { standing: "well", but: null };
}

/** How long its position has been what it is. */
const stoodStillMs = ({ trail }: HostView, now: number): number => (trail === null ? 0 : now - trail.highest.at);

function compareCandidates(a: Candidate, b: Candidate, target: string | null): number {
  const byTarget = Number(b.host === target) - Number(a.host === target);
  const byStanding = standings.indexOf(a.standing) - standings.indexOf(b.standing);
  if (byTarget !== 0 || byStanding !== 0) return byTarget || byStanding;
  const isLagging = a.standing === "behind" || a.standing === "stale";
  const byPosition = b.position - a.position;
  const byPriority = b.priority - a.priority;
  return (isLagging ? byPosition || byPriority : byPriority || byPosition) || compareText(a.host, b.host);
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

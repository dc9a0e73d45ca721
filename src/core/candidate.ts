/**
 * Who may become primary, who is best, and why each other host is not: eligible, then priority, then least behind, then id.
 *
 * The same judgement serves the failover, the switchover and the dry run, so that what is announced is what would happen.
 */
import type { HostView } from "./failover-state.ts";

export interface Candidate {
  readonly host: string;
  readonly priority: number;
  readonly position: number;
}

export interface Rejected {
  readonly host: string;
  readonly why: string;
}

export interface Ranking {
  /** Best first. */
  readonly eligible: readonly Candidate[];
  readonly rejected: readonly Rejected[];
}

export interface CandidateQuestion {
  readonly service: string;
  readonly hosts: Iterable<HostView>;
  /** Hosts that failed or refused in this failover already, with the reason. */
  readonly tried: ReadonlyMap<string, string>;
  /** A host that is to be preferred whatever its priority (the target of a switchover). */
  readonly target: string | null;
  readonly now: number;
  /** A report older than this is not believed. */
  readonly staleMs: number;
}

export function rankCandidates(question: CandidateQuestion): Ranking {
  const eligible: Candidate[] = [];
  const rejected: Rejected[] = [];
  for (const view of question.hosts) {
    const why = whyNot(view, question);
    if (why !== null) rejected.push({ host: view.id, why });
    else eligible.push({ host: view.id, priority: effectivePriority(view), position: view.report?.position ?? 0 });
  }
  eligible.sort((a, b) => compareCandidates(a, b, question.target));
  rejected.sort((a, b) => compareText(a.host, b.host));
  return { eligible, rejected };
}

/** What stands in the registry wins over what the host says about itself. */
export const effectivePriority = (view: HostView): number => view.priority ?? view.report?.priority ?? 0;
export const effectiveNofailover = (view: HostView): boolean => view.nofailover ?? view.report?.nofailover ?? false;

function whyNot(view: HostView, question: CandidateQuestion): string | null {
  const tried = question.tried.get(view.id);
  if (tried !== undefined) return `tried already: ${tried}`;
  if (view.health.kind === "down") return `down: ${view.health.cause}`;
  const report = view.report;
  if (report === null || view.health.kind === "unknown") return "not heard of yet";
  if (report.service !== question.service) return `it is a host of the service "${report.service}"`;
  if (effectiveNofailover(view)) return "nofailover is set";
  if (report.role !== "secondary") return report.reason === null ? `its role is ${report.role}` : `its role is ${report.role}: ${report.reason}`;
  const ageMs = question.now - view.reportAt;
  if (ageMs > question.staleMs) return `not heard for ${Math.round(ageMs)} ms`;
  return null;
}

function compareCandidates(a: Candidate, b: Candidate, target: string | null): number {
  const byTarget = Number(b.host === target) - Number(a.host === target);
  return byTarget || b.priority - a.priority || b.position - a.position || compareText(a.host, b.host);
}

const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/**
 * How long each step of a promotion may take before the candidate is given up. Giving up is safe whatever the candidate
 * does later: the log decides (R1). A claim that it still makes is either the highest epoch, then it is adopted, or it
 * was overtaken.
 *
 * What counts is progress, not age: reading the log before a claim may take as long as it reads on, and an application
 * that is being started is bounded by the host's own ready timeout, which a gateway does not know.
 */
import type { FailoverSettings, HostReport, Progress, PromotionStep } from "./state.ts";

const following: Readonly<Record<PromotionStep, PromotionStep>> = {
  claim: "catch-up",
  "catch-up": "start",
  start: "lease",
  lease: "ready",
  ready: "ready",
};
/** A lease that is waited for is over after one of them and a margin. */
const leasesMax = 3;
/** A host that says that its application starts: longer than any ready timeout that is meant. */
const startToldMsMax = 10 * 60_000;
/** A host that does not tell what its application does may have any ready timeout. */
const startUntoldMsMax = 120_000;

export const begunAt = (now: number, report: HostReport | null): Progress => ({
  step: "claim",
  at: now,
  position: report?.position ?? 0,
  application: applicationOf(report),
});

/** The candidate says that a step has ended. */
export function stepEnded(progress: Progress, name: string, now: number): Progress {
  if (!Object.hasOwn(following, name)) return progress;
  return { ...progress, step: following[name as PromotionStep], at: now };
}

/** What the candidate's status says. `claimed`: it owns a later epoch than the one that it was to follow. */
export function progressed(progress: Progress, report: HostReport, claimed: boolean, now: number): Progress {
  const { position } = report;
  const application = applicationOf(report);
  if (progress.step === "claim" && claimed) return { step: "start", at: now, position, application };
  const reads = progress.step === "claim" && position > progress.position;
  const moves = reads || application !== progress.application;
  return moves ? { ...progress, at: now, position, application } : progress;
}

const applicationOf = (report: HostReport | null): string =>
  report === null || report.application === null ? "" : `${report.application.state} ${report.application.restarts}`;

export function budgetMs(
  { step }: Pick<Progress, "step">,
  report: HostReport | null,
  { claimMs, startMs }: FailoverSettings,
): number {
  switch (step) {
    case "claim":
    case "ready":
      return claimMs;
    case "lease":
      return claimMs + leasesMax * (report?.leaseMs ?? 0);
    case "catch-up":
      return startMs;
    case "start": {
      const application = report?.application ?? null;
      if (application === null) return Math.max(startMs, startUntoldMsMax);
      return application.state === "starting" || application.state === "restarting"
        ? Math.max(startMs, startToldMsMax)
        : startMs;
    }
  }
}

export function stepInWords(step: PromotionStep): string {
  switch (step) {
    case "claim":
      return "claim the next epoch";
    case "catch-up":
      return "open its databases";
    case "start":
      return "start its application";
    case "lease":
      return "wait out the old lease";
    case "ready":
      return "begin to serve";
  }
}

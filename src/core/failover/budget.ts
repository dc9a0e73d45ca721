/**
 * How long each step of a promotion may take before the candidate is given up. Giving up is safe whatever the candidate
 * does later, because the log decides (R1): a claim that it still makes either is the highest epoch and is adopted, or
 * was overtaken.
 *
 * Progress counts, not age: reading the log before a claim may take as long as reading advances, and the start of an
 * application is bounded by the host's own ready timeout, which a gateway does not know.
 */
import type { HostReport, Progress, PromotionStep } from "./state.ts";
import type { FailoverSettings } from "./settings.ts";

const following: Readonly<Record<PromotionStep, PromotionStep>> = {
  claim: "catch-up",
  "catch-up": "start",
  start: "lease",
  lease: "ready",
  ready: "ready",
};
/** A lease that is waited for is over after one lease and a margin. */
const leasesMax = 3;
/** For a host that reports that its application starts: longer than any sensible ready timeout. */
const startToldMsMax = 10 * 60_000;
/** For a host that does not report its application's state: it may have any ready timeout. */
const startUntoldMsMax = 120_000;

export const begunAt = (now: number, report: HostReport | undefined): Progress => ({
  step: "claim",
  at: now,
  position: report?.position ?? 0,
  application: applicationOf(report),
});

/** Records that the candidate has finished a step. */
export function stepEnded(progress: Progress, name: string, now: number): Progress {
  if (!Object.hasOwn(following, name)) return progress;
  return { ...progress, step: following[name as PromotionStep], at: now };
}

/** Records progress in the candidate's status. `claimed`: it owns an epoch later than the one it was to follow. */
export function progressed(progress: Progress, report: HostReport, claimed: boolean, now: number): Progress {
  const { position } = report;
  const application = applicationOf(report);
  if (progress.step === "claim" && claimed) return { step: "start", at: now, position, application };
  const reads = progress.step === "claim" && position > progress.position;
  const moves = reads || application !== progress.application;
  return moves ? { ...progress, at: now, position, application } : progress;
}

const applicationOf = (report: HostReport | undefined): string =>
  report === undefined || report.application === undefined
    ? ""
    : `${report.application.state} ${report.application.restarts}`;

export function budgetMs(
  { step }: Pick<Progress, "step">,
  report: HostReport | undefined,
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
      const application = report?.application;
      if (application === undefined) return Math.max(startMs, startUntoldMsMax);
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

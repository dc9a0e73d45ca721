/** The answer of a dry run in words: who would take over, why no other, and how long clients would wait. */
import type { DryRunAnswer } from "../../control/failover-api.ts";
import { phaseInWords } from "../output/phase-words.ts";
import { paragraph } from "../output/wrap-text.ts";

export function describePlan(plan: DryRunAnswer): string {
  const { wouldPromote, order, but, whyNot, obstacles } = plan;
  const then = order.length > 1 ? `, then ${order.slice(1).join(", ")}` : "";
  return [
    `service ${plan.service}: ${plan.phase}, ${plan.phase === "down" ? "last primary" : "primary"} ${plan.primary ?? "none"}, epoch ${plan.epoch}\n`,
    wouldPromote === null ? "no host could take over\n" : `would promote: ${wouldPromote}${then}\n`,
    ...but.map(({ host, why }) => paragraph(`but ${host}: `, why)),
    ...rejections(whyNot),
    ...obstacles.map((obstacle) => paragraph("note: ", obstacle)),
    ...plan.expected.map(describePrediction),
    paragraph("--force may lose: ", plan.forceMayLose),
  ].join("");
}

/** A reason that keeps several hosts stands once. */
function rejections(whyNot: DryRunAnswer["whyNot"]): string[] {
  const hostsByReason = new Map<string, string[]>();
  for (const { host, why } of whyNot) {
    const reason = `${why}${adviceOn(host, why)}`;
    hostsByReason.set(reason, [...(hostsByReason.get(reason) ?? []), host]);
  }
  return [...hostsByReason].map(([reason, hosts]) => paragraph(`not ${hosts.join(", ")}: `, reason));
}

/** A drained host is forgotten more easily than one that is down. */
const adviceOn = (host: string, why: string): string =>
  why === "nofailover is set" ? `; \`stead hosts set ${host} --nofailover no\` makes it a candidate again` : "";

/** How each way in which a primary ends is called here. */
const endings: Readonly<Record<string, string>> = {
  kill: "if the primary is killed",
  hang: "if the primary hangs or is cut off",
  switchover: "by a switchover",
};

function describePrediction({ kind, gapMs, phases }: DryRunAnswer["expected"][number]): string {
  const parts = phases
    .filter(({ ms }) => ms >= 0.5)
    .map(({ phase, ms, source, failovers }) => {
      const basis = failovers > 0 ? `${source} ${failovers} ${failovers === 1 ? "time" : "times"}` : source;
      return `${phaseInWords(phase)} ${Math.round(ms)} (${basis})`;
    });
  return paragraph(`expected gap ${endings[kind] ?? kind}: `, `${Math.round(gapMs)} ms: ${parts.join(", ")}`);
}

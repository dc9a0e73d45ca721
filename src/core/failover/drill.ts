/**
 * Whether a drill is safe now: the primary is taken away on purpose only if another host is as good, nothing else is
 * wrong, and the gateways would act. What a drill does to clients is then what a failover does to them.
 */
import { rejectionsInWords } from "./candidate.ts";
import { currentRow } from "./brake.ts";
import { dryRun } from "./command.ts";
import type { ServiceState } from "./state.ts";
import { vaultInWords } from "./vault.ts";

/** `hang`: the application; `partition`: the host answers no control call and does not reach the vault. */
export const drillKinds = ["kill", "hang", "switchover", "partition"] as const;
export type DrillKind = (typeof drillKinds)[number];

/** Bounds of what a host does to itself: it ends by itself after this time. */
export const drillMsMin = 1_000;
export const drillMsMax = 60_000;

/** Longest lag of the host that would take over, in log positions. */
export const drillLagMax = 1_000;

/** Returns every reason against it; empty: it is safe. */
export function whyNoDrill(state: ServiceState, now: number): readonly string[] {
  const { phase, primary, automation, heard } = state;
  if (phase.kind !== "serving" || primary === undefined)
    return [`the service is ${phase.kind}: a drill needs a primary that serves`];
  const { order, but, whyNot, obstacles } = dryRun(state, now);
  const [best] = order;
  const reasons: string[] = [];
  if (best === undefined) {
    reasons.push(`no host could take over: ${rejectionsInWords(whyNot) || obstacles.join("; ")}`);
  }
  const reservation = but.find(({ host }) => host === best);
  if (reservation !== undefined) reasons.push(`${reservation.host} would take over, but is ${reservation.why}`);
  const report = best === undefined ? undefined : state.hosts.get(best)?.report;
  const lag = report === undefined ? 0 : (heard?.position ?? 0) - report.position;
  if (lag > drillLagMax) reasons.push(`${best} is ${lag} log positions behind, more than ${drillLagMax}`);
  if (automation.kind === "paused") reasons.push("automation is paused: a lost primary would not be replaced");
  const vault = vaultInWords(state.vault, now);
  if (vault !== undefined) reasons.push(vault);
  const row = currentRow(state, now);
  if (row !== undefined) reasons.push(`primaries ended one after the other: ${row.cause.text}`);
  const impaired = state.hosts.get(primary.host)?.report?.impairments ?? [];
  if (impaired.length > 0) reasons.push(`the primary ${primary.host} is impaired already: ${impaired[0]?.reason}`);
  return reasons;
}

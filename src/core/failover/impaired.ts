/**
 * A primary whose host is impaired (its disk, its descriptors) is moved to a host in better condition while it still
 * serves: it is ordered to step down, with the reason, and replaced if it makes no progress with that. If no host is in
 * better condition it stays, and status says so: a failover would only move the fault.
 *
 * Its vault is not judged here: a primary that writes its log has it, and a primary that is the only host without it is
 * lost (vault.ts).
 *
 * All gateways see the same reports. They act one after the other, so that usually only one does; two orders to step
 * down are harmless, since the second is refused. The brake applies here too, so that hosts that are impaired in turn
 * do not pass the service around.
 */
import { brakeFor, newFailover } from "./promote.ts";
import { brakeInWords, impairedBy } from "./brake.ts";
import type { HostReport } from "./state.ts";
import { ranking } from "./order.ts";
import { become, nextKey, recordEvent, put, type Transition } from "./transition.ts";

/**
 * An impairment lasts at least this long before it moves a primary, plus as much again for each gateway before this
 * one.
 */
const patienceMs = 500;

/** Called while the primary serves. */
export function relieve(transition: Transition): void {
  const { state, now } = transition;
  const { primary } = state;
  const view = primary === undefined ? undefined : state.hosts.get(primary.host);
  const impairment = view?.report?.impairments.find(({ kind }) => kind !== "vault");
  if (primary === undefined || view === undefined || impairment === undefined) return stays(transition, undefined);
  const rank = state.gateways.indexOf(state.settings.gateway) + 1;
  if (impairment.forMs + now - view.reportAt < rank * patienceMs || now < state.relieveAfter) return;
  const why = whyStay(transition, impairment);
  if (why !== undefined) return stays(transition, `${impairedBy(impairment).text}; ${why}`);
  stays(transition, undefined);
  moveAway(transition, impairment);
}

function whyStay(transition: Transition, impairment: HostReport["impairments"][number]): string | undefined {
  if (transition.state.automation.kind === "paused") return "automation is paused";
  if (betterOff(transition) === undefined) return "it stays primary, because no host is in better condition";
  const brake = brakeFor(transition, impairedBy(impairment));
  return brake !== undefined && transition.now < brake.until
    ? `it stays primary for now: ${brakeInWords(brake, transition.state.primary?.epoch ?? 0)}`
    : undefined;
}

function betterOff(transition: Transition): string | undefined {
  const best = ranking(transition, undefined).eligible[0];
  return best !== undefined && (best.standing === "well" || best.standing === "behind") ? best.host : undefined;
}

function moveAway(transition: Transition, impairment: HostReport["impairments"][number]): void {
  const { primary } = transition.state;
  const target = betterOff(transition);
  if (primary === undefined || target === undefined) return;
  const cause = impairedBy(impairment);
  recordEvent(transition, "error", "primary-impaired", primary.host, `${cause.text}: ${target} is to take over`);
  const failover = newFailover(transition, "impaired", { planned: true, target, cause });
  const call = nextKey(transition);
  become(transition, { kind: "demoting", failover, call, since: transition.now, lostAt: undefined });
  transition.effects.push({ kind: "record-failover", failover, outcome: "running" });
  transition.effects.push({
    kind: "demote",
    call,
    host: primary.host,
    successor: target,
    reason: cause.text.slice(0, reasonMax),
    epoch: primary.epoch,
  });
}

/** Limit of the control API (src/control/host-api.ts). */
const reasonMax = 500;

/** Records why the primary stays, when it begins and when the reason changes. */
function stays(transition: Transition, why: string | undefined): void {
  const { primary, stays: before } = transition.state;
  if (why === before) return;
  put(transition, { stays: why });
  if (why !== undefined && before === undefined)
    recordEvent(transition, "error", "primary-impaired", primary?.host, why);
}

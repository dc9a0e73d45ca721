/**
 * A primary whose host is impaired (its disk, its descriptors) is moved to a host that is better off, while it still
 * serves: it is asked to step down, with the reason, and promoted over when it does not get on with that. Where no host
 * is better off it stays, and status says so: a failover would only move the trouble.
 *
 * Its vault is not judged here: a primary that writes its log has it, and one that alone cannot is lost (vault.ts).
 *
 * All gateways see the same reports. They act one after the other, so that usually one does; two orders to step down
 * are harmless, since the second is refused. The brake holds here too: hosts that are impaired in turn do not hand the
 * service round.
 */
import { brakeFor, newFailover } from "./act.ts";
import { brakeInWords, impairedBy } from "./brake.ts";
import type { HostReport } from "./state.ts";
import { ranking } from "./order.ts";
import { become, nextKey, note, put, type Turn } from "./turn.ts";

/**
 * An impairment lasts at least so long before it moves a primary, and longer by as much for each gateway that comes
 * before this one.
 */
const patienceMs = 500;

/** Called while the primary serves. */
export function relieve(turn: Turn): void {
  const { state, now } = turn;
  const { primary } = state;
  const view = primary === null ? undefined : state.hosts.get(primary.host);
  const impairment = view?.report?.impairments.find(({ kind }) => kind !== "vault");
  if (primary === null || view === undefined || impairment === undefined) return stays(turn, null);
  const rank = state.gateways.indexOf(state.settings.gateway) + 1;
  if (impairment.forMs + now - view.reportAt < rank * patienceMs || now < state.relieveAfter) return;
  const why = whyStay(turn, impairment);
  if (why !== null) return stays(turn, `${impairedBy(impairment).text}; ${why}`);
  stays(turn, null);
  moveAway(turn, impairment);
}

function whyStay(turn: Turn, impairment: HostReport["impairments"][number]): string | null {
  if (turn.state.automation.kind === "paused") return "automation is paused";
  if (betterOff(turn) === null) return "it stays primary, because no host is in better condition";
  const brake = brakeFor(turn, impairedBy(impairment));
  return brake !== null && turn.now < brake.until
    ? `it stays primary for now: ${brakeInWords(brake, turn.state.primary?.epoch ?? 0)}`
    : null;
}

function betterOff(turn: Turn): string | null {
  const best = ranking(turn, null).eligible[0];
  return best !== undefined && (best.standing === "well" || best.standing === "behind") ? best.host : null;
}

function moveAway(turn: Turn, impairment: HostReport["impairments"][number]): void {
  const { primary } = turn.state;
  const target = betterOff(turn);
  if (primary === null || target === null) return;
  const cause = impairedBy(impairment);
  note(turn, "error", "primary-impaired", primary.host, `${cause.text}: ${target} is to take over`);
  const failover = newFailover(turn, "impaired", { planned: true, target, cause });
  const call = nextKey(turn);
  become(turn, { kind: "demoting", failover, call, since: turn.now, lostAt: null });
  turn.effects.push({ kind: "record-failover", failover, outcome: "running" });
  turn.effects.push({
    kind: "demote",
    call,
    host: primary.host,
    successor: target,
    reason: cause.text.slice(0, reasonMax),
    epoch: primary.epoch,
  });
}

/** As the control API takes it (src/control/messages.ts). */
const reasonMax = 500;

/** Told when it begins, and when something else is in the way. */
function stays(turn: Turn, why: string | null): void {
  const { primary, stays: before } = turn.state;
  if (why === before) return;
  put(turn, { stays: why });
  if (why !== null && before === null) note(turn, "error", "primary-impaired", primary?.host ?? null, why);
}

/**
 * The status of the highest epoch's owner as this gateway sees it: the one question that every phase asks.
 *
 * "Stepped down" needs care, because a report can be older than a claim that another source reported: a host that says
 * "secondary" counts as stepped down only if it has read its own epoch, or has called itself primary before, or had
 * `awaitMs` to report.
 *
 * "Down" counts only if a probe has failed that was started after the epoch was heard of. At a fresh start a gateway
 * may ask the first primary before it listens, and hear of its claim from the others: that refusal is older than the
 * claim, and says nothing about its end. Adoption sends a probe at once (transition.ts): a dead owner is known as soon.
 * A gateway to which no host is up yet looks for as long as detection takes.
 */
import type { HostView, ServiceState } from "./state.ts";

export type PrimaryStatus =
  /** No epoch is known. */
  | "none"
  /** It reports itself primary, and nothing contradicts it. */
  | "serving"
  /** It is claiming, or starting its application. */
  | "becoming"
  /** It is draining: a switchover is in progress. */
  | "leaving"
  /** It has just stepped down in favour of a successor, which the ordering gateway is about to promote. */
  | "handing-over"
  /** It is alive, and reports that it is no longer primary. */
  | "stepped-down"
  /** Its last good sign is in doubt, or it was never heard. */
  | "doubtful"
  | "down"
  /** It is not in the registry, so no gateway watches it. */
  | "unregistered";

export function primaryStatus(state: ServiceState, now: number): PrimaryStatus {
  const primary = state.primary;
  if (primary === undefined) return "none";
  const view = state.hosts.get(primary.host);
  if (view === undefined) return "unregistered";
  if (view.health.kind === "down")
    return view.health.failedAt < primary.adoptedAt || now < firstLookEndsAt(state) ? "doubtful" : "down";
  const report = view.report;
  if (report === undefined || view.health.kind === "unknown" || view.health.doubt !== undefined) return "doubtful";
  switch (report.role) {
    case "primary":
      return report.epoch >= primary.epoch ? "serving" : "becoming";
    case "claiming":
    case "starting":
      return "becoming";
    case "draining":
      return "leaving";
    case "secondary":
    case "restoring":
    case "failed": {
      if (now < handoverEndsAt(view)) return "handing-over";
      const believable =
        primary.instance !== undefined ||
        report.epoch >= primary.epoch ||
        now >= primary.adoptedAt + state.settings.awaitMs;
      return believable ? "stepped-down" : "becoming";
    }
  }
}

/**
 * Returns until when a primary that this gateway has never heard itself is no loss: no host is up, so none could
 * replace it, and the hosts may be starting as this gateway is. -Infinity: one is up, or the primary was heard.
 */
export function firstLookEndsAt({ primary, hosts, settings }: ServiceState): number {
  if (primary === undefined || primary.instance !== undefined) return -Infinity;
  const isAnyUp = [...hosts.values()].some(({ health }) => health.kind === "up");
  return isAnyUp ? -Infinity : primary.adoptedAt + settings.staleMs;
}

/**
 * True if the last report of the epoch's owner was that it has read its own epoch and is not primary. That stays true
 * if its connection breaks right after (a restarted host), until another report of it or a later epoch.
 */
export function hasSaidItSteppedDown({ primary, hosts }: ServiceState): boolean {
  if (primary === undefined) return false;
  const report = hosts.get(primary.host)?.report;
  if (report === undefined || report.epoch < primary.epoch) return false;
  return report.role === "secondary" || report.role === "restoring" || report.role === "failed";
}

/**
 * Returns until when a host that stepped down for a named successor is left to the gateway that ordered it; -Infinity:
 * it did not. That gateway promotes the successor within milliseconds; if it has died meanwhile, the others act after
 * this time.
 */
export function handoverEndsAt({ report, reportAt }: HostView): number {
  return report === undefined || report.handover === undefined
    ? -Infinity
    : reportAt - report.handover.forMs + handoverMsMax;
}

const handoverMsMax = 1_000;

/** Returns this gateway's view of the primary for its peers. */
export function viewForPeers(state: ServiceState, now: number): "up" | "down" | "unknown" {
  switch (primaryStatus(state, now)) {
    case "serving":
    case "becoming":
    case "leaving":
    case "handing-over":
      return "up";
    case "down":
    case "stepped-down":
      return "down";
    case "none":
    case "doubtful":
    case "unregistered":
      return "unknown";
  }
}

/** First part of a step: events change what is known. Nothing is decided here. */
import { downInWords, doubted, seenFailing, seenWell, streamEnded, unknownHealth } from "./health.ts";
import { type EpochSource, isPlausiblePosition, reviewEpoch } from "./proof.ts";
import type { FailoverEvent, HostReport, HostView, LogHeard, Primary, RegisteredHost, ServiceState } from "./state.ts";
import { aloneWithoutVault, reachesVault, vaultCondition, vaultInWords } from "./vault.ts";
import { heardAt } from "./position-trail.ts";
import {
  abortFailover,
  adopt,
  become,
  disprove,
  recordEvent,
  put,
  putHostView,
  type Transition,
} from "./transition.ts";

export function observe(transition: Transition, event: FailoverEvent): void {
  switch (event.kind) {
    case "hosts":
      return observeRegistry(transition, event.hosts);
    case "settings":
      return put(transition, { settings: event.settings });
    case "recall":
      if (transition.state.primary === undefined) adopt(transition, event, { kind: "memory" });
      return;
    case "report":
      return observeReport(transition, event.host, event.report, event.startedAt);
    case "probe-failed":
      return changeHealth(
        transition,
        event.host,
        (view) => seenFailing(view.health, event.cause, event.startedAt, transition.now, transition.state.settings),
        event.cause === "refused" || event.cause === "reset",
      );
    case "stream-ended":
      return changeHealth(
        transition,
        event.host,
        (view) => streamEnded(view.health, transition.now, transition.state.settings.streamAliveMs),
        true,
      );
    case "data-error":
      return changeHealth(
        transition,
        event.host,
        (view) => doubted(view.health, `requests fail: ${event.cause}`),
        true,
      );
    case "gateways":
      return put(transition, { gateways: [...new Set([...event.ids, transition.state.settings.gateway])].sort() });
    case "peer-view":
      put(transition, { peers: new Map(transition.state.peers).set(event.view.gateway, event.view) });
      if (event.primary !== undefined) adopt(transition, { host: event.primary, epoch: event.view.epoch }, hearsay);
      return hearLog(transition, event.heard, hearsay);
    case "phase-ended":
    case "promoted":
    case "demoted":
    case "call-refused":
    case "call-lost":
    case "routed":
    case "command":
    case "time":
      return;
  }
}

function observeRegistry(transition: Transition, registered: readonly RegisteredHost[]): void {
  const hosts = new Map<string, HostView>();
  for (const host of registered) {
    const known = transition.state.hosts.get(host.id);
    const moved = known === undefined || known.controlUrl !== host.controlUrl;
    hosts.set(
      host.id,
      moved
        ? {
            ...host,
            health: unknownHealth,
            report: undefined,
            reportAt: -Infinity,
            trail: undefined,
            vaultSince: undefined,
          }
        : { ...known, ...host },
    );
  }
  put(transition, { hosts });
}

function observeReport(transition: Transition, host: string, report: HostReport, startedAt: number | undefined): void {
  const view = transition.state.hosts.get(host);
  if (view === undefined) return;
  const { now, state } = transition;
  if (report.host !== host) {
    const health = seenFailing(view.health, "invalid", startedAt ?? now, now, state.settings);
    if (view.health.kind !== health.kind) {
      recordEvent(
        transition,
        "warning",
        "wrong-host",
        host,
        `${view.controlUrl} answers as host "${report.host}": check the control address of ${host}`,
      );
    }
    return putHostView(transition, { ...view, health });
  }
  const lostVault = aloneWithoutVault(state, host, report, now);
  const health = lostVault
    ? seenFailing(view.health, "vault", now, now, state.settings)
    : seenWell(view.health, now, state.settings);
  // A probe's answer can be older than a line of the stream that arrived while it was in transit.
  const newest = (startedAt === undefined || startedAt >= view.reportAt) && !isOlder(report, view.report);
  // A host that was silent does not tell what it had meanwhile: while a whole machine stood still, no host had the
  // vault.
  const isContinuous = now - view.reportAt <= state.settings.staleMs;
  const vaultSince = reachesVault(report) ? ((isContinuous ? view.vaultSince : undefined) ?? now) : undefined;
  putHostView(
    transition,
    newest
      ? { ...view, health, report, reportAt: now, trail: heardAt(view.trail, report.position, now), vaultSince }
      : { ...view, health },
  );
  recordHealth(transition, view, health);
  if (transition.state.firstHeardAt === undefined) put(transition, { firstHeardAt: now });
  if (!newest || report.service !== state.settings.service) return;
  if (report.epochHost === undefined) return;
  const own = report.epochHost === host;
  const inOffice = report.role === "primary" || report.role === "starting" || report.role === "draining";
  const source = { kind: "host", host } as const;
  const counts = adopt(
    transition,
    {
      host: report.epochHost,
      epoch: report.epoch,
      instance: own && inOffice ? report.instance : undefined,
      dataUrl: own ? report.dataUrl : undefined,
    },
    source,
  );
  if (own && inOffice && counts)
    hearLog(transition, { epoch: report.epoch, position: report.position, vault: report.vault?.id }, source);
}

const hearsay = { kind: "hearsay" } as const;

/** An epoch that is not proved is confirmed, or given up with what was decided about it. */
export function observeProof(transition: Transition): void {
  const { primary, phase } = transition.state;
  if (primary?.unproven === undefined) return;
  const review = reviewEpoch(transition.state, primary, transition.now);
  if (review.kind === "open") return;
  if (review.kind === "confirmed") {
    put(transition, { primary: { ...primary, unproven: undefined } });
    return void transition.effects.push({ ...ownershipOf(primary), kind: "record-epoch" });
  }
  const { by, owner } = review;
  const view = transition.state.hosts.get(owner)?.report;
  disprove(
    transition,
    { host: owner, epoch: by.epoch, dataUrl: view?.dataUrl },
    `${by.host}, which reads the log, says that ${owner} has epoch ${by.epoch}`,
  );
  if (!("failover" in phase)) return;
  if ("call" in phase) transition.effects.push({ kind: "cancel", call: phase.call });
  abortFailover(transition, phase.failover, "overtaken", `epoch ${primary.epoch} was false`, "see `stead status`");
  become(transition, { kind: "awaiting", since: transition.now });
}

const ownershipOf = ({ host, epoch, dataUrl }: Primary) => ({ host, epoch, dataUrl });

/**
 * A report of a primary of a later epoch is news whatever its position: an operator may have continued without lost
 * records.
 */
function hearLog(transition: Transition, heard: LogHeard | undefined, source: EpochSource): void {
  const known = transition.state.heard;
  if (heard === undefined || (known !== undefined && heard.epoch < known.epoch)) return;
  if (transition.rules.has("epoch-proof") && !countsAsHeard(transition.state, heard, source)) return;
  if (known === undefined || heard.epoch > known.epoch) return put(transition, { heard });
  put(transition, {
    heard: {
      epoch: known.epoch,
      position: Math.max(known.position, heard.position),
      vault: heard.vault ?? known.vault,
    },
  });
}

/** Nothing is heard of an epoch that does not count, and no position that no follower could reach. */
const countsAsHeard = (state: ServiceState, { epoch, position }: LogHeard, source: EpochSource): boolean =>
  epoch <= (state.primary?.epoch ?? 0) && isPlausiblePosition(state, position, source);

/** Updates the condition of the service's vault after each event, and records changes. */
export function observeVault(transition: Transition): void {
  const before = transition.state.vault;
  const vault = vaultCondition(transition.state, transition.now);
  put(transition, { vault });
  const words = vaultInWords(vault, transition.now);
  const wasTold = vaultInWords(before, transition.now) !== undefined;
  if (words !== undefined && (!wasTold || vault.kind !== before.kind))
    recordEvent(transition, "error", `vault-${vault.kind}`, undefined, words);
  if (words === undefined && wasTold)
    recordEvent(transition, "info", "vault-back", undefined, "the vault answers normally again");
}

/**
 * Compares by the host's own clock: lines of two streams, one delayed by the network, arrive in any order (simulation,
 * seed 400907).
 */
function isOlder(report: HostReport, known: HostReport | undefined): boolean {
  if (
    known === undefined ||
    known.instance !== report.instance ||
    known.clockMs === undefined ||
    report.clockMs === undefined
  )
    return false;
  return report.clockMs < known.clockMs;
}

/**
 * `probe`: ask again at once, unless the host is already known to be down. No extra probe follows a time-out: it took
 * long, the next regular one is already in flight, and a slow host needs no more work.
 */
function changeHealth(
  transition: Transition,
  host: string,
  change: (view: HostView) => HostView["health"],
  probe: boolean,
): void {
  const view = transition.state.hosts.get(host);
  if (view === undefined) return;
  const health = change(view);
  if (health === view.health) return;
  putHostView(transition, { ...view, health });
  recordHealth(transition, view, health);
  if (probe && health.kind === "up") transition.effects.push({ kind: "probe", host });
}

function recordHealth(transition: Transition, before: HostView, after: HostView["health"]): void {
  if (before.health.kind === after.kind) return;
  // A host that starts later than this gateway is no alarm; that none can take over is told all the same.
  const isUnheard = after.kind === "down" && before.health.kind === "unknown";
  const level = after.kind === "down" && !isUnheard ? "warning" : "info";
  recordEvent(transition, level, `host-${after.kind}`, before.id, healthInWords(before, after, isUnheard));
}

function healthInWords({ id, health }: HostView, after: HostView["health"], isUnheard: boolean): string {
  if (isUnheard) return `${id} does not answer, and has not since this gateway started or the host was added`;
  if (after.kind === "down") return `${id} is ${downInWords(after.cause)}`;
  if (after.kind === "up") return `${id} answers${health.kind === "down" ? " again" : ""}`;
  return `${id} is ${after.kind}, was ${health.kind}`;
}

/** First half of a step: events change what is known. Nothing is decided here. */
import { doubted, seenFailing, seenWell, streamEnded, unknownHealth } from "./health.ts";
import type { FailoverEvent, HostReport, HostView, RegisteredHost } from "./failover-state.ts";
import { adopt, note, put, putHost, type Turn } from "./failover-turn.ts";

export function observe(turn: Turn, event: FailoverEvent): void {
  switch (event.kind) {
    case "hosts":
      return observeRegistry(turn, event.hosts);
    case "settings":
      return put(turn, { settings: event.settings });
    case "recall":
      if (turn.state.primary === null) adopt(turn, event.host, event.epoch, null, event.dataUrl);
      return;
    case "report":
      return observeReport(turn, event.host, event.report, event.startedAt);
    case "probe-failed":
      return changeHealth(turn, event.host, (view) => seenFailing(view.health, event.cause, event.startedAt, turn.now, turn.state.settings), event.cause === "refused" || event.cause === "reset");
    case "stream-ended":
      return changeHealth(turn, event.host, (view) => streamEnded(view.health, turn.now, turn.state.settings.streamAliveMs), true);
    case "data-error":
      return changeHealth(turn, event.host, (view) => doubted(view.health, `requests fail: ${event.cause}`), true);
    case "gateways":
      return put(turn, { gateways: [...new Set([...event.ids, turn.state.settings.gateway])].sort() });
    case "peer-view":
      put(turn, { peers: new Map(turn.state.peers).set(event.view.gateway, event.view) });
      if (event.primary !== null) adopt(turn, event.primary, event.view.epoch, null, null);
      return;
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

function observeRegistry(turn: Turn, registered: readonly RegisteredHost[]): void {
  const hosts = new Map<string, HostView>();
  for (const host of registered) {
    const known = turn.state.hosts.get(host.id);
    const moved = known === undefined || known.controlUrl !== host.controlUrl;
    hosts.set(host.id, moved ? { ...host, health: unknownHealth, report: null, reportAt: -Infinity } : { ...known, ...host });
  }
  put(turn, { hosts });
}

function observeReport(turn: Turn, host: string, report: HostReport, startedAt: number | null): void {
  const view = turn.state.hosts.get(host);
  if (view === undefined) return;
  const { now, state } = turn;
  if (report.host !== host) {
    const health = seenFailing(view.health, "invalid", startedAt ?? now, now, state.settings);
    if (view.health.kind !== health.kind) {
      note(turn, "warning", "wrong-host", host, `${view.controlUrl} answers as host "${report.host}": check the control address of ${host}`);
    }
    return putHost(turn, { ...view, health });
  }
  const lostVault = aloneWithoutVault(turn, host, report);
  const health = lostVault ? seenFailing(view.health, "vault", now, now, state.settings) : seenWell(view.health, now, state.settings);
  // A probe's answer can be older than a line of the stream that arrived while it was on its way.
  const newest = (startedAt === null || startedAt >= view.reportAt) && !isOlder(report, view.report);
  putHost(turn, newest ? { ...view, health, report, reportAt: now } : { ...view, health });
  noteHealth(turn, view, health.kind);
  if (turn.state.firstHeardAt === null) put(turn, { firstHeardAt: now });
  if (!newest || report.service !== state.settings.service) return;
  if (report.epochHost === null) return;
  const own = report.epochHost === host;
  const inOffice = report.role === "primary" || report.role === "starting" || report.role === "draining";
  adopt(turn, report.epochHost, report.epoch, own && inOffice ? report.instance : null, own ? report.dataUrl : null);
}

/** By the host's own clock: lines of two streams, one of which the network held up, come in any order (simulation, seed 400907). */
function isOlder(report: HostReport, known: HostReport | null): boolean {
  if (known === null || known.instance !== report.instance || known.clockMs === null || report.clockMs === null) return false;
  return report.clockMs < known.clockMs;
}

/** A primary is given this many leases to reach the vault again before it counts as failing. */
const vaultSilenceLeasesMax = 3;

/**
 * A primary that cannot write answers nobody: its gate is shut when the lease is over. It is lost only when somebody else can
 * do better: while no candidate reaches the vault either, a failover would help nobody.
 */
function aloneWithoutVault({ state, now }: Turn, host: string, report: HostReport): boolean {
  if (report.role !== "primary" || report.vaultSilentMs === null || report.vaultSilentMs <= vaultSilenceLeasesMax * report.leaseMs) return false;
  return [...state.hosts.values()].some((other) => {
    if (other.id === host || other.report?.role !== "secondary" || other.health.kind !== "up") return false;
    const { vaultSilentMs, leaseMs } = other.report;
    return vaultSilentMs !== null && vaultSilentMs <= leaseMs && now - other.reportAt <= state.settings.staleMs;
  });
}

/**
 * `probe`: ask again at once, unless the host is known to be down already. A time-out is not followed by a probe out of
 * turn: it took long, the next one of the interval is under way, and a host that is slow needs no more work.
 */
function changeHealth(turn: Turn, host: string, change: (view: HostView) => HostView["health"], probe: boolean): void {
  const view = turn.state.hosts.get(host);
  if (view === undefined) return;
  const health = change(view);
  if (health === view.health) return;
  putHost(turn, { ...view, health });
  noteHealth(turn, view, health.kind);
  if (probe && health.kind === "up") turn.effects.push({ kind: "probe", host });
}

function noteHealth(turn: Turn, before: HostView, after: HostView["health"]["kind"]): void {
  if (before.health.kind === after) return;
  const detail = `${before.id} is ${after}, was ${before.health.kind}`;
  note(turn, after === "down" ? "warning" : "info", `host-${after}`, before.id, detail);
}

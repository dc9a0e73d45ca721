/**
 * The vault as the hosts see it: whether only the primary cannot reach it, or no host can.
 *
 * A primary that cannot write answers no request, since its gate shuts when its lease is over. It counts as lost only
 * if another host demonstrably does better: that host has reached the vault for as long as the primary had to try, and,
 * if it reports writes, written to it when the primary's next record was due and did not come. Without this rule, an
 * outage for all hosts would end in a failover: when the vault is back, a secondary's next look succeeds at once, while
 * the primary, which waits for a hanging put, still seems to be the only host without it.
 *
 * A write that merely follows the primary's last one proves nothing: both can have written in the instant before the
 * folder vanished, and until its next write is due a secondary takes the empty folder for a log without news.
 *
 * An outage for all hosts is a separate state and moves no primary. Hosts that cannot write are no candidates
 * (candidate.ts), so whatever else happens meanwhile, waiting requests are answered when the vault is back.
 */
import { vaultImpairment } from "./candidate.ts";
import type { HostReport, HostView, ServiceState, VaultCondition } from "./state.ts";

/** Leases that a primary gets to reach the vault again before it counts as failing; the same bound defines slow. */
const silenceLeasesMax = 3;
const slowMsMin = 30_000;
const awayMsMin = 10_000;

/** A primary puts a record every half lease, so by then it has tried in vain. */
const overdueLeases = 1;

/** Its vault answers, and nothing says that it cannot be written. */
export const reachesVault = (report: HostReport): boolean =>
  report.vaultSilentMs !== undefined && report.vaultSilentMs <= report.leaseMs && vaultImpairment(report) === undefined;

export function aloneWithoutVault(
  { hosts, settings }: ServiceState,
  host: string,
  report: HostReport,
  now: number,
): boolean {
  if (report.role !== "primary" || report.vaultSilentMs === undefined) return false;
  const patienceMs = silenceLeasesMax * report.leaseMs;
  if (report.vaultSilentMs <= patienceMs) return false;
  const overdueAt = now - report.vaultSilentMs + overdueLeases * report.leaseMs;
  return [...hosts.values()].some((other) => {
    if (other.id === host || other.report?.role !== "secondary" || other.health.kind !== "up") return false;
    if (
      now - other.reportAt > settings.staleMs ||
      other.vaultSince === undefined ||
      now - other.vaultSince < patienceMs
    )
      return false;
    const { vault } = other.report;
    return vault === undefined || (vault.wroteMs !== undefined && other.reportAt - vault.wroteMs > overdueAt);
  });
}

/** Returns when this host last had the vault; undefined: unknown. */
function hadVaultAt({ report, reportAt }: HostView): number | undefined {
  if (report === undefined) return undefined;
  if (report.vault !== undefined && report.vault.writeError !== undefined) {
    const lasting = report.impairments.find(({ kind }) => kind === "vault")?.forMs;
    const silentMs = report.vault.wroteMs ?? lasting;
    return silentMs === undefined ? undefined : reportAt - silentMs;
  }
  return report.vaultSilentMs === undefined ? undefined : reportAt - report.vaultSilentMs;
}

/** Derives the condition of the service's vault from the hosts' last reports. */
export function vaultCondition({ hosts, primary, vault }: ServiceState, now: number): VaultCondition {
  const times = [...hosts.values()]
    .filter(({ health }) => health.kind === "up")
    .map(hadVaultAt)
    .filter((at) => at !== undefined);
  const last = Math.max(...times);
  if (times.length > 0 && now - last >= awayMsMin) return { kind: "away", since: last };
  const view = primary === undefined ? undefined : hosts.get(primary.host);
  if (view?.health.kind !== "up" || view.report === undefined || !isSlow(view.report)) return { kind: "well" };
  const since = vault.kind === "slow" ? vault.since : now;
  return { kind: "slow", since, isTold: now - since >= slowMsMin };
}

/** The silence counts from the start of the last put, so for a primary with puts this slow it is never shorter. */
function isSlow({ role, vaultSilentMs, leaseMs, vault }: HostReport): boolean {
  if (role !== "primary") return false;
  const slowMs = silenceLeasesMax * leaseMs;
  return (
    (vaultSilentMs !== undefined && vaultSilentMs >= slowMs) ||
    (vault !== undefined && vault.latencyMs !== undefined && vault.latencyMs >= slowMs)
  );
}

/** Describes the condition; undefined: nothing to report. */
export function vaultInWords(condition: VaultCondition, now: number): string | undefined {
  const forS = condition.kind === "well" ? 0 : Math.round((now - condition.since) / 1_000);
  if (condition.kind === "away")
    return `no host has reached the vault for ${forS} s: nothing is answered until it is back, and no failover would help`;
  if (condition.kind === "slow" && condition.isTold)
    return `the vault is slow: for ${forS} s a record has taken more than ${silenceLeasesMax} leases`;
  return undefined;
}

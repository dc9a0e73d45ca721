/**
 * The vault as the hosts see it: whether only the primary is without it, or every host.
 *
 * A primary that cannot write answers no request, since its gate is shut when its lease is over. It is lost only when
 * another host can do better, and "can" means that it does: it has reached the vault, and written there where it tells
 * that, for as long as the primary had to try. Without that, an outage for everybody ends in a failover: when the vault
 * is back, a secondary's next look succeeds at once, and the primary, which waits for a put that hangs, still seems to
 * be the only one without.
 *
 * An outage for all hosts is a state of its own and moves no primary. Hosts that cannot write are no candidates
 * (candidate.ts), so whatever else happens meanwhile, what waits is answered when the vault is back.
 */
import { vaultTrouble } from "./candidate.ts";
import type { HostReport, HostView, ServiceState, VaultCondition } from "./state.ts";

/** A primary is given so many leases to reach the vault again before it counts as failing; so slow is slow. */
const silenceLeasesMax = 3;
const slowMsMin = 30_000;
const awayMsMin = 10_000;

/** Its vault answers, and nothing says that it cannot be written. */
export const reachesVault = (report: HostReport): boolean =>
  report.vaultSilentMs !== null && report.vaultSilentMs <= report.leaseMs && vaultTrouble(report) === null;

export function aloneWithoutVault(
  { hosts, settings }: ServiceState,
  host: string,
  report: HostReport,
  now: number,
): boolean {
  if (report.role !== "primary" || report.vaultSilentMs === null) return false;
  const patienceMs = silenceLeasesMax * report.leaseMs;
  if (report.vaultSilentMs <= patienceMs) return false;
  const lastPutAt = now - report.vaultSilentMs;
  return [...hosts.values()].some((other) => {
    if (other.id === host || other.report?.role !== "secondary" || other.health.kind !== "up") return false;
    if (now - other.reportAt > settings.staleMs || other.vaultSince === null || now - other.vaultSince < patienceMs)
      return false;
    const { vault } = other.report;
    return vault === null || (vault.wroteMs !== null && other.reportAt - vault.wroteMs > lastPutAt);
  });
}

/** When this host last had the vault; null: it does not say. */
function hadVaultAt({ report, reportAt }: HostView): number | null {
  if (report === null) return null;
  if (report.vault !== null && report.vault.writeError !== null) {
    const lasting = report.impairments.find(({ kind }) => kind === "vault")?.forMs;
    const silentMs = report.vault.wroteMs ?? lasting;
    return silentMs === undefined ? null : reportAt - silentMs;
  }
  return report.vaultSilentMs === null ? null : reportAt - report.vaultSilentMs;
}

/** Of the service, from what its hosts said last. */
export function vaultCondition({ hosts, primary, vault }: ServiceState, now: number): VaultCondition {
  const times = [...hosts.values()]
    .filter(({ health }) => health.kind === "up")
    .map(hadVaultAt)
    .filter((at) => at !== null);
  const last = Math.max(...times);
  if (times.length > 0 && now - last >= awayMsMin) return { kind: "away", since: last };
  const view = primary === null ? undefined : hosts.get(primary.host);
  if (view?.health.kind !== "up" || view.report === null || !isSlow(view.report)) return { kind: "well" };
  const since = vault.kind === "slow" ? vault.since : now;
  return { kind: "slow", since, isTold: now - since >= slowMsMin };
}

/**
 * Since it counts from the start of the last put, the silence of a primary whose puts take so long never is shorter.
 */
function isSlow({ role, vaultSilentMs, leaseMs, vault }: HostReport): boolean {
  if (role !== "primary") return false;
  const slowMs = silenceLeasesMax * leaseMs;
  return (
    (vaultSilentMs !== null && vaultSilentMs >= slowMs) ||
    (vault !== null && vault.latencyMs !== null && vault.latencyMs >= slowMs)
  );
}

/** In words; null: there is nothing to tell. */
export function vaultInWords(condition: VaultCondition, now: number): string | null {
  const forS = condition.kind === "well" ? 0 : Math.round((now - condition.since) / 1_000);
  if (condition.kind === "away")
    return `no host has reached the vault for ${forS} s: nothing is answered until it is back, and no failover would help`;
  if (condition.kind === "slow" && condition.isTold)
    return `the vault is slow: for ${forS} s a record has taken more than ${silenceLeasesMax} leases`;
  return null;
}

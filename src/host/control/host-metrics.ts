/** Exposes a host's status and its front as gauges. */
import { hostRoles, type HostStatus } from "../../control/host-status.ts";
import type { Metrics } from "../../metrics/metrics.ts";

/** Call before each scrape. */
export function showHost(
  metrics: Metrics,
  status: HostStatus,
  front: { readonly active: number; readonly connections: number },
): void {
  const { service, host, role, epoch, position, impairments, suspects, vaultSilentMs, application, files } = status;
  metrics.show("stead_host_info", [[{ service, host }, 1]]);
  metrics.show(
    "stead_role",
    hostRoles.map((each) => [{ role: each }, each === role ? 1 : 0]),
  );
  metrics.show("stead_log_epoch", [[{}, epoch]]);
  metrics.show("stead_log_position", [[{}, position]]);
  metrics.show(
    "stead_impairments",
    [...new Set(impairments.map(({ kind }) => kind))].map((kind) => [{ kind }, 1]),
  );
  metrics.show("stead_suspects", [[{}, suspects.length]]);
  metrics.show("stead_vault_silent_seconds", vaultSilentMs === null ? [] : [[{}, vaultSilentMs / 1_000]]);
  metrics.show(
    "stead_application_ready",
    application === null || application.state === "stopped" ? [] : [[{}, application.state === "ready" ? 1 : 0]],
  );
  metrics.show("stead_files", files === null ? [] : [[{}, files.count]]);
  metrics.show("stead_files_bytes", files === null ? [] : [[{}, files.bytes]]);
  metrics.show("stead_front_requests", [[{}, front.active]]);
  metrics.show("stead_front_connections", [[{}, front.connections]]);
}

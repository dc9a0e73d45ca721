/** The status as Prometheus text (exposition format 0.0.4). */
import type { ClusterStatus } from "../../control/gateway-api.ts";
import type { CaptureStatus } from "../../control/host-status.ts";

type Sample = readonly [labels: Readonly<Record<string, string>>, value: number];

export function metricsText(status: ClusterStatus): string {
  const { services } = status;
  const perService = (value: (service: ClusterStatus["services"][number]) => number): Sample[] =>
    services.map((service) => [{ service: service.name }, value(service)]);
  const perHost = (value: (host: ClusterStatus["services"][number]["hosts"][number]) => number | null): Sample[] =>
    services.flatMap((service) =>
      service.hosts.flatMap((host): Sample[] => {
        const found = value(host);
        return found === null ? [] : [[{ service: service.name, host: host.id }, found]];
      }),
    );
  const perLongLog = (value: (log: CaptureStatus["longLogs"][number]) => number): Sample[] =>
    services.flatMap((service) =>
      service.hosts.flatMap((host) =>
        (host.capture?.longLogs ?? []).map((log): Sample => [{ service: service.name, host: host.id, database: log.database, held_by: log.heldBy.join(", ") }, value(log)]),
      ),
    );
  const requests = services.flatMap((service): Sample[] =>
    (["ok", "unknown", "failed", "clientGone"] as const).map((end) => [{ service: service.name, end: end === "clientGone" ? "client_gone" : end }, service.requests[end]]),
  );
  return [
    metric("stead_up", "gauge", "1 while the gateway runs", [[{ gateway: status.gateway }, 1]]),
    metric("stead_troubles", "gauge", "Things that are wrong with this gateway itself", [[{}, status.troubles.length]]),
    metric("stead_database_ok", "gauge", "1 when the state database can be written", [[{}, status.database.trouble === null ? 1 : 0]]),
    metric("stead_database_queued_writes", "gauge", "Writes that wait for the state database", [[{}, status.database.queued]]),
    metric("stead_peer_ok", "gauge", "1 when the last exchange with the other gateway was good", status.gateways.filter(({ self }) => !self).map(({ id, trouble }) => [{ peer: id }, trouble === null ? 1 : 0])),
    metric("stead_connections", "gauge", "Open client connections", [[{}, status.connections]]),
    metric("stead_requests_total", "counter", "Requests by how they ended", requests),
    metric("stead_requests_held_total", "counter", "Requests that waited for a primary", perService((service) => service.requests.held)),
    metric("stead_requests_replayed_total", "counter", "Requests that were sent again", perService((service) => service.requests.replayed)),
    metric("stead_requests_waiting", "gauge", "Requests that wait for a primary now", perService((service) => service.waiting.requests)),
    metric("stead_epoch", "gauge", "Highest epoch that is known", perService((service) => service.epoch)),
    metric("stead_serving", "gauge", "1 when the primary is seen well", perService((service) => (service.phase === "serving" ? 1 : 0))),
    metric("stead_routed", "gauge", "1 when requests are sent to a primary", perService((service) => (service.routedTo === null ? 0 : 1))),
    metric("stead_paused", "gauge", "1 when automation is paused", perService((service) => (service.paused ? 1 : 0))),
    metric("stead_vault_state", "gauge", "0 well, 1 slow, 2 no host reaches it", perService(({ vault }) => ["well", "slow", "away"].indexOf(vault.state))),
    metric("stead_primaries_lost_in_a_row", "gauge", "Primaries that ended one after the other for the same cause within the last minute; 0: no such row", perService(({ row }) => row?.count ?? 0)),
    metric("stead_failover_wait_seconds", "gauge", "For how long the next takeover still waits for the brake", perService(({ row }) => (row?.waitMs ?? 0) / 1_000)),
    metric("stead_failovers_total", "counter", "Failovers and switchovers that this gateway completed since it started", perService((service) => service.failovers.filter(({ outcome }) => outcome === "done").length)),
    metric("stead_host_up", "gauge", "1 up, 0 down; absent while unknown", perHost((host) => (host.health === "unknown" ? null : host.health === "up" ? 1 : 0))),
    metric("stead_host_position", "gauge", "Log position of the host", perHost((host) => host.position)),
    metric("stead_host_impairments", "gauge", "Things that keep the host from being a good primary", perHost(({ impairments }) => impairments.length)),
    metric("stead_host_retry_seconds", "gauge", "Until a host that could not stay primary may be asked again; absent for others", perHost(({ retry }) => (retry === null ? null : retry.inMs / 1_000))),
    metric("stead_host_suspects", "gauge", "Requests that are set aside because they ended the application", perHost(({ suspects }) => suspects.length)),
    metric("stead_host_application_ready", "gauge", "1 while the application is ready; absent where it does not run", perHost(({ application }) => (application === null || application.state === "stopped" ? null : application.state === "ready" ? 1 : 0))),
    metric("stead_host_vault_write_seconds", "gauge", "Median of the host's last writes to the vault", perHost(({ vault }) => (vault === null || vault.latencyMs === null ? null : vault.latencyMs / 1_000))),
    metric("stead_host_write_locks_total", "counter", "How often the host locked the application's writers out in this term; absent where nothing is captured", perHost(({ capture }) => capture?.writeLocks.count ?? null)),
    metric("stead_host_write_lock_seconds_total", "counter", "For how long, all together", perHost(({ capture }) => (capture === null ? null : capture.writeLocks.totalMs / 1_000))),
    metric("stead_host_write_lock_seconds_max", "gauge", "For how long at most", perHost(({ capture }) => (capture === null ? null : capture.writeLocks.maxMs / 1_000))),
    metric("stead_host_long_log_bytes", "gauge", "Write-ahead logs of 64 MiB and more that a reader keeps from starting over", perLongLog(({ walBytes }) => walBytes)),
    metric("stead_host_long_log_seconds", "gauge", "For how long it has been kept from that", perLongLog(({ heldMs }) => heldMs / 1_000)),
    metric("stead_host_primary", "gauge", "1 for the host that says it is primary", perHost((host) => (host.role === "primary" ? 1 : 0))),
  ].join("");
}

function metric(name: string, type: "gauge" | "counter", help: string, samples: readonly Sample[]): string {
  const lines = samples.map(([labels, value]) => {
    const text = Object.entries(labels).map(([key, label]) => `${key}="${escapeLabel(label)}"`).join(",");
    return `${name}${text === "" ? "" : `{${text}}`} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

const escapeLabel = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n");

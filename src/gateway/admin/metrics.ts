/** Exposes the status as gauges, and as counters that hosts and the data plane keep themselves. */
import type { ClusterStatus } from "../../control/gateway-api.ts";
import type { CaptureStatus } from "../../control/host-status.ts";
import type { DrillRow } from "../state/rows.ts";
import type { LabelsOf, Metrics, Sample } from "../../metrics/metrics.ts";

type Service = ClusterStatus["services"][number];
type Host = Service["hosts"][number];
type LongLog = CaptureStatus["longLogs"][number];

/** Call before each scrape. */
export function showStatus(metrics: Metrics, status: ClusterStatus): void {
  metrics.show("stead_up", [[{ gateway: status.gateway }, 1]]);
  metrics.show("stead_troubles", [[{}, status.troubles.length]]);
  metrics.show("stead_database_ok", [[{}, status.database.trouble === null ? 1 : 0]]);
  metrics.show("stead_database_queued_writes", [[{}, status.database.queued]]);
  metrics.show(
    "stead_peer_ok",
    status.gateways.filter(({ self }) => !self).map(({ id, trouble }) => [{ peer: id }, trouble === null ? 1 : 0]),
  );
  metrics.show("stead_connections", [[{}, status.connections]]);
  metrics.show(
    "stead_notifications_waiting",
    status.notify.map(({ name, queued }) => [{ target: name }, queued]),
  );
  metrics.show(
    "stead_notify_ok",
    status.notify.map(({ name, failure }) => [{ target: name }, failure === null ? 1 : 0]),
  );
  showServices(metrics, status.services);
  showHosts(metrics, status.services);
}

/** `newest`: the newest finished one of each service. */
export function showDrills(metrics: Metrics, newest: readonly DrillRow[]): void {
  const each = (value: (drill: DrillRow) => number): Sample<"service">[] =>
    newest.map((drill) => [{ service: drill.service }, value(drill)]);
  metrics.show(
    "stead_drill_passed",
    each(({ outcome }) => (outcome === "passed" ? 1 : 0)),
  );
  metrics.show(
    "stead_drill_timestamp_seconds",
    each(({ startedAtMs }) => startedAtMs / 1_000),
  );
  metrics.show(
    "stead_drill_wait_seconds",
    newest.flatMap(({ service, rtoMs }) => (typeof rtoMs === "number" ? [[{ service }, rtoMs / 1_000]] : [])),
  );
}

function showServices(metrics: Metrics, services: readonly Service[]): void {
  const each = (value: (service: Service) => number): Sample<"service">[] =>
    services.map((service) => [{ service: service.name }, value(service)]);
  metrics.show("stead_requests_total", services.flatMap(requestsByEnd));
  metrics.show(
    "stead_requests_held_total",
    each(({ requests }) => requests.held),
  );
  metrics.show(
    "stead_requests_replayed_total",
    each(({ requests }) => requests.replayed),
  );
  metrics.show(
    "stead_requests_waiting",
    each(({ waiting }) => waiting.requests),
  );
  metrics.show(
    "stead_epoch",
    each(({ epoch }) => epoch),
  );
  metrics.show(
    "stead_serving",
    each(({ phase }) => (phase === "serving" ? 1 : 0)),
  );
  metrics.show(
    "stead_routed",
    each(({ routedTo }) => (routedTo === null ? 0 : 1)),
  );
  metrics.show(
    "stead_paused",
    each(({ paused }) => (paused ? 1 : 0)),
  );
  metrics.show(
    "stead_maintenance",
    each(({ maintenance }) => (maintenance === null ? 0 : 1)),
  );
  metrics.show(
    "stead_vault_state",
    each(({ vault }) => ["well", "slow", "away"].indexOf(vault.state)),
  );
  metrics.show(
    "stead_primaries_lost_in_a_row",
    each(({ row }) => row?.count ?? 0),
  );
  metrics.show(
    "stead_failover_wait_seconds",
    each(({ row }) => (row?.waitMs ?? 0) / 1_000),
  );
}

function requestsByEnd({ name: service, requests }: Service): Sample<"service" | "end">[] {
  const { ok, unknown, failed, maintenance, clientGone } = requests;
  return Object.entries({ ok, unknown, failed, maintenance, client_gone: clientGone }).map(([end, count]) => [
    { service, end },
    count,
  ]);
}

function showHosts(metrics: Metrics, services: readonly Service[]): void {
  const hosts = services.flatMap((service) =>
    service.hosts.map((host) => ({ host, labels: { service: service.name, host: host.id } })),
  );
  const each = (value: (host: Host) => number | null): Sample<"service" | "host">[] =>
    hosts.flatMap(({ host, labels }): Sample<"service" | "host">[] => {
      const found = value(host);
      return found === null ? [] : [[labels, found]];
    });
  metrics.show(
    "stead_host_up",
    each(({ health }) => (health === "unknown" ? null : health === "up" ? 1 : 0)),
  );
  metrics.show(
    "stead_host_primary",
    each(({ role }) => (role === "primary" ? 1 : 0)),
  );
  metrics.show(
    "stead_host_position",
    each(({ position }) => position),
  );
  metrics.show(
    "stead_host_impairments",
    each(({ impairments }) => impairments.length),
  );
  metrics.show(
    "stead_host_restore_test_timestamp_seconds",
    each(({ restoreTest }) => (restoreTest === null ? null : restoreTest.atMs / 1_000)),
  );
  metrics.show(
    "stead_host_restore_test_passed",
    each(({ restoreTest }) =>
      restoreTest === null || restoreTest.outcome === "skipped" ? null : Number(restoreTest.outcome === "passed"),
    ),
  );
  metrics.show(
    "stead_host_restore_test_seconds",
    each(({ restoreTest }) => (restoreTest === null ? null : restoreTest.tookMs / 1_000)),
  );
  metrics.show(
    "stead_host_restore_test_bytes",
    each(({ restoreTest }) => restoreTest?.bytes ?? null),
  );
  metrics.show(
    "stead_host_retry_seconds",
    each(({ retry }) => (retry === null ? null : retry.inMs / 1_000)),
  );
  metrics.show(
    "stead_host_suspects",
    each(({ suspects }) => suspects.length),
  );
  metrics.show(
    "stead_host_application_ready",
    each(({ application }) =>
      application === null || application.state === "stopped" ? null : application.state === "ready" ? 1 : 0,
    ),
  );
  metrics.show(
    "stead_host_vault_write_seconds",
    each(({ vault }) => (vault === null || vault.latencyMs === null ? null : vault.latencyMs / 1_000)),
  );
  metrics.show(
    "stead_host_write_locks_total",
    each(({ capture }) => capture?.writeLocks.count ?? null),
  );
  metrics.show(
    "stead_host_write_lock_seconds_total",
    each(({ capture }) => (capture === null ? null : capture.writeLocks.totalMs / 1_000)),
  );
  metrics.show(
    "stead_host_write_lock_seconds_max",
    each(({ capture }) => (capture === null ? null : capture.writeLocks.maxMs / 1_000)),
  );
  showVaultCopies(metrics, hosts);
  const longLogs = hosts.flatMap(({ host, labels }) =>
    (host.capture?.longLogs ?? []).map((log) => ({ log, labels: { ...labels, ...namesOf(log) } })),
  );
  metrics.show(
    "stead_host_long_log_bytes",
    longLogs.map(({ log, labels }) => [labels, log.walBytes]),
  );
  metrics.show(
    "stead_host_long_log_seconds",
    longLogs.map(({ log, labels }) => [labels, log.heldMs / 1_000]),
  );
}

type LabelledHost = { readonly host: Host; readonly labels: { readonly service: string; readonly host: string } };

function showVaultCopies(metrics: Metrics, hosts: readonly LabelledHost[]): void {
  const copies = hosts.flatMap(({ host, labels }) =>
    host.vaultCopies.map((copy) => ({ copy, labels: { ...labels, copy: copy.to } })),
  );
  metrics.show(
    "stead_host_vault_copy_lag_seconds",
    copies.flatMap(({ copy, labels }) => (copy.lagMs === null ? [] : [[labels, copy.lagMs / 1_000] as const])),
  );
  metrics.show(
    "stead_host_vault_copy_lag_bytes",
    copies.map(({ copy, labels }) => [labels, copy.lagBytes]),
  );
  metrics.show(
    "stead_host_vault_copy_ok",
    copies.map(({ copy, labels }) => [labels, copy.error === null && !copy.isStalled ? 1 : 0]),
  );
}

const namesOf = ({
  database,
  heldBy,
}: LongLog): Pick<LabelsOf<"stead_host_long_log_bytes">, "database" | "held_by"> => ({
  database,
  held_by: heldBy.join(", "),
});

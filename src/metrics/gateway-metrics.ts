/** The metrics of a gateway. Names and labels are an interface: dashboards and alerts rest on them. */
import { type Definitions, waitBuckets, workBuckets } from "./definition.ts";

const service = ["service"] as const;
const host = ["service", "host"] as const;
const vaultCopy = ["service", "host", "copy"] as const;
const longLog = ["service", "host", "database", "held_by"] as const;

export const gatewayMetrics = {
  stead_up: { kind: "gauge", labels: ["gateway"], help: "1 while the gateway runs" },
  stead_troubles: { kind: "gauge", labels: [], help: "Warnings of this gateway itself" },
  stead_database_ok: { kind: "gauge", labels: [], help: "1 when the state database can be written" },
  stead_database_queued_writes: { kind: "gauge", labels: [], help: "Writes that wait for the state database" },
  stead_peer_ok: { kind: "gauge", labels: ["peer"], help: "1 if the last exchange with the other gateway succeeded" },
  stead_certificate_expiry_timestamp_seconds: {
    kind: "gauge",
    labels: [],
    help: "When the certificate of [cluster.tls], or its authority, expires; absent without it",
  },
  stead_client_certificate_expiry_timestamp_seconds: {
    kind: "gauge",
    labels: [],
    help: "When the certificate of [gateway.tls.acme] expires; absent without it",
  },
  stead_certificate_orders_total: {
    kind: "counter",
    labels: ["result"],
    help: "Orders of [gateway.tls.acme] by result: issued or refused",
  },
  stead_connections: { kind: "gauge", labels: [], help: "Open client connections" },
  stead_connections_accepted_total: { kind: "counter", labels: [], help: "Accepted client connections" },
  stead_connections_refused_total: {
    kind: "counter",
    labels: [],
    help: "Client connections closed immediately because a limit was reached",
  },
  stead_connections_displaced_total: {
    kind: "counter",
    labels: [],
    help: "Idle client connections closed to make room for new ones",
  },
  stead_own_shortages_total: {
    kind: "counter",
    labels: [],
    help: "Connections to hosts that could not be opened because this machine lacks descriptors, ports or memory",
  },
  stead_requests_total: { kind: "counter", labels: ["service", "end"], help: "Requests by outcome" },
  stead_requests_held_total: { kind: "counter", labels: service, help: "Requests that waited for a primary" },
  stead_requests_replayed_total: { kind: "counter", labels: service, help: "Requests that were resent" },
  stead_requests_recorded_total: {
    kind: "counter",
    labels: service,
    help: "Requests answered with what the application had answered before its primary was lost",
  },
  stead_spooled_bodies_total: {
    kind: "counter",
    labels: ["result"],
    help: "Request bodies beyond gateway.limits.replay_body by result: kept in a file as long as they were needed, full (gateway.replay.spool has no room), or failed (the disk)",
  },
  stead_requests_waiting: { kind: "gauge", labels: service, help: "Requests that wait for a primary now" },
  stead_hold_duration_seconds: {
    kind: "histogram",
    labels: ["service", "result"],
    buckets: waitBuckets,
    help: "How long requests waited for a primary, by what ended the wait",
  },
  stead_upstream_first_byte_seconds: {
    kind: "histogram",
    labels: service,
    buckets: workBuckets,
    help: "From sending a request to the primary until the first byte of its response",
  },
  stead_epoch: { kind: "gauge", labels: service, help: "Highest known epoch" },
  stead_serving: { kind: "gauge", labels: service, help: "1 while the primary is healthy" },
  stead_routed: { kind: "gauge", labels: service, help: "1 while requests are routed to a primary" },
  stead_paused: { kind: "gauge", labels: service, help: "1 while automation is paused" },
  stead_maintenance: { kind: "gauge", labels: service, help: "1 while requests get the maintenance page" },
  stead_vault_state: { kind: "gauge", labels: service, help: "0 healthy, 1 slow, 2 not reached by any host" },
  stead_primaries_lost_in_a_row: {
    kind: "gauge",
    labels: service,
    help: "Primaries that ended one after the other for the same cause within the last minute; 0: no such row",
  },
  stead_failover_wait_seconds: {
    kind: "gauge",
    labels: service,
    help: "How long the brake still delays the next takeover",
  },
  stead_drill_passed: {
    kind: "gauge",
    labels: service,
    help: "1 if the newest finished drill in the cluster passed; without a drill there is no value",
  },
  stead_drill_timestamp_seconds: {
    kind: "gauge",
    labels: service,
    help: "When that drill started, in seconds since 1970",
  },
  stead_drill_wait_seconds: {
    kind: "gauge",
    labels: service,
    help: "How long clients waited in that drill, if it was measured",
  },
  stead_failovers_total: {
    kind: "counter",
    labels: service,
    help: "Failovers and switchovers that this gateway completed since it started",
  },
  stead_failovers_abandoned_total: {
    kind: "counter",
    labels: ["service", "outcome"],
    help: "Failovers and switchovers that this gateway began and did not complete, by outcome",
  },
  stead_failover_gap_seconds: {
    kind: "histogram",
    labels: service,
    buckets: waitBuckets,
    help: "The longest time without an answered request around each failover, where there was traffic",
  },
  stead_failover_phase_seconds: {
    kind: "histogram",
    labels: ["service", "phase"],
    buckets: waitBuckets,
    help: "How long each phase of a completed failover or switchover took",
  },
  stead_notifications_total: {
    kind: "counter",
    labels: ["target", "outcome"],
    help: "Notifications that this gateway told, or gave up, for each target of [[notify]]",
  },
  stead_notifications_waiting: {
    kind: "gauge",
    labels: ["target"],
    help: "Notifications that wait for a target of [[notify]]",
  },
  stead_notify_ok: {
    kind: "gauge",
    labels: ["target"],
    help: "1 unless the last attempt to tell the target failed",
  },
  stead_trace_spans_total: {
    kind: "counter",
    labels: ["outcome"],
    help: "Spans for [gateway.traces], by outcome: sent, rejected by the receiver, or dropped because it did not take them",
  },
  stead_host_up: { kind: "gauge", labels: host, help: "1 up, 0 down; absent while unknown" },
  stead_host_primary: { kind: "gauge", labels: host, help: "1 for the host that reports itself primary" },
  stead_host_position: { kind: "gauge", labels: host, help: "Log position of the host" },
  stead_host_impairments: { kind: "gauge", labels: host, help: "Number of impairments of the host" },
  stead_host_restore_test_passed: {
    kind: "gauge",
    labels: host,
    help: "1 if the host's last scheduled restore test passed, 0 if it failed; a skipped one, or none, has no value",
  },
  stead_host_restore_test_timestamp_seconds: {
    kind: "gauge",
    labels: host,
    help: "When that test began, passed, failed or skipped, in seconds since 1970",
  },
  stead_host_restore_test_seconds: { kind: "gauge", labels: host, help: "How long that test took" },
  stead_host_restore_test_bytes: { kind: "gauge", labels: host, help: "Bytes of the databases that it restored" },
  stead_host_vault_copy_ok: {
    kind: "gauge",
    labels: vaultCopy,
    help: "1 while the primary copies the vault to that place, 0 if the last attempt failed or it makes no progress",
  },
  stead_host_vault_copy_lag_seconds: {
    kind: "gauge",
    labels: vaultCopy,
    help: "Age of the state that the copy restores, 0 if nothing is missing; absent while it is not whole yet",
  },
  stead_host_vault_copy_lag_bytes: {
    kind: "gauge",
    labels: vaultCopy,
    help: "Bytes of the records of this term that the copy does not have",
  },
  stead_host_retry_seconds: {
    kind: "gauge",
    labels: host,
    help: "Time until a host that could not stay primary may be asked again; absent for others",
  },
  stead_host_suspects: {
    kind: "gauge",
    labels: host,
    help: "Requests that are set aside because they ended the application",
  },
  stead_host_application_ready: {
    kind: "gauge",
    labels: host,
    help: "1 while the application is ready; absent where it does not run",
  },
  stead_host_vault_write_seconds: {
    kind: "gauge",
    labels: host,
    help: "Median of the host's last writes to the vault",
  },
  stead_host_write_locks_total: {
    kind: "counter",
    labels: host,
    help: "How often the host locked the application's writers out in this term; absent where nothing is captured",
  },
  stead_host_write_lock_seconds_total: {
    kind: "counter",
    labels: host,
    help: "Total time for which the host locked the application's writers out in this term",
  },
  stead_host_write_lock_seconds_max: {
    kind: "gauge",
    labels: host,
    help: "Longest time for which the host locked the application's writers out in this term",
  },
  stead_host_long_log_bytes: {
    kind: "gauge",
    labels: longLog,
    help: "Size of each write-ahead log of 64 MiB and more that a reader keeps from starting over",
  },
  stead_host_long_log_seconds: {
    kind: "gauge",
    labels: longLog,
    help: "How long a long write-ahead log has been kept from starting over",
  },
} as const satisfies Definitions;

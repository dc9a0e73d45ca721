/** The metrics of a host, about itself. Names and labels are an interface: dashboards and alerts rest on them. */
import { type Definitions, waitBuckets, workBuckets } from "./definition.ts";

const longLog = ["database", "held_by"] as const;

export const hostMetrics = {
  stead_host_info: { kind: "gauge", labels: ["service", "host"], help: "1; names the host" },
  stead_role: { kind: "gauge", labels: ["role"], help: "1 for the role that the host has, 0 for the others" },
  stead_log_epoch: { kind: "gauge", labels: [], help: "Highest epoch that the host has read in the log" },
  stead_log_position: {
    kind: "gauge",
    labels: [],
    help: "Last position of the log that the host applied, or wrote as primary",
  },
  stead_impairments: {
    kind: "gauge",
    labels: ["kind"],
    help: "1 for each impairment of the host",
  },
  stead_suspects: { kind: "gauge", labels: [], help: "Requests that are set aside because they ended the application" },
  stead_vault_silent_seconds: {
    kind: "gauge",
    labels: [],
    help: "Time since the last successful operation on the vault; absent while the host does none",
  },
  stead_vault_operation_seconds: {
    kind: "histogram",
    labels: ["operation", "result"],
    buckets: workBuckets,
    help: "Duration of operations on the vault, for each attempt",
  },
  stead_gate_wait_seconds: {
    kind: "histogram",
    labels: [],
    buckets: workBuckets,
    help: "How long chunks of responses waited until every commit that they may show was in the vault; chunks that did not wait are not counted",
  },
  stead_journal_put_seconds: {
    kind: "histogram",
    labels: ["record"],
    buckets: workBuckets,
    help: "How long records of the log took to become durable, by kind",
  },
  stead_journal_bytes_total: { kind: "counter", labels: [], help: "Bytes of journaled pages" },
  stead_capture_lock_seconds: {
    kind: "histogram",
    labels: [],
    buckets: workBuckets,
    help: "How long each lock kept the application's writers out",
  },
  stead_capture_wal_bytes: {
    kind: "gauge",
    labels: [],
    help: "Bytes of frames in use in all write-ahead logs; absent while nothing is captured",
  },
  stead_capture_largest_wal_bytes: {
    kind: "gauge",
    labels: [],
    help: "Bytes of frames in use in the longest write-ahead log; absent while nothing is captured",
  },
  stead_capture_long_log_bytes: {
    kind: "gauge",
    labels: longLog,
    help: "Size of each write-ahead log of 64 MiB and more that a reader keeps from starting over",
  },
  stead_capture_long_log_seconds: {
    kind: "gauge",
    labels: longLog,
    help: "How long a long write-ahead log has been kept from starting over",
  },
  stead_application_ready: {
    kind: "gauge",
    labels: [],
    help: "1 while the application is ready; absent where it does not run",
  },
  stead_application_endings_total: {
    kind: "counter",
    labels: ["cause", "sequel"],
    help: "How often the application ended by itself or was killed as stuck, and whether it was restarted or given up",
  },
  stead_application_first_byte_seconds: {
    kind: "histogram",
    labels: [],
    buckets: waitBuckets,
    help: "From sending a request to the application until the first byte of its response",
  },
  stead_files: {
    kind: "gauge",
    labels: [],
    help: "Files, links and folders beside the databases that host.files covers; absent without it",
  },
  stead_files_bytes: {
    kind: "gauge",
    labels: [],
    help: "Bytes of all files that host.files covers; absent without it",
  },
  stead_host_certificate_expiry_timestamp_seconds: {
    kind: "gauge",
    labels: [],
    help: "When the certificate of [cluster.tls], or its authority, expires; absent without it",
  },
  stead_front_requests: { kind: "gauge", labels: [], help: "Requests in flight in the application" },
  stead_front_recorded_total: {
    kind: "counter",
    labels: [],
    help: "Repetitions of requests answered with what the application had answered to an earlier try",
  },
  stead_front_in_doubt_total: {
    kind: "counter",
    labels: [],
    help: "Repetitions of requests answered as unknown, because an earlier try may have been executed",
  },
  stead_front_connections: { kind: "gauge", labels: [], help: "Open connections of gateways and other clients" },
  stead_front_connections_accepted_total: {
    kind: "counter",
    labels: [],
    help: "Accepted connections of gateways and other clients",
  },
  stead_front_connections_refused_total: {
    kind: "counter",
    labels: [],
    help: "Connections whose request was refused, or that were closed at once, because a limit was reached",
  },
  stead_front_connections_displaced_total: {
    kind: "counter",
    labels: [],
    help: "Idle connections closed to make room for new ones",
  },
} as const satisfies Definitions;

/**
 * The gateway's tables. People and programs read the views of the same names without `t_` (migrations/0001_views.sql);
 * the views are stable, the tables are not.
 *
 * Every shared row says where and when it was written: `origin` (the run of a gateway, `id~run`), `seq` (that run's own
 * counter, so that a peer can ask for what it lacks by version vector) and `hlc` (a hybrid logical clock, so that the
 * newer of two writes to one row is the same everywhere). `deleted` marks a tombstone.
 */
import { index, integer, primaryKey, real, sqliteTable, text } from "drizzle-orm/sqlite-core";

const provenance = {
  origin: text("origin").notNull(),
  seq: integer("seq").notNull(),
  hlc: text("hlc").notNull(),
  deleted: integer("deleted", { mode: "boolean" }).notNull().default(false),
};

export const services = sqliteTable("t_services", {
  name: text("name").primaryKey(),
  matchHost: text("match_host"),
  matchPath: text("match_path"),
  paused: integer("paused", { mode: "boolean" }).notNull().default(false),
  pauseReason: text("pause_reason"),
  pausedAtMs: integer("paused_at_ms"),
  /** Null: until it is resumed. */
  pausedUntilMs: integer("paused_until_ms"),
  ...provenance,
});

export const hosts = sqliteTable(
  "t_hosts",
  {
    service: text("service").notNull(),
    id: text("id").notNull(),
    controlUrl: text("control_url").notNull(),
    /** Null: the host's own setting applies. */
    priority: integer("priority"),
    nofailover: integer("nofailover", { mode: "boolean" }),
    /** `config` or `operator`. */
    source: text("source").notNull(),
    ...provenance,
  },
  (table) => [primaryKey({ columns: [table.service, table.id] })],
);

export const gateways = sqliteTable("t_gateways", {
  id: text("id").primaryKey(),
  adminUrl: text("admin_url").notNull(),
  startedAtMs: integer("started_at_ms").notNull(),
  ...provenance,
});

/** One gateway's view of one host. */
export const health = sqliteTable(
  "t_health",
  {
    gateway: text("gateway").notNull(),
    service: text("service").notNull(),
    host: text("host").notNull(),
    /** `up`, `down` or `unknown`. */
    health: text("health").notNull(),
    cause: text("cause"),
    role: text("role"),
    instance: text("instance"),
    epoch: integer("epoch"),
    position: integer("position"),
    changedAtMs: integer("changed_at_ms").notNull(),
    /** State of its application. Null, here and in the columns below: unknown, or none. */
    application: text("application"),
    /** `kind: reason`, several separated by `; `. */
    impairments: text("impairments"),
    vaultError: text("vault_error"),
    /** Requests that are set aside because they ended the application. */
    suspects: integer("suspects"),
    retryReason: text("retry_reason"),
    retryAtMs: integer("retry_at_ms"),
    /** `database: MiB, process`, several separated by `; `: write-ahead logs that cannot start over. */
    longLogs: text("long_logs"),
    longLogsSinceMs: integer("long_logs_since_ms"),
    /** `place: copied`, or `place: why not`, several separated by `; `. */
    vaultCopies: text("vault_copies"),
    /** Of the worst of them. Null: there is none, or one is not whole yet. */
    vaultCopyLagMs: integer("vault_copy_lag_ms"),
    vaultCopyLagBytes: integer("vault_copy_lag_bytes"),
    ...provenance,
  },
  (table) => [primaryKey({ columns: [table.gateway, table.service, table.host] })],
);

export const epochs = sqliteTable(
  "t_epochs",
  {
    service: text("service").notNull(),
    epoch: integer("epoch").notNull(),
    host: text("host").notNull(),
    dataUrl: text("data_url"),
    firstSeenAtMs: integer("first_seen_at_ms").notNull(),
    ...provenance,
  },
  (table) => [primaryKey({ columns: [table.service, table.epoch] })],
);

export const failovers = sqliteTable(
  "t_failovers",
  {
    id: text("id").primaryKey(),
    service: text("service").notNull(),
    gateway: text("gateway").notNull(),
    kind: text("kind").notNull(),
    outcome: text("outcome").notNull(),
    fromHost: text("from_host"),
    toHost: text("to_host"),
    epochFrom: integer("epoch_from").notNull(),
    epochTo: integer("epoch_to"),
    attempts: integer("attempts").notNull(),
    decidedAtMs: integer("decided_at_ms").notNull(),
    detectMs: real("detect_ms"),
    agreeMs: real("agree_ms"),
    demoteMs: real("demote_ms"),
    claimMs: real("claim_ms"),
    leaseMs: real("lease_ms"),
    catchUpMs: real("catchup_ms"),
    startMs: real("start_ms"),
    routeMs: real("route_ms"),
    waitMs: real("wait_ms"),
    retryMs: real("retry_ms"),
    /** The longest time without a successful response around it, as seen by this gateway's clients. */
    gapMs: real("gap_ms"),
    /** What ended the primary, in words. */
    cause: text("cause"),
    /** Start of the gap after the decision; negative: before it. */
    gapStartMs: real("gap_start_ms"),
    /** JSON of PhaseSpan[] (src/core/failover/state.ts). Null: written by an earlier version. */
    timeline: text("timeline"),
    /** The gap that was expected at the decision. Null: unknown. */
    predictedMs: real("predicted_ms"),
    /** JSON of PredictedPhase[] (src/core/failover/prediction.ts). */
    prediction: text("prediction"),
    /** JSON of CandidateThen[] and SeenThen[] (src/core/failover/circumstances.ts). Null: an earlier version. */
    candidates: text("candidates"),
    evidence: text("evidence"),
    ...provenance,
  },
  (table) => [index("t_failovers_by_time").on(table.decidedAtMs)],
);

/** What the end of an epoch meant for the requests of one gateway's clients; no row: nothing. */
export const impacts = sqliteTable(
  "t_failover_impacts",
  {
    service: text("service").notNull(),
    epochFrom: integer("epoch_from").notNull(),
    gateway: text("gateway").notNull(),
    atMs: integer("at_ms").notNull(),
    held: integer("held").notNull(),
    replayed: integer("replayed").notNull(),
    unknown: integer("unknown").notNull(),
    failed: integer("failed").notNull(),
    ...provenance,
  },
  (table) => [primaryKey({ columns: [table.service, table.epochFrom, table.gateway] })],
);

export const events = sqliteTable(
  "t_events",
  {
    id: text("id").primaryKey(),
    atMs: integer("at_ms").notNull(),
    gateway: text("gateway").notNull(),
    service: text("service"),
    host: text("host"),
    level: text("level").notNull(),
    what: text("what").notNull(),
    detail: text("detail").notNull(),
    ...provenance,
  },
  (table) => [index("t_events_by_time").on(table.atMs)],
);

/** The other gateways that this one has met (src/gateway/peers/membership.ts): its own evidence, and not shared. */
export const met = sqliteTable("t_met", { gateway: text("gateway").primaryKey() });

/** One call of the admin API, or several refused ones that are only counted. */
export const audit = sqliteTable(
  "t_audit",
  {
    id: text("id").primaryKey(),
    atMs: integer("at_ms").notNull(),
    gateway: text("gateway").notNull(),
    /** The name of a token, `secret`, or a process (`gateway:g2`); null: no valid credentials. */
    who: text("who"),
    /** Of the token; null: no token. */
    role: text("role"),
    /** Null: several. */
    address: text("address"),
    /** Null, as the path: several. */
    method: text("method"),
    path: text("path"),
    /** The call's body, JSON. */
    subject: text("subject"),
    /** `running`, `done`, `refused` or `failed`. */
    outcome: text("outcome").notNull(),
    status: integer("status"),
    detail: text("detail"),
    calls: integer("calls").notNull(),
    ...provenance,
  },
  (table) => [index("t_audit_by_time").on(table.atMs)],
);

/** Services in maintenance (src/gateway/service/timed-orders.ts). */
export const maintenance = sqliteTable("t_maintenance", {
  service: text("service").primaryKey(),
  isOn: integer("is_on", { mode: "boolean" }).notNull(),
  reason: text("reason"),
  atMs: integer("at_ms"),
  /** Null: until it is taken back. */
  untilMs: integer("until_ms"),
  ...provenance,
});

/** Open challenges of certificate authorities (src/gateway/acme/certificate-orders.ts). */
export const challenges = sqliteTable("t_challenges", {
  token: text("token").primaryKey(),
  /** `http-01` or `tls-alpn-01`. */
  kind: text("kind").notNull(),
  domain: text("domain").notNull(),
  keyAuthorization: text("key_authorization").notNull(),
  gateway: text("gateway").notNull(),
  atMs: integer("at_ms").notNull(),
  ...provenance,
});

export const drills = sqliteTable("t_drills", {
  id: text("id").primaryKey(),
  service: text("service").notNull(),
  kind: text("kind").notNull(),
  gateway: text("gateway").notNull(),
  orderedBy: text("ordered_by").notNull(),
  startedAtMs: integer("started_at_ms").notNull(),
  /** `planned`, `ordered`, `running`, `passed`, `missed`, `failed` or `refused`. */
  outcome: text("outcome").notNull(),
  fromHost: text("from_host"),
  toHost: text("to_host"),
  /** The id of the failover that it caused. Null: none. */
  failover: text("failover"),
  predictedMs: real("predicted_ms"),
  rtoMs: real("rto_ms"),
  /** `clients` or `phases`. */
  measuredBy: text("measured_by"),
  objectiveMs: real("objective_ms"),
  detail: text("detail").notNull(),
  /** JSON of PredictedPhase[] (src/core/failover/prediction.ts). */
  prediction: text("prediction"),
  /** JSON of milliseconds by phase. Null: no failover. */
  phases: text("phases"),
  /** How much of what was acknowledged is lost, in time. Null: not probed, or unknown. */
  rpoMs: real("rpo_ms"),
  /** Acknowledged writes of the probe. */
  probeWrites: integer("probe_writes"),
  probeLost: integer("probe_lost"),
  /** Of a planned one. Null: it was ordered. */
  dueAtMs: integer("due_at_ms"),
  /** How long a hang or a partition that waits for its time will last. Null: it is no order for a time. */
  forMs: integer("for_ms"),
  ...provenance,
});

/** Of the hosts, by their clocks; a gateway writes what it hears. */
export const restoreTests = sqliteTable("t_restore_tests", {
  id: text("id").primaryKey(),
  service: text("service").notNull(),
  host: text("host").notNull(),
  atMs: integer("at_ms").notNull(),
  /** `passed`, `failed` or `skipped`. */
  outcome: text("outcome").notNull(),
  tookMs: real("took_ms").notNull(),
  position: integer("position"),
  bytes: integer("bytes"),
  detail: text("detail"),
  ...provenance,
});

/** Written once, and revoked by a tombstone. */
export const tokens = sqliteTable("t_tokens", {
  id: text("id").primaryKey(),
  name: text("name").notNull(),
  /** A role of src/control/token.ts; a later version may have others. */
  role: text("role").notNull(),
  /** SHA-256 of the token, hexadecimal. */
  hash: text("hash").notNull(),
  createdAtMs: integer("created_at_ms").notNull(),
  /** The name of the token with which it was made, or `secret`. */
  createdBy: text("created_by").notNull(),
  /** Null: it does not expire. */
  expiresAtMs: integer("expires_at_ms"),
  ...provenance,
});

/** What operators are told (src/gateway/notify/notifier.ts): written once, by the gateway that tells it. */
export const notifications = sqliteTable(
  "t_notifications",
  {
    id: text("id").primaryKey(),
    /** The gateway that tells it. */
    teller: text("teller").notNull(),
    atMs: integer("at_ms").notNull(),
    kind: text("kind").notNull(),
    severity: text("severity").notNull(),
    service: text("service"),
    host: text("host"),
    summary: text("summary").notNull(),
    detail: text("detail").notNull(),
    ...provenance,
  },
  (table) => [index("t_notifications_by_time").on(table.atMs)],
);

/** How telling one notification to one target ended. */
export const deliveries = sqliteTable(
  "t_deliveries",
  {
    notification: text("notification").notNull(),
    target: text("target").notNull(),
    /** The gateway that sent it. */
    gateway: text("gateway").notNull(),
    /** `told` or `failed`. */
    outcome: text("outcome").notNull(),
    attempts: integer("attempts").notNull(),
    endedAtMs: integer("ended_at_ms").notNull(),
    detail: text("detail"),
    ...provenance,
  },
  (table) => [primaryKey({ columns: [table.notification, table.target] })],
);

/**
 * What the rows of this database claim to know of each run of each gateway (src/core/replication/version-vector.ts).
 */
export const vector = sqliteTable("t_vector", {
  origin: text("origin").primaryKey(),
  seq: integer("seq").notNull(),
});
